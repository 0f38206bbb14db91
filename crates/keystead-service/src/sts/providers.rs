//! The key sets of identity providers: read when they are needed, kept for a while.
//!
//! - A set that was read is good for [`LIFETIME`]. Then it is read again with the next token; if that
//!   fails, it stays good until [`BOUND`] after it was read.
//! - A token that no key of a good set fits causes a reading, too: the provider may have a new key.
//! - Whatever the reason, a provider's keys are read at most once in [`PAUSE`], so that whoever sends
//!   tokens with made-up key ids makes nobody read anything. Tokens that come meanwhile wait for the
//!   reading under way.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use keystead_identity::{JwksSource, OidcProvider};

use super::jws::Jws;
use super::key_set::KeySet;

/// How long a set is good without a question, milliseconds.
const LIFETIME: i64 = 10 * 60 * 1_000;
/// How long a set stays good while none can be read, milliseconds.
const BOUND: i64 = 24 * 60 * 60 * 1_000;
/// The least time between two readings for one provider, milliseconds.
const PAUSE: i64 = 60 * 1_000;
/// For how many providers sets are kept; the identities have few.
const KEPT: usize = 1_000;

/// Reads key sets, from files and addresses of this machine.
pub trait KeySets: fmt::Debug + Send + Sync {
    /// The bytes of a key set, at most [`MAX_KEY_SET_BYTES`](crate::MAX_KEY_SET_BYTES), within five
    /// seconds.
    fn read<'a>(&'a self, source: &'a JwksSource) -> ReadingKeySet<'a>;
}

/// A key set on its way.
pub type ReadingKeySet<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<u8>, KeySetError>> + Send + 'a>>;

/// Why there is no key set. The text is for the log.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// Nobody answered in time.
    #[error("the key set did not come in time")]
    Timeout,
    /// It cannot be read.
    #[error("the key set cannot be read: {0}")]
    Unreadable(String),
}

/// Reads nothing: for a service that is told of no way to read.
#[derive(Debug, Clone, Copy)]
pub struct NoKeySets;

impl KeySets for NoKeySets {
    fn read<'a>(&'a self, _: &'a JwksSource) -> ReadingKeySet<'a> {
        Box::pin(async { Err(KeySetError::Unreadable("nothing reads key sets here".to_owned())) })
    }
}

/// Why a token was not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unverified {
    /// The provider's keys did not come in time.
    Timeout,
    /// There is no key for the token, or the signature is not by it.
    Refused,
}

/// What is known of the keys of providers.
#[derive(Debug)]
pub(crate) struct Providers {
    reader: Arc<dyn KeySets>,
    known: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Known>>>>,
}

#[derive(Debug)]
struct Known {
    /// Where the set was read from: identities may name another place.
    source: JwksSource,
    /// The last good set and when it was read.
    set: Option<(Arc<KeySet>, i64)>,
    /// When it was last tried, and whether that failed by time.
    tried: Option<(i64, bool)>,
}

impl Providers {
    pub(crate) fn new(reader: Arc<dyn KeySets>) -> Self {
        Self { reader, known: Mutex::default() }
    }

    /// Verifies the signature of a token by the keys of its provider.
    ///
    /// # Errors
    /// [`Unverified`].
    pub(crate) async fn verify(
        &self,
        provider: &OidcProvider,
        token: &Jws<'_>,
        now: i64,
    ) -> Result<(), Unverified> {
        let mut known = self.known(provider).lock_owned().await;
        if known.source != provider.jwks {
            *known = Known { source: provider.jwks.clone(), set: None, tried: None };
        }
        if !known.is_young(now) || !known.has_key(token) {
            known.read(self.reader.as_ref(), provider, now).await;
        }
        let timed_out = known.tried.is_some_and(|(_, timed_out)| timed_out);
        let set = match &known.set {
            Some((set, read)) if within(*read, now, BOUND) => Arc::clone(set),
            _ if timed_out => return Err(Unverified::Timeout),
            _ => return Err(Unverified::Refused),
        };
        drop(known);
        set.find(token.key_id.as_deref(), token.algorithm)
            .ok_or(Unverified::Refused)?
            .verify(token.algorithm, token.message, &token.signature)
            .map_err(|_| Unverified::Refused)
    }

