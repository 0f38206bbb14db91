//! Service events: what the service does to keys by itself.

use keystead_audit::{Object, Record, Resource};
use keystead_model::{AccountId, Region};

use crate::error::Result;
use crate::event::EventId;
use crate::records::KeyRecord;
use crate::service::Service;
use crate::write::Draft;

/// Something that the service does to a key.
pub(crate) struct KeyEvent<'a> {
    /// CloudTrail's `eventName`.
    pub(crate) name: &'static str,
    pub(crate) account: AccountId,
    pub(crate) region: &'a Region,
    /// The ARN of the key.
    pub(crate) arn: &'a str,
    /// `serviceEventDetails`: names and values.
    pub(crate) details: &'a [(&'static str, &'a str)],
}

impl<'a> KeyEvent<'a> {
    /// An event without details.
    pub(crate) fn of_key(name: &'static str, key: &'a KeyRecord, arn: &'a str) -> Self {
        Self { name, account: key.account, region: &key.region, arn, details: &[] }
    }
}

impl Service {
    /// Puts the record of an event into the commit that makes it happen.
    ///
    /// # Errors
    /// KMSInternalException: no random bytes.
    pub(crate) fn note_event(&self, draft: &mut Draft, event: &KeyEvent<'_>) -> Result<()> {
        if self.trail.is_none() {
            return Ok(());
        }
        let id = EventId::fresh()?;
        let account = event.account.as_str();
        let mut details = Object::parameters();
        for (name, value) in event.details {
            details.text(name, value);
        }
        let resources = [Resource { account_id: account, arn: event.arn }];
        let (now, region) = (self.clock.now(), event.region.as_str());
        let record = Record {
            service_event_details: Some(&details).filter(|details| !details.is_empty()),
            resources: Some(&resources),
            ..Record::service_event(id.into(), now, event.name, region, account)
        };
        draft.record((id, record.encode()));
        Ok(())
    }

    /// Whether the service may change keys by itself: not while it could not tell of it.
    ///
    /// # Errors
    /// KMSInternalException.
    pub(crate) fn may_act(&self) -> Result<()> {
        self.trail.as_ref().map_or(Ok(()), |trail| trail.admit())
    }
}
