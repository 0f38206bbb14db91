//! SM2 (GM/T 0003) by the `sm2` crate, with AWS-LC as its source of randomness.

use der::Decode;
use sm2::dsa::signature::hazmat::{PrehashVerifier, RandomizedPrehashSigner};
use sm2::dsa::signature::{RandomizedSigner, Verifier};
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use sm2::elliptic_curve::point::AffineCoordinates;
use sm2::elliptic_curve::rand_core::{TryCryptoRng, TryRng};
use sm2::elliptic_curve::sec1::ToSec1Point;
use sm2::pkcs8::{EncodePrivateKey, EncodePublicKey};
use sm2::pke::{Cipher, DecryptingKey, EncryptingKey, Mode};
use sm2::{PublicKey, Scalar, SecretKey};
use zeroize::Zeroize;

use super::encoding;
use crate::error::CryptoError;
use crate::random;
use crate::secret::Secret;

/// The signer's identity where none is agreed on (GM/T 0009, 10).
const SIGNER_ID: &str = "1234567812345678";
/// Bytes of a scalar and of a coordinate.
const FIELD_LEN: usize = 32;
/// Bytes of an uncompressed point.
const POINT_LEN: usize = 1 + 2 * FIELD_LEN;
const FAILED: CryptoError = CryptoError::Library("SM2");

/// A private key from its scalar, which must be from 1 to n − 2: for n − 1 there is no signature
/// (GM/T 0003.1, 6.1).
pub(super) fn private_key(scalar: &[u8; FIELD_LEN]) -> Option<Box<SecretKey>> {
    let key = Box::new(SecretKey::from_slice(scalar).ok()?);
    let successor = *key.to_nonzero_scalar() + Scalar::ONE;
    (!bool::from(successor.is_zero())).then_some(key)
}

pub(super) fn to_pkcs8(key: &SecretKey) -> Result<Secret, CryptoError> {
    key.to_pkcs8_der().map(|der| Secret::from_slice(der.as_bytes())).map_err(|_| FAILED)
}

pub(super) fn to_spki(key: &SecretKey) -> Result<Vec<u8>, CryptoError> {
    key.public_key().to_public_key_der().map(|der| der.as_bytes().to_vec()).map_err(|_| FAILED)
}

/// The uncompressed point.
pub(super) fn point(key: &SecretKey) -> Vec<u8> {
    key.public_key().to_sec1_point(false).as_bytes().to_vec()
}

/// A public key from its point, uncompressed or compressed; it is on the curve and not the identity.
pub(super) fn public_key(point: &[u8]) -> Option<PublicKey> {
    let encoded = match point {
        [4, ..] => point.len() == POINT_LEN,
        [2 | 3, ..] => point.len() == 1 + FIELD_LEN,
        _ => false,
    };
    if encoded { PublicKey::from_sec1_bytes(point).ok() } else { None }
}

pub(super) fn sign_message(key: &SecretKey, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
    sign(key, |signer| signer.try_sign_with_rng(&mut AwsLcRng, message))
}

/// `e` is the value of GM/T 0003.2, 6.1, A2.
pub(super) fn sign_digest(key: &SecretKey, e: &[u8; 32]) -> Result<Vec<u8>, CryptoError> {
    sign(key, |signer| signer.sign_prehash_with_rng(&mut AwsLcRng, e))
}

/// The nonce comes from RFC 6979 with fresh randomness mixed in. Once in 2^255 the standard asks for
/// another nonce, and the library gives up instead.
fn sign(
    key: &SecretKey,
    attempt: impl Fn(&SigningKey) -> sm2::dsa::signature::Result<Signature>,
) -> Result<Vec<u8>, CryptoError> {
    let signer = SigningKey::new(SIGNER_ID, key).map_err(|_| FAILED)?;
    let signature = (0..3).find_map(|_| attempt(&signer).ok()).ok_or(FAILED)?;
    let stripped = |number: &[u8]| {
        let zeros = number.iter().take_while(|&&byte| byte == 0).count();
        encoding::integer(&number[zeros..])
    };
    let (r, s) = (stripped(&signature.r_bytes()), stripped(&signature.s_bytes()));
    Ok(encoding::tlv(encoding::SEQUENCE, &[&r, &s]).to_vec())
}

pub(super) fn verify_message(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    verify(key, signature, |verifier, signature| verifier.verify(message, signature))
}

pub(super) fn verify_digest(key: &PublicKey, e: &[u8; 32], signature: &[u8]) -> bool {
    verify(key, signature, |verifier, signature| verifier.verify_prehash(e, signature))
}

fn verify(
    key: &PublicKey,
    signature: &[u8],
    check: impl FnOnce(&VerifyingKey, &Signature) -> sm2::dsa::signature::Result<()>,
) -> bool {
    let Some(signature) = parse_signature(signature) else { return false };
    VerifyingKey::new(SIGNER_ID, *key).is_ok_and(|verifier| check(&verifier, &signature).is_ok())
}

/// Strict DER, r and s from 1 to n − 1.
fn parse_signature(der: &[u8]) -> Option<Signature> {
    let mut bytes = [0; 2 * FIELD_LEN];
    for (number, field) in
        encoding::signature(der).ok()?.into_iter().zip(bytes.chunks_exact_mut(FIELD_LEN))
    {
        let start = field.len().checked_sub(number.len())?;
        field[start..].copy_from_slice(number);
    }
    Signature::from_slice(&bytes).ok()
}

/// `plaintext` is not empty.
pub(super) fn encrypt(key: &PublicKey, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    EncryptingKey::new(*key).encrypt_der(&mut AwsLcRng, plaintext).map_err(|_| FAILED)
}

pub(super) fn decrypt(key: &SecretKey, ciphertext: &[u8]) -> Option<Secret> {
    let cipher: Cipher<'_> = Cipher::from_der(ciphertext).ok()?;
    let decrypting = DecryptingKey::new_with_mode(key.to_nonzero_scalar(), Mode::default());
    let plaintext = Secret::filled(cipher.c2().len(), |out| {
        decrypting.decrypt_cipher_with_buf(&cipher, out).map(|_| ())
    })
    .ok()?;
    // GM/T 0003.4, 7.1, B4: a key stream of zeros is an error, and so is one of no length.
    (!plaintext.ct_eq(cipher.c2())).then_some(plaintext)
}

/// The x coordinate of the common point, 32 bytes. The curve has a prime order and the scalar is not
/// zero, so it is not the identity.
pub(super) fn agree(key: &SecretKey, peer: &PublicKey) -> Secret {
    let mut x = (peer.to_projective() * *key.to_nonzero_scalar()).to_affine().x();
    let secret = Secret::from_slice(&x);
    x.as_mut_slice().zeroize();
    secret
}

/// AWS-LC's generator as RustCrypto's crates want it.
struct AwsLcRng;

impl TryRng for AwsLcRng {
    type Error = CryptoError;

    fn try_next_u32(&mut self) -> Result<u32, CryptoError> {
        random::random_bytes().map(u32::from_be_bytes)
    }

    fn try_next_u64(&mut self) -> Result<u64, CryptoError> {
        random::random_bytes().map(u64::from_be_bytes)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), CryptoError> {
        random::fill_random(out)
    }
}

impl TryCryptoRng for AwsLcRng {}
