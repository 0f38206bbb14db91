//! The two algorithms that AWS-LC has and its Rust wrapper does not offer: Ed25519ph, and ML-DSA
//! over the external message representative μ.
#![allow(unsafe_code, reason = "calls into the C library; with the arena the only module that may")]

use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use aws_lc_sys::{
    CBS, CBS_init, ED25519ph_sign, ED25519ph_verify, EVP_PKEY, EVP_PKEY_CTX, EVP_PKEY_CTX_free,
    EVP_PKEY_CTX_new, EVP_PKEY_free, EVP_PKEY_sign, EVP_PKEY_sign_init, EVP_PKEY_verify,
    EVP_PKEY_verify_init, EVP_parse_private_key, EVP_parse_public_key,
};

/// Bytes of an Ed25519 or Ed25519ph signature.
pub(super) const ED25519_SIGNATURE_LEN: usize = 64;
/// Bytes of an Ed25519 private key as the library wants it: seed, then public key.
pub(super) const ED25519_PRIVATE_LEN: usize = 64;
/// Bytes of the message representative of ML-DSA.
pub(super) const MU_LEN: usize = 64;

/// Ed25519ph (RFC 8032, 5.1) with an empty context: SHA-512 is applied to `message` here. `None`
/// when the library refuses.
pub(super) fn ed25519ph_sign_message(
    private: &[u8; ED25519_PRIVATE_LEN],
    message: &[u8],
) -> Option<[u8; ED25519_SIGNATURE_LEN]> {
    let mut signature = [0; ED25519_SIGNATURE_LEN];
    // SAFETY: every pointer is valid for the length that the function reads or writes: 64 bytes of
    // signature, `message.len()` of message, 64 of private key, none of context. Nothing is kept.
    let done = unsafe {
        ED25519ph_sign(
            signature.as_mut_ptr(),
            message.as_ptr(),
            message.len(),
            private.as_ptr(),
            ptr::NonNull::dangling().as_ptr(),
            0,
        )
    };
    (done == 1).then_some(signature)
}

/// The inverse of [`ed25519ph_sign_message`].
pub(super) fn ed25519ph_verify_message(
    public: &[u8; 32],
    message: &[u8],
    signature: &[u8; ED25519_SIGNATURE_LEN],
) -> bool {
    // SAFETY: as above, all pointers being read: `message.len()` bytes of message, 64 of signature,
    // 32 of public key, none of context.
    let valid = unsafe {
        ED25519ph_verify(
            message.as_ptr(),
            message.len(),
            signature.as_ptr(),
            public.as_ptr(),
            ptr::NonNull::dangling().as_ptr(),
            0,
        )
    };
    valid == 1
}

/// A key of the library, freed (and thereby wiped) on drop.
pub(super) struct LibraryKey(NonNull<EVP_PKEY>);

// SAFETY: a key belongs to no thread. Signing and verifying change nothing in it but its reference
// count, which the library changes atomically; it is never written otherwise after it was parsed.
unsafe impl Send for LibraryKey {}
// SAFETY: as above.
unsafe impl Sync for LibraryKey {}

impl LibraryKey {
    /// Parses PKCS #8; the caller has checked the algorithm. `None` when the library refuses or
    /// bytes are left over.
    pub(super) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        Self::parse(der, EVP_parse_private_key)
    }

    /// Parses a SubjectPublicKeyInfo in the same way.
    pub(super) fn from_spki(der: &[u8]) -> Option<Self> {
        Self::parse(der, EVP_parse_public_key)
    }

    fn parse(der: &[u8], parser: unsafe extern "C" fn(*mut CBS) -> *mut EVP_PKEY) -> Option<Self> {
        let mut input = MaybeUninit::<CBS>::uninit();
        // SAFETY: `CBS_init` writes the whole of `input`, which then borrows `der` and is not used
        // beyond this function. The parser reads no more than that and returns null or a key of
        // which we own the only reference.
        let (key, rest) = unsafe {
            CBS_init(input.as_mut_ptr(), der.as_ptr(), der.len());
            let key = parser(input.as_mut_ptr());
            (key, input.assume_init().len)
        };
        // Taken into ownership first, so that it is freed when bytes are left over.
        let key = Self(NonNull::new(key)?);
        (rest == 0).then_some(key)
    }

    /// An ML-DSA signature over μ, of the length of the key's parameter set.
    pub(super) fn sign_mu(&self, mu: &[u8; MU_LEN], signature_len: usize) -> Option<Vec<u8>> {
        let context = Context::new(self)?;
        let mut signature = vec![0; signature_len];
        let mut written = signature.len();
        // SAFETY: the context is live and holds a reference of its own to the key. The function
        // writes at most `written` bytes to `signature`, which has that many, and reads 64 of `mu`.
        let done = unsafe {
            EVP_PKEY_sign_init(context.0.as_ptr()) == 1
                && EVP_PKEY_sign(
                    context.0.as_ptr(),
                    signature.as_mut_ptr(),
                    &raw mut written,
                    mu.as_ptr(),
                    mu.len(),
                ) == 1
        };
        (done && written == signature_len).then_some(signature)
    }

    /// The inverse of [`sign_mu`](Self::sign_mu).
    pub(super) fn verify_mu(&self, mu: &[u8; MU_LEN], signature: &[u8]) -> bool {
        let Some(context) = Context::new(self) else { return false };
        // SAFETY: as above; both byte strings are only read, for the lengths given.
        unsafe {
            EVP_PKEY_verify_init(context.0.as_ptr()) == 1
                && EVP_PKEY_verify(
                    context.0.as_ptr(),
                    signature.as_ptr(),
                    signature.len(),
                    mu.as_ptr(),
                    mu.len(),
                ) == 1
        }
    }
}

