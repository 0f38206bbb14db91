//! The ids of the records that a request leaves in the audit trails of accounts.

use std::fmt;

use keystead_model::AccountId;

use crate::error::Result;
use crate::keyring::Keyring;
use crate::service::RequestId;

/// CloudTrail's `eventID`: a UUID. Each account that is told of a request has a record of its own,
/// with an id of its own.
///
/// It is computed from the request's id, not drawn: whatever tells of the event (the audit record,
/// a repetition of it, GetKeyLastUsage) comes to the same id without having to be handed it. Under
/// the store's record key, so that nobody else can tell the id from that of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId([u8; 16]);

impl EventId {
    /// The id of the record about `request` in the trail of `account`.
    pub(crate) fn of(keyring: &Keyring, request: RequestId, account: AccountId) -> Self {
        Self::computed(keyring, b"event-id", request, account.as_str())
    }

    /// The id of the record about `request` if one under its usual id may be there already, with
    /// another outcome: a commit failed, and nobody knows whether it stands.
    pub(crate) fn after_doubt(keyring: &Keyring, request: RequestId, account: AccountId) -> Self {
        Self::computed(keyring, b"event-id-after-doubt", request, account.as_str())
    }

    /// What the records of one request in several accounts have in common: `sharedEventID`.
    pub(crate) fn shared(keyring: &Keyring, request: RequestId) -> Self {
        Self::computed(keyring, b"shared-event-id", request, "")
    }

    /// The id of an event that no request brought about.
    ///
    /// # Errors
    /// KMSInternalException: no random bytes.
    pub(crate) fn fresh() -> Result<Self> {
        Ok(Self::uuid(keystead_crypto::random_bytes()?))
    }

    fn computed(keyring: &Keyring, label: &[u8], request: RequestId, account: &str) -> Self {
        let event = [&request.0[..], account.as_bytes()].concat();
        // The output of a pseudo-random function: a version 4 UUID (RFC 9562, 5.4).
        Self::uuid(keyring.record_key().tag(label, &event))
    }

    fn uuid(mut id: [u8; 16]) -> Self {
        id[6] = id[6] & 0x0f | 0x40;
        id[8] = id[8] & 0x3f | 0x80;
        Self(id)
    }
}

impl From<EventId> for keystead_audit::EventId {
    fn from(id: EventId) -> Self {
        Self::from_random(id.0)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&RequestId(self.0), out)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    use keystead_crypto::RootKey;
    use keystead_store::memory::Memory;

    use crate::Root;

    async fn keyring(store: &Memory) -> Keyring {
        Keyring::open(store, Root::Key(RootKey::generate().unwrap()), 0).await.unwrap()
    }

    #[tokio::test]
    async fn an_event_has_one_id_for_each_account() {
        let (here, elsewhere) = (keyring(&Memory::new()).await, keyring(&Memory::new()).await);
        let (one, two) = ("111122223333".parse().unwrap(), "444455556666".parse().unwrap());
        let id = EventId::of(&here, RequestId([1; 16]), one);
        assert_eq!(EventId::of(&here, RequestId([1; 16]), one), id);
        for other in [
            EventId::of(&here, RequestId([2; 16]), one),
            EventId::of(&here, RequestId([1; 16]), two),
            EventId::of(&elsewhere, RequestId([1; 16]), one),
        ] {
            assert_ne!(other, id);
        }
        let text = id.to_string();
        assert_eq!((text.len(), &text[14..15]), (36, "4"));
        assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"));
    }
}