    fn known(&self, provider: &OidcProvider) -> Arc<tokio::sync::Mutex<Known>> {
        // A poisoned lock only means that a holder panicked: the map is whole.
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&provider.arn) {
            return Arc::clone(known);
        }
        if all.len() >= KEPT {
            // Providers come and go with the identities alone.
            all.clear();
        }
        let new = Known { source: provider.jwks.clone(), set: None, tried: None };
        let new = Arc::new(tokio::sync::Mutex::new(new));
        all.insert(provider.arn.clone(), Arc::clone(&new));
        new
    }
}

impl Known {
    fn is_young(&self, now: i64) -> bool {
        self.set.as_ref().is_some_and(|(_, read)| within(*read, now, LIFETIME))
    }

    fn has_key(&self, token: &Jws<'_>) -> bool {
        let set = self.set.as_ref();
        set.is_some_and(|(set, _)| set.find(token.key_id.as_deref(), token.algorithm).is_some())
    }

    /// Reads the set again, unless it was tried a short while ago.
    async fn read(&mut self, reader: &dyn KeySets, provider: &OidcProvider, now: i64) {
        if self.tried.is_some_and(|(tried, _)| within(tried, now, PAUSE)) {
            return;
        }
        // Noted first, so that a request that is dropped while it reads counts as well.
        self.tried = Some((now, false));
        let refused = match reader.read(&self.source).await {
            Ok(bytes) => match KeySet::parse(&bytes) {
                Ok(set) => {
                    self.set = Some((Arc::new(set), now));
                    return;
                }
                Err(_) => KeySetError::Unreadable("it is no JSON Web Key Set".to_owned()),
            },
            Err(error) => error,
        };
        self.tried = Some((now, matches!(refused, KeySetError::Timeout)));
        tracing::warn!(provider = provider.arn, error = %refused, "no keys of an identity provider");
    }
}

