//! The service: store, keys, clock and settings, and the doors to it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Method};
use keystead_model::{OperationName, Region};
use keystead_store::Store;
use zeroize::Zeroizing;

use crate::access::{Access, Gate};
use crate::audit::{AuditSettings, Trail, left_behind};
use crate::authorization::index_grantees;
use crate::clock::Clock;
use crate::error::Error;
use crate::keyring::{Keyring, OpenError, Root};
use crate::keys::Keys;
use crate::mill::Mill;
use crate::quotas::Quotas;
use crate::sts;
use crate::sts::providers::{KeySets, NoKeySets, Providers};
use crate::throttling::{Rates, Throttling};
use crate::usage::{Usage, tracked_since};
use crate::{ops, road};

/// Identifies one request in its response and in the logs; a random UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(pub [u8; 16]);

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                out.write_str("-")?;
            }
            write!(out, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// A request as it was received; nothing of it has been believed yet.
#[derive(Clone, Copy)]
pub struct RawRequest<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as on the request line: encoded, not normalized.
    pub path: &'a str,
    /// What follows `?` on the request line, as sent.
    pub query: Option<&'a str>,
    /// `:authority` of HTTP/2.
    pub authority: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The body, exactly as received, at most as long as the front allows.
    pub body: &'a [u8],
    /// Where it came from.
    pub source: IpAddr,
    /// Its id.
    pub request_id: RequestId,
    /// Whether it came by TLS.
    pub secure: bool,
}

/// The body of a response, wiped when dropped.
pub type Reply = Zeroizing<Vec<u8>>;

/// How a request and its answer are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// AWS JSON 1.1: KMS.
    Json,
    /// AWS Query, answered in XML: STS.
    Query,
}

impl Protocol {
    /// The protocol that a request's headers ask for.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        match headers.contains_key("x-amz-target") || !sts::speaks(headers) {
            true => Self::Json,
            false => Self::Query,
        }
    }
}

/// What a request came to.
#[derive(Debug)]
pub struct Answer {
    /// The operation's name, or `unknown`.
    pub operation: &'static str,
    /// How the answer is to be written.
    pub protocol: Protocol,
    /// The body of the response, or the refusal.
    pub result: Result<Reply, Error>,
}

/// What can be set.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// Whether KeySpec and KeyPairSpec SM2 are open outside the aws-cn Regions.
    pub sm2_everywhere: bool,
    /// What reads the key sets of identity providers.
    pub key_sets: Arc<dyn KeySets>,
    /// The Regions that are served; `None`: every one.
    pub regions: Option<Vec<Region>>,
    /// How many keys are kept in memory at most.
    pub cached_keys: usize,
    /// How many keys and data key pairs of slow specs are generated at once.
    pub pair_threads: usize,
    /// How many requests may wait for such a pair before more are throttled.
    pub pair_queue: usize,
    /// How many operations with private keys run at once.
    pub private_threads: usize,
    /// How many requests may wait for such an operation before more are throttled.
    pub private_queue: usize,
    /// Of how many keys the last use is kept in memory at most, until the next sweep writes it.
    pub noted_uses: usize,
    /// How long an on-demand rotation takes, milliseconds. 0: it is completed when it is answered.
    pub rotation_delay: i64,
    /// How long the states Creating and Updating last, milliseconds. 0: they are not seen.
    pub settling_delay: i64,
    /// How long a new grant is known to its tokens alone, milliseconds. 0: it counts at once.
    pub grant_delay: i64,
    /// How much an account and a key may have.
    pub quotas: Quotas,
    /// How often an account may call.
    pub rates: Rates,
    /// Where and how the audit log is kept; `None`: none is.
    pub audit: Option<AuditSettings>,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        // One core is left to everything else.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            sm2_everywhere: false,
            key_sets: Arc::new(NoKeySets),
            regions: None,
            cached_keys: 16_384,
            pair_threads: cores.saturating_sub(1).max(1),
            pair_queue: 256,
            private_threads: cores,
            private_queue: 1_024,
            noted_uses: 65_536,
            rotation_delay: 0,
            settling_delay: 0,
            grant_delay: 0,
            quotas: Quotas::default(),
            rates: Rates::default(),
            audit: None,
        }
    }
}

/// A key management service over one store.
pub struct Service {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keyring: Keyring,
    pub(crate) gate: Gate,
    pub(crate) keys: Keys,
    pub(crate) usage: Usage,
    /// The keys of identity providers.
    pub(crate) providers: Providers,
    /// The audit trail; `None`: none is kept. Boxed, since most requests look at it and few need more.
    pub(crate) trail: Option<Box<Trail>>,
    /// Generates keys and pairs.
    pub(crate) generation: Mill,
    /// Private-key operations that would hold up other requests.
    pub(crate) private_operations: Mill,
    /// `None`: no rate is limited.
    pub(crate) throttling: Option<Throttling>,
    pub(crate) settings: ServiceSettings,
}

impl fmt::Debug for Service {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Service").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Service {
    /// Opens the service over a store; an empty store is given its keys, and one that did not track
    /// uses of keys begins to.
    ///
    /// # Errors
    /// [`OpenError`]; of what it writes, each part is written in full or not at all.
    pub async fn open(
        settings: ServiceSettings,
        access: Access,
        store: Arc<dyn Store>,
        root: Root,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OpenError> {
        let now = clock.now();
        let keyring = Keyring::open(store.as_ref(), root, now).await?;
        let gate = Gate::new(access, &keyring)?;
        index_grantees(store.as_ref(), &keyring).await?;
        let since = tracked_since(store.as_ref(), &keyring, now).await?;
        let usage = Usage::new(since, settings.noted_uses);
        let providers = Providers::new(Arc::clone(&settings.key_sets));
        let trail = match &settings.audit {
            Some(audit) => {
                let waiting = left_behind(store.as_ref(), &keyring).await?;
                let trail = Trail::open(audit, keyring.audit_key(), Arc::clone(&clock), waiting)?;
                Some(Box::new(trail))
            }
            None => None,
        };
        let keys = Keys::new(Arc::clone(&store), settings.cached_keys)?;
        let generation = Mill::new(settings.pair_threads, settings.pair_queue);
        let private_operations = Mill::new(settings.private_threads, settings.private_queue);
        let throttling = Throttling::new(settings.rates.clone());
        let service = Arc::new(Self {
            store,
            clock,
            keyring,
            gate,
            keys,
            usage,
            providers,
            trail,
            generation,
            private_operations,
            throttling,
            settings,
        });
        service.drain_from_now_on();
        Ok(service)
    }

    /// Takes one request to its end. Never panics on any input.
    pub async fn answer(&self, raw: RawRequest<'_>) -> Answer {
        road::answer(self, raw).await
    }

    /// Whether a request with this `X-Amz-Target` changes nothing, so that it may be dropped when
    /// its client goes away. Unknown targets change nothing. That it may be the first to use an AWS
    /// managed key does not count: the key is made whole in one commit, or not at all.
    pub fn is_read_only(target: &str) -> bool {
        OperationName::from_target(target).is_none_or(|name| !ops::row(name).changes_state)
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The keys that protect the store; tests lay fixture records with them.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }
}