impl Drop for LibraryKey {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and is not used again. Contexts hold references of their
        // own.
        unsafe { EVP_PKEY_free(self.0.as_ptr()) }
    }
}

/// The state of one operation.
struct Context(NonNull<EVP_PKEY_CTX>);

impl Context {
    fn new(key: &LibraryKey) -> Option<Self> {
        // SAFETY: the key is live; the context takes a reference of its own to it. A null engine
        // means the library itself.
        NonNull::new(unsafe { EVP_PKEY_CTX_new(key.0.as_ptr(), ptr::null_mut()) }).map(Self)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is ours and is not used again.
        unsafe { EVP_PKEY_CTX_free(self.0.as_ptr()) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::vectors::ledger::{Ledger, Tally};

    /// RFC 8032, 7.3: the message "abc".
    #[test]
    fn ed25519ph_of_the_rfc() {
        let private = hex::decode(
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42\
             ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        )
        .unwrap();
        let expected = "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41\
                        31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406";
        let private: &[u8; 64] = private[..].try_into().unwrap();
        let public = private[32..].try_into().unwrap();
        let signature = ed25519ph_sign_message(private, b"abc").unwrap();
        assert_eq!(hex::encode(signature), expected);
        assert!(ed25519ph_verify_message(public, b"abc", &signature));
        assert!(!ed25519ph_verify_message(public, b"abd", &signature));
        assert!(!ed25519ph_verify_message(public, b"", &signature));
        assert!(!ed25519ph_verify_message(public, b"abc", &[0; 64]));
        assert!(!ed25519ph_verify_message(public, b"abc", &[0xff; 64]));
        let mut ledger = Ledger::new("src/asymmetric/ffi.rs ed25519ph_of_the_rfc");
        let mut tally = Tally::default();
        tally.count(true);
        ledger.record("RFC 8032, 7.3", tally);
        ledger.close();
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for der in [&b""[..], b"\x30", b"\x30\x00", &[0xff; 60]] {
            assert!(LibraryKey::from_pkcs8(der).is_none());
            assert!(LibraryKey::from_spki(der).is_none());
        }
        let seed = [&b"\x30\x34\x02\x01\x00\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x11\x04\x22\x80\x20"[..], &[7; 32]].concat();
        let key = LibraryKey::from_pkcs8(&seed).unwrap();
        assert!(LibraryKey::from_pkcs8(&[&seed[..], &[0]].concat()).is_none());
        // A buffer too short for the signature is refused, not overrun.
        assert!(key.sign_mu(&[1; 64], 2419).is_none());
        let signature = key.sign_mu(&[1; 64], 2420).unwrap();
        assert!(key.verify_mu(&[1; 64], &signature));
        for other in [&signature[..2419], &[&signature[..], &[0]].concat(), &[]] {
            assert!(!key.verify_mu(&[1; 64], other));
        }
    }

    #[test]
    fn a_key_serves_many_threads() {
        let seed = [&b"\x30\x34\x02\x01\x00\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x12\x04\x22\x80\x20"[..], &[7; 32]].concat();
        let key = LibraryKey::from_pkcs8(&seed).unwrap();
        std::thread::scope(|scope| {
            for byte in 0..4 {
                let key = &key;
                scope.spawn(move || {
                    for _ in 0..20 {
                        let signature = key.sign_mu(&[byte; 64], 3309).unwrap();
                        assert!(key.verify_mu(&[byte; 64], &signature));
                    }
                });
            }
        });
    }
}