/// Whether `now` is less than `long` after `then`. A clock that was set back makes everything old.
fn within(then: i64, now: i64, long: i64) -> bool {
    (0..long).contains(&now.saturating_sub(then))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use keystead_identity::Directory;
    use keystead_model::AccountId;

    use super::*;

    /// Answers by turns what it was told.
    #[derive(Debug, Default)]
    struct Told {
        answer: Mutex<Option<Result<String, ()>>>,
        asked: AtomicUsize,
    }

    impl Told {
        fn says(&self, answer: Option<Result<&str, ()>>) {
            *self.answer.lock().unwrap() = answer.map(|answer| answer.map(str::to_owned));
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    impl KeySets for Told {
        fn read<'a>(&'a self, _: &'a JwksSource) -> ReadingKeySet<'a> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let answer = match &*self.answer.lock().unwrap() {
                Some(Ok(text)) => Ok(text.clone().into_bytes()),
                Some(Err(())) => Err(KeySetError::Unreadable("gone".to_owned())),
                None => Err(KeySetError::Timeout),
            };
            Box::pin(async { answer })
        }
    }

    /// The example of RFC 7515, A.3, under a key id of its set.
    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0d\
                         HA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-\
                         F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    const SET: &str = r#"{"keys":[{"kty":"EC","crv":"P-256",
        "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

    fn directory(url: &str) -> Directory {
        let text = format!(
            "[accounts.111122223333.oidc_providers.\"https://joe.example\"]\n\
             client_ids = [\"c\"]\njwks = {{ url = \"{url}\" }}\n"
        );
        Directory::parse("identities.toml".as_ref(), &text).unwrap()
    }

    #[tokio::test]
    async fn a_set_is_kept_for_its_time_and_read_once_a_minute() {
        let directory = directory("http://127.0.0.1:1/jwks");
        let account = directory.account(AccountId::parse("111122223333").unwrap()).unwrap();
        let provider = account.oidc_provider("https://joe.example").unwrap();
        let told = Arc::new(Told::default());
        let providers = Providers::new(Arc::clone(&told) as Arc<dyn KeySets>);
        let token = Jws::parse(TOKEN).unwrap();
        let mut other = Jws::parse(TOKEN).unwrap();
        other.key_id = Some("made-up".to_owned());
        let start = 1_000_000_000_i64;
        let at = |token, after: i64| providers.verify(provider, token, start + after);

        // Nothing is known: a timeout is told, and not tried again for a minute.
        assert_eq!(at(&token, 0).await, Err(Unverified::Timeout));
        told.says(Some(Ok(SET)));
        assert_eq!(at(&token, PAUSE - 1).await, Err(Unverified::Timeout));
        assert_eq!(told.asked(), 1);
        assert_eq!(at(&token, PAUSE).await, Ok(()));
        assert_eq!(told.asked(), 2);
        // Made-up key ids cause one reading a minute.
        for _ in 0..5 {
            assert_eq!(at(&other, PAUSE + 1).await, Err(Unverified::Refused));
        }
        assert_eq!(told.asked(), 2);
        for _ in 0..5 {
            assert_eq!(at(&other, 2 * PAUSE).await, Err(Unverified::Refused));
        }
        assert_eq!(told.asked(), 3);
        // Within its lifetime it is not read again.
        assert_eq!(at(&token, 2 * PAUSE + LIFETIME - 1).await, Ok(()));
        assert_eq!(told.asked(), 3);
        // After it, it is; what cannot be read leaves the last good one in force.
        told.says(Some(Ok("nonsense")));
        assert_eq!(at(&token, 2 * PAUSE + LIFETIME).await, Ok(()));
        told.says(Some(Err(())));
        assert_eq!(at(&token, 3 * PAUSE + LIFETIME).await, Ok(()));
        assert_eq!(told.asked(), 5);
        assert_eq!(at(&token, 2 * PAUSE + BOUND - 1).await, Ok(()));
        assert_eq!(at(&token, 2 * PAUSE + BOUND).await, Err(Unverified::Refused));
        told.says(Some(Ok(SET)));
        assert_eq!(at(&token, 4 * PAUSE + BOUND).await, Ok(()));
        // A new set replaces the old one.
        told.says(Some(Ok(r#"{"keys":[]}"#)));
        assert_eq!(at(&token, 4 * PAUSE + BOUND + LIFETIME).await, Err(Unverified::Refused));
    }

    #[tokio::test]
    async fn a_changed_signature_or_source_is_noticed() {
        let (one, two) = (directory("http://127.0.0.1:1/"), directory("http://127.0.0.1:2/"));
        let provider = |directory: &'static Directory| {
            let account = directory.account(AccountId::parse("111122223333").unwrap()).unwrap();
            account.oidc_provider("https://joe.example").unwrap()
        };
        let (one, two) = (provider(Box::leak(Box::new(one))), provider(Box::leak(Box::new(two))));
        let told = Arc::new(Told::default());
        told.says(Some(Ok(SET)));
        let providers = Providers::new(Arc::clone(&told) as Arc<dyn KeySets>);
        let mut token = Jws::parse(TOKEN).unwrap();
        assert_eq!(providers.verify(one, &token, 0).await, Ok(()));
        assert_eq!(providers.verify(two, &token, 0).await, Ok(()));
        assert_eq!(told.asked(), 2);
        token.signature[9] ^= 1;
        assert_eq!(providers.verify(two, &token, 1).await, Err(Unverified::Refused));
        assert_eq!(told.asked(), 2);
    }
}
