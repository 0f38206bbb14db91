use std::fmt;
use std::mem;

use aws_lc_rs::constant_time;
use zeroize::{Zeroize, Zeroizing};

use crate::error::CryptoError;
use crate::random;

/// Secret bytes that live for one request: a plaintext, a data key, the private half of a pair.
///
/// They are in a box of their own (moving the `Secret` copies no secret byte), wiped on drop, and
/// can be neither cloned nor printed nor compared by `==`. Secrets that outlive a request belong
/// into the [arena](crate::arena).
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Copies `bytes`; wiping the original is the caller's affair.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Takes `bytes` over and leaves no copy behind: where the vector is larger than its content,
    /// so that shrinking could move it, the content is copied and the vector wiped.
    #[must_use]
    pub fn from_vec(mut bytes: Vec<u8>) -> Self {
        if bytes.capacity() == bytes.len() {
            return Self(bytes.into_boxed_slice());
        }
        let secret = Self::from_slice(&bytes);
        bytes.zeroize();
        secret
    }

    /// Draws `len` random bytes.
    ///
    /// # Errors
    /// [`CryptoError::Random`].
    pub fn random(len: usize) -> Result<Self, CryptoError> {
        Self::filled(len, random::fill_random)
    }

    /// Makes a secret of `len` bytes by writing it in place, so that it is never anywhere else.
    /// When `fill` fails, what it has written is wiped.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn filled<E>(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(vec![0; len].into_boxed_slice());
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// The secret bytes. Every call deserves a reason.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no byte at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares in time that depends on the lengths alone.
    #[must_use]
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.0, other).is_ok()
    }

    /// Hands the bytes over, without a copy, to an encoder that wipes its buffers.
    #[must_use]
    pub fn into_zeroizing(mut self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(mem::take(&mut self.0).into_vec())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_length_alone() {
        let secret = Secret::from_slice(b"hunter2 hunter2");
        assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(15 bytes) Secret(15 bytes)");
    }

    #[test]
    fn comparison_is_by_content() {
        let secret = Secret::from_slice(b"abc");
        assert!(secret.ct_eq(b"abc"));
        assert!(!secret.ct_eq(b"abd"));
        assert!(!secret.ct_eq(b"ab"));
        assert!(!secret.ct_eq(b"abcd"));
        assert!(Secret::from_slice(b"").ct_eq(b""));
    }

    #[test]
    fn vectors_of_any_capacity_are_taken_over() {
        let mut roomy = Vec::with_capacity(64);
        roomy.extend_from_slice(b"abc");
        assert_eq!(Secret::from_vec(roomy).expose(), b"abc");
        assert_eq!(Secret::from_vec(b"abc".to_vec()).expose(), b"abc");
        assert_eq!(*Secret::from_slice(b"abc").into_zeroizing(), b"abc");
    }

    #[test]
    fn a_failed_fill_gives_no_secret() {
        let failed = Secret::filled(4, |out| {
            out[0] = 1;
            Err(CryptoError::Random)
        });
        assert_eq!(failed.map(|_| ()), Err(CryptoError::Random));
        assert_eq!(Secret::random(24).unwrap().len(), 24);
        assert!(Secret::random(0).unwrap().is_empty());
    }
}
