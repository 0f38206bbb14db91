//! Signing keys kept for the next request, and the one way to compare signatures that gives nothing away.

use std::{fmt, hint::black_box, sync::Arc};

use quick_cache::sync::Cache;

use crate::{Examined, SecretAccessKey, SignatureError, SigningKey, Verified};

/// Signing keys by access key id, date, Region and service: bounded, safe for many threads, and wiped one by one as
/// they leave.
///
/// A key enters only after a signature made with it was verified, so nobody without a secret can push others
/// out.
///
/// **One for each snapshot of the identities.** A secret that changes makes its cached keys wrong, and nothing here
/// knows: keep `SigningKeys` beside the secrets that it stands for and drop both together. Whether an access key
/// is active, and whether a session token belongs to it and is in date, has to be asked *before* [`verify`](Self::verify):
/// a cached key answers without asking for the secret.
///
/// **Refusals cost the same.** Every refusal, of a known access key or of none, has made one comparison with a
/// cached key or a dummy, one derivation and one more comparison. Only an accepted request is cheaper, and that its
/// sender knows anyway.
pub struct SigningKeys {
    /// By the whole credential (`AKIA…/20260102/eu-central-1/kms/aws4_request`), which is in one piece in the header.
    /// Behind `Arc`, so that a key has one place in memory for all its life.
    keys: Cache<Box<str>, Arc<SigningKey>>,
    dummy: SecretAccessKey,
    dummy_key: SigningKey,
}

impl SigningKeys {
    /// Room for about `capacity` keys. An active access key has one for each day, Region and service; at
    /// midnight two.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        // No request is ever accepted because of it: `refuse` does not look at what its comparison says.
        let dummy = SecretAccessKey::new(b"0123456789012345678901234567890123456789");
        let dummy_key = SigningKey::derive(&dummy, "19700101", "dummy", "dummy");
        Self { keys: Cache::new(capacity), dummy, dummy_key }
    }

    /// Compares the signature of a request whose access key is known and active. `secret` is asked for the secret
    /// access key unless a cached signing key verifies.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`], and whatever `secret` fails with.
    pub fn verify<'a, E: From<SignatureError<'static>>>(
        &self,
        examined: &Examined<'a>,
        secret: impl FnOnce() -> Result<SecretAccessKey, E>,
    ) -> Result<Verified<'a>, E> {
        let authorization = examined.authorization();
        match self.keys.get(authorization.credential) {
            Some(key) => {
                if let Ok(verified) = examined.verify(&key) {
                    return Ok(verified);
                }
            }
            // Its verdict does not count: it stands in for the comparison with a cached key.
            None => {
                let _ = black_box(examined.verify(&self.dummy_key));
            }
        }
        // Behind a cached key this does not change the answer. It is made so that the cost of a refusal does not
        // tell whether the access key was used today.
        let key = derive(&secret()?, examined);
        let verified = examined.verify(&key)?;
        self.keys.insert(authorization.credential.into(), Arc::new(key));
        Ok(verified)
    }

    /// Refuses a request whose access key is unknown, inactive or deleted, or whose session token is missing, broken
    /// or of another key, after the same work as [`verify`](Self::verify). A caller whose secrets are sealed opens a
    /// dummy of its own besides.
    #[must_use]
    pub fn refuse(&self, examined: &Examined<'_>) -> SignatureError<'static> {
        black_box(self.keys.get(examined.authorization().credential).is_some());
        let _ = black_box(examined.verify(&self.dummy_key));
        let _ = black_box(examined.verify(&derive(&self.dummy, examined)));
        SignatureError::InvalidToken
    }

    /// How many keys are kept now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeys({} kept)", self.len())
    }
}

fn derive(secret: &SecretAccessKey, examined: &Examined<'_>) -> SigningKey {
    let scope = examined.authorization();
    SigningKey::derive(secret, scope.date, scope.region, scope.service)
}
