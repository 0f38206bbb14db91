use std::io;

use crate::asymmetric::AsymmetricSpec;
use crate::pairs::PairSpec;

/// What can go wrong inside this room. None of it is the caller's fault except
/// [`PlaintextLength`](Self::PlaintextLength) and the two epoch errors of administration.
///
/// The underlying library gives no reasons, so a failure is named by the place where it happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The random number generator failed or gave too little. The request must be abandoned: there
    /// is no second source to fall back to.
    #[error("the random number generator failed")]
    Random,
    /// No memory for secrets could be mapped: the system refused, or the ceiling of the arena is
    /// reached.
    #[error("no memory for secrets: {0}")]
    SecretMemory(io::ErrorKind),
    /// The cryptographic library refused an operation that cannot fail with correct arguments;
    /// names the place.
    #[error("the cryptographic library failed at `{0}`")]
    Library(&'static str),
    /// A plaintext that no ciphertext blob can hold: empty, or longer than the blob's bound.
    /// Carries its bytes.
    #[error("a plaintext of {0} bytes does not fit a ciphertext blob")]
    PlaintextLength(usize),
    /// Key material that cannot be wrapped: empty, or longer than
    /// [`MAX_SECRET`](crate::MAX_SECRET). Carries its bytes.
    #[error("key material of {0} bytes cannot be wrapped")]
    SecretLength(usize),
    /// A new key pair did not pass its pairwise consistency test and was discarded. Raise an alarm:
    /// the machine computes wrongly (FIPS 140-3 IG 10.3.A).
    #[error("a new {} key pair failed its consistency test", .0.as_str())]
    ConsistencyTest(PairSpec),
    /// The same of a new private key that no data key pair can be.
    #[error("a new {} key failed its consistency test", .0.as_str())]
    AsymmetricConsistencyTest(AsymmetricSpec),
    /// No domain key of this epoch is held.
    #[error("there is no domain key of epoch {0}")]
    UnknownEpoch(u32),
    /// The current domain key cannot be dropped.
    #[error("epoch {0} is the current domain key")]
    CurrentEpoch(u32),
    /// All 2^32 − 1 epochs have been used.
    #[error("no domain key epoch is left")]
    EpochsExhausted,
}

/// Why a wrapped record did not open. These are faults of the store or of its configuration, never
/// of a caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// The record is too short or too long (`None`), or has a format byte this release does not
    /// know.
    #[error("a wrapped record has {}", match .0 {
        Some(format) => format!("the unknown format {format}"),
        None => "an impossible length".to_owned(),
    })]
    Format(Option<u8>),
    /// The record names a domain key epoch that is not held.
    #[error("a wrapped record names the unknown domain key epoch {0}")]
    UnknownEpoch(u32),
    /// The record was changed, belongs elsewhere, or was wrapped under another key.
    #[error("a wrapped record does not authenticate")]
    Authentication,
    /// A store without a single domain key.
    #[error("there is no domain key")]
    NoEpoch,
    /// A fault of this machine rather than of the record.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// Why the check value of the root key did not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RootCheckError {
    /// The record is intact and was made with another root key.
    #[error("this is not the root key of this store")]
    WrongRootKey,
    /// The record was changed, cut, or belongs to another store: nothing can be said about the root
    /// key.
    #[error("the root key check value is damaged or belongs to another store")]
    Damaged,
    /// The record has a format this release does not know.
    #[error("the root key check value has the unknown format {0}")]
    Format(u8),
    /// A fault of this machine rather than of the record.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}
