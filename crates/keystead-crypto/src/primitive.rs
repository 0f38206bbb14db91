//! The three primitives everything here is made of, each called in exactly one way.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::kdf::{KbkdfCtrHmacAlgorithmId, get_kbkdf_ctr_hmac_algorithm, kbkdf_ctr_hmac};

use crate::arena::KEY_LEN;
use crate::error::CryptoError;

/// Bytes of a GCM initialisation vector.
pub(crate) const IV_LEN: usize = 12;
/// Bytes of a GCM tag.
pub(crate) const TAG_LEN: usize = 16;
/// Bytes of the random value from which a key for one encryption is derived.
pub(crate) const NONCE_LEN: usize = 16;

/// KBKDF in counter mode with HMAC-SHA-256 (NIST SP 800-108r1, 4.1) and 256 bits of output: one PRF
/// call over `be32(1) ‖ label ‖ 0x00 ‖ context ‖ be32(256)`.
pub(crate) fn derive(
    secret: &[u8],
    label: &[u8],
    context: &[u8],
    out: &mut [u8; KEY_LEN],
) -> Result<(), CryptoError> {
    const FAILED: CryptoError = CryptoError::Library("key derivation");
    // On the stack: this runs once per encryption. Labels and contexts are constants and nonces of
    // this crate.
    let mut info = [0; 96];
    let parts = [label, &[0], context, &256u32.to_be_bytes()];
    let mut len = 0;
    for part in parts {
        info.get_mut(len..len + part.len()).ok_or(FAILED)?.copy_from_slice(part);
        len += part.len();
    }
    kbkdf(secret, &info[..len], out)
}

pub(crate) fn kbkdf(secret: &[u8], info: &[u8], out: &mut [u8]) -> Result<(), CryptoError> {
    const FAILED: CryptoError = CryptoError::Library("key derivation");
    let algorithm = get_kbkdf_ctr_hmac_algorithm(KbkdfCtrHmacAlgorithmId::Sha256).ok_or(FAILED)?;
    kbkdf_ctr_hmac(algorithm, secret, info, out).map_err(|_| FAILED)
}

/// HMAC-SHA-256 with a key that is used once.
pub(crate) fn mac(key: &[u8; KEY_LEN], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
}

/// AES-256-GCM. `ciphertext` has the length of `plaintext`.
///
/// The key schedule lives for this call: AES-256's begins with the key itself, so a prepared key
/// would be a copy of the key outside the arena. AWS-LC wipes what it frees.
pub(crate) fn seal(
    key: &[u8; KEY_LEN],
    iv: &[u8; IV_LEN],
    aad: &[u8],
    plaintext: &[u8],
    ciphertext: &mut [u8],
    tag: &mut [u8],
) -> Result<(), CryptoError> {
    prepare(key)
        .and_then(|key| {
            key.seal_out_of_place_scatter(
                Nonce::from(iv),
                Aad::from(aad),
                plaintext,
                ciphertext,
                &[],
                tag,
            )
        })
        .map_err(|_| CryptoError::Library("encryption"))
}

/// The inverse of [`seal`]. On an error the content of `plaintext` is unspecified; callers give
/// memory that is wiped.
pub(crate) fn open(
    key: &[u8; KEY_LEN],
    iv: &[u8; IV_LEN],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8],
    plaintext: &mut [u8],
) -> Result<(), Unspecified> {
    prepare(key)?.open_separate_gather(Nonce::from(iv), Aad::from(aad), ciphertext, tag, plaintext)
}

fn prepare(key: &[u8; KEY_LEN]) -> Result<LessSafeKey, Unspecified> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new)
}
