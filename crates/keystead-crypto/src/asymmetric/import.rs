use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair, PqdsaKeyPair};
use zeroize::Zeroizing;

use super::encoding::{
    self, BIT_STRING, EC_PUBLIC_KEY, EcPrivateKey, OCTET_STRING, PrivateKeyInfo, SEQUENCE,
};
use super::private::PrivateKey;
use super::{AsymmetricSpec, InvalidKey, signing, sm2};
use crate::secret::Secret;

/// Reads a private key made elsewhere and writes it in the one encoding that is stored.
///
/// Accepted is DER PKCS #8, version 0 or 1, with or without attributes and public keys; ECPrivateKey
/// with or without the named curve and the public point, its scalar with or without leading zeros;
/// RSA with two primes and any odd exponent from 3 that the library takes; ML-DSA as seed, or as
/// seed and expanded key. Refused is BER, another curve or modulus length, explicit curve
/// parameters, RSA with more primes, an ML-DSA key without its seed, and any public key inside that
/// is not the private key's own. An RSA key must moreover make a signature that verifies.
///
/// # Errors
/// [`InvalidKey`].
pub fn import_pkcs8(spec: AsymmetricSpec, pkcs8: &[u8]) -> Result<Secret, InvalidKey> {
    let info = PrivateKeyInfo::parse(spec, pkcs8)?;
    match spec {
        AsymmetricSpec::Rsa2048 | AsymmetricSpec::Rsa3072 | AsymmetricSpec::Rsa4096 => {
            rsa(spec, &info)
        }
        AsymmetricSpec::EccNistP256
        | AsymmetricSpec::EccNistP384
        | AsymmetricSpec::EccNistP521
        | AsymmetricSpec::EccSecgP256k1 => elliptic(spec, &info),
        AsymmetricSpec::EccNistEdwards25519 => edwards(&info),
        AsymmetricSpec::MlDsa44 | AsymmetricSpec::MlDsa65 | AsymmetricSpec::MlDsa87 => {
            ml_dsa(spec, &info)
        }
        AsymmetricSpec::Sm2 => sm2(&info),
    }
}

fn rsa(spec: AsymmetricSpec, info: &PrivateKeyInfo<'_>) -> Result<Secret, InvalidKey> {
    let integers = encoding::rsa_private_key(info.inner)?;
    let [n, e, d, p, q, dp, dq, qinv] = integers.map(encoding::integer);
    let version = encoding::integer(&[]);
    let inner = encoding::tlv(SEQUENCE, &[&version, &n, &e, &d, &p, &q, &dp, &dq, &qinv]);
    let canonical = PrivateKeyInfo::encode(spec, &inner);
    // The library checks n = p · q, d and the CRT values against each other (`RSA_check_key`).
    let key = PrivateKey::from_pkcs8(spec, &canonical)?;
    let public = encoding::tlv(SEQUENCE, &[&n, &e]);
    if !is_own(info.public, &public) || !key.is_consistent_rsa() {
        return Err(InvalidKey);
    }
    Ok(Secret::from_slice(&canonical))
}

fn elliptic(spec: AsymmetricSpec, info: &PrivateKeyInfo<'_>) -> Result<Secret, InvalidKey> {
    let curve = signing::ecdsa(spec).ok_or(InvalidKey)?;
    let given = EcPrivateKey::parse(spec, info.inner)?;
    let scalar = padded(given.scalar, curve.field_len)?;
    let version = encoding::integer(&[1]);
    let scalar = encoding::tlv(OCTET_STRING, &[&scalar]);
    let bare = PrivateKeyInfo::encode(spec, &encoding::tlv(SEQUENCE, &[&version, &scalar]));
    // The library computes the point, but leaves out of its export what it was not given.
    let key = EcdsaKeyPair::from_pkcs8(curve.signing, &bare).map_err(|_| InvalidKey)?;
    let point = key.public_key().as_ref();
    if [given.public, info.public]
        .into_iter()
        .flatten()
        .any(|given| !encoding::is_point(given, point))
    {
        return Err(InvalidKey);
    }
    let public = encoding::tlv(EC_PUBLIC_KEY, &[&encoding::tlv(BIT_STRING, &[&[0], point])]);
    let inner = encoding::tlv(SEQUENCE, &[&version, &scalar, &public]);
    let canonical = PrivateKeyInfo::encode(spec, &inner);
    // Once more, with the point: what cannot be read back must not be stored.
    EcdsaKeyPair::from_pkcs8(curve.signing, &canonical).map_err(|_| InvalidKey)?;
    Ok(Secret::from_slice(&canonical))
}

fn sm2(info: &PrivateKeyInfo<'_>) -> Result<Secret, InvalidKey> {
    let given = EcPrivateKey::parse(AsymmetricSpec::Sm2, info.inner)?;
    let scalar = padded(given.scalar, 32)?;
    let scalar = scalar.as_slice().try_into().map_err(|_| InvalidKey)?;
    let key = sm2::private_key(scalar).ok_or(InvalidKey)?;
    let point = sm2::point(&key);
    if [given.public, info.public]
        .into_iter()
        .flatten()
        .any(|given| !encoding::is_point(given, &point))
    {
        return Err(InvalidKey);
    }
    sm2::to_pkcs8(&key).map_err(|_| InvalidKey)
}

fn edwards(info: &PrivateKeyInfo<'_>) -> Result<Secret, InvalidKey> {
    let seed = encoding::edwards_seed(info.inner)?;
    let key = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| InvalidKey)?;
    if !is_own(info.public, key.public_key().as_ref()) {
        return Err(InvalidKey);
    }
    let inner = encoding::tlv(OCTET_STRING, &[seed]);
    Ok(Secret::from_slice(&PrivateKeyInfo::encode(AsymmetricSpec::EccNistEdwards25519, &inner)))
}

fn ml_dsa(spec: AsymmetricSpec, info: &PrivateKeyInfo<'_>) -> Result<Secret, InvalidKey> {
    let parameters = signing::ml_dsa(spec).ok_or(InvalidKey)?;
    let bare = PrivateKeyInfo::encode(spec, info.inner);
    let key = PqdsaKeyPair::from_pkcs8(parameters.signing, &bare).map_err(|_| InvalidKey)?;
    if !is_own(info.public, key.public_key().as_ref()) {
        return Err(InvalidKey);
    }
    let canonical = key.to_pkcs8v1().map_err(|_| InvalidKey)?;
    Ok(Secret::from_slice(canonical.as_ref()))
}

fn is_own(given: Option<&[u8]>, own: &[u8]) -> bool {
    given.is_none_or(|given| verify_slices_are_equal(given, own).is_ok())
}

/// A scalar with exactly the leading zeros of its field, whatever it had. Range and zero are the
/// library's to check.
fn padded(scalar: &[u8], len: usize) -> Result<Zeroizing<Vec<u8>>, InvalidKey> {
    let zeros = scalar.iter().take_while(|&&byte| byte == 0).count();
    let significant = &scalar[zeros..];
    let start = len.checked_sub(significant.len()).ok_or(InvalidKey)?;
    let mut out = Zeroizing::new(vec![0; len]);
    out[start..].copy_from_slice(significant);
    Ok(out)
}
