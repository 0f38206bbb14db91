//! Whom the service accepts, and what requests are verified against.

use std::sync::{Arc, PoisonError, RwLock};

use keystead_crypto::CryptoError;
use keystead_identity::{AccessKey, Directory, Identities};
use keystead_model::Region;
use keystead_sigv4::{Examined, SecretAccessKey, SignatureError, SigningKeys};
use quick_cache::sync::Cache;

use crate::access_keys::{Decoy, open_access_key};
use crate::keyring::Keyring;
use crate::principal::Principal;
use crate::service::Service;

/// How many signing keys, and how many principals, are kept of one reading of the identities.
const KEPT: usize = 10_000;

/// Whom a service accepts.
#[derive(Debug, Clone)]
pub enum Access {
    /// Everybody, for development: no signature is verified, a 12-digit access key names the
    /// account, and the caller is that account's root.
    Open,
    /// Who proves by a signature to hold an access key of these identities. Whoever has them reloads
    /// them; the next request sees it.
    Verified(Arc<Identities>),
}

/// [`Access`] with what verifying needs.
pub(crate) enum Gate {
    Open,
    Verified(Verifier),
}

/// The identities, and what is kept of them from one request to the next.
pub(crate) struct Verifier {
    identities: Arc<Identities>,
    snapshot: RwLock<Arc<Snapshot>>,
    decoy: Decoy,
}

/// One reading of the identity file with all that was made from it. A request takes it once and
/// keeps it to its end; a new reading begins a new one, so that nothing made from a secret or a
/// policy outlives it.
pub(crate) struct Snapshot {
    pub(crate) directory: Arc<Directory>,
    pub(crate) signing: SigningKeys,
    /// By access key id, of those that have signed a request.
    holders: Cache<Box<str>, Holder>,
}

/// Who holds an access key.
#[derive(Clone)]
pub(crate) struct Holder {
    pub(crate) access_key: Arc<str>,
    pub(crate) principal: Arc<Principal>,
}

impl Gate {
    /// # Errors
    /// [`CryptoError`] when the library or its random source fails.
    pub(crate) fn new(access: Access, keyring: &Keyring) -> Result<Self, CryptoError> {
        Ok(match access {
            Access::Open => Self::Open,
            Access::Verified(identities) => Self::Verified(Verifier {
                snapshot: RwLock::new(Arc::new(Snapshot::of(identities.current()))),
                decoy: Decoy::new(keyring.access_keys())?,
                identities,
            }),
        })
    }

    /// The identities in force; `None`: everybody is accepted, and nobody is known.
    pub(crate) fn directory(&self) -> Option<Arc<Directory>> {
        match self {
            Self::Open => None,
            Self::Verified(verifier) => Some(verifier.identities.current()),
        }
    }
}

impl Verifier {
    /// The identities in force.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        let current = self.identities.current();
        // A poisoned lock only means that a holder panicked: the value is whole.
        {
            let snapshot = self.snapshot.read().unwrap_or_else(PoisonError::into_inner);
            if Arc::ptr_eq(&snapshot.directory, &current) {
                return Arc::clone(&snapshot);
            }
        }
        let mut snapshot = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        // Asked again: of several requests that saw the change one begins the new snapshot, and a
        // request that was overtaken by a second change does not bring back what was before it.
        let current = self.identities.current();
        if !Arc::ptr_eq(&snapshot.directory, &current) {
            *snapshot = Arc::new(Snapshot::of(current));
        }
        Arc::clone(&snapshot)
    }

    /// Refuses a request after the work that a request of a known access key would have been.
    pub(crate) fn refuse(
        &self,
        keyring: &Keyring,
        snapshot: &Snapshot,
        examined: &Examined<'_>,
    ) -> SignatureError<'static> {
        self.decoy.open(keyring.access_keys());
        snapshot.signing.refuse(examined)
    }
}

impl Snapshot {
    fn of(directory: Arc<Directory>) -> Self {
        Self { directory, signing: SigningKeys::new(KEPT), holders: Cache::new(KEPT) }
    }

    /// A long-term access key that may be used in a Region: active, and of an account of the
    /// Region's partition, since identities do not cross partitions.
    pub(crate) fn usable(&self, id: &str, region: &Region) -> Option<&AccessKey> {
        let key = self.directory.access_key(id)?;
        let account = self.directory.account(key.owner.account())?;
        (key.active && account.partition == region.partition()).then_some(key)
    }

    /// Who holds a long-term access key. Asked once its signature is verified.
    pub(crate) fn holder(&self, key: &AccessKey) -> Option<Holder> {
        if let Some(holder) = self.holders.get(key.id.as_str()) {
            return Some(holder);
        }
        let account = self.directory.account(key.owner.account())?;
        let principal = match self.directory.owner(key.owner) {
            Some(user) => Principal::of_user(account, user),
            None => Principal::of_root(account),
        };
        let holder = Holder { access_key: key.id.as_str().into(), principal: Arc::new(principal) };
        self.holders.insert(key.id.as_str().into(), holder.clone());
        Some(holder)
    }
}

impl Service {
    /// Opens the secret of a long-term access key.
    ///
    /// # Errors
    /// The seal of this store does not open it: the access key is as good as unknown. See
    /// [`Service::unusable_access_keys`].
    pub(crate) fn secret_of(
        &self,
        key: &AccessKey,
    ) -> Result<SecretAccessKey, SignatureError<'static>> {
        let seal = self.keyring.access_keys();
        let opened = open_access_key(seal, key.owner.account(), &key.id, key.secret.as_str());
        match opened {
            Ok(secret) => Ok(SecretAccessKey::new(secret.expose())),
            Err(_) => Err(SignatureError::InvalidToken),
        }
    }

    /// The active access keys in force that cannot be used, because this store's seal does not open
    /// their secrets: they were made for another store, account or access key, or were changed.
    #[must_use]
    pub fn unusable_access_keys(&self) -> Vec<String> {
        let Some(directory) = self.gate.directory() else { return Vec::new() };
        let closed = |key: &&AccessKey| key.active && self.secret_of(key).is_err();
        let mut ids: Vec<_> =
            directory.access_keys().filter(closed).map(|key| key.id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// Whether requests for a Region are taken.
    pub(crate) fn serves(&self, region: &str) -> bool {
        match &self.settings.regions {
            None => region.parse::<Region>().is_ok(),
            Some(served) => served.iter().any(|one| one.as_str() == region),
        }
    }
}
