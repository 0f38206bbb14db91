use aws_lc_rs::constant_time;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1_SIGNING,
    ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair,
};

use super::{DataKeyPair, PairSpec, pkcs8};
use crate::error::CryptoError;
use crate::secret::Secret;

pub(super) fn generate(spec: PairSpec) -> Result<DataKeyPair, CryptoError> {
    let failed = |_| CryptoError::Library("elliptic curve key generation");
    let curve = Curve::of(spec).ok_or(CryptoError::Library("choice of the curve"))?;
    let pair = EcdsaKeyPair::generate(curve.algorithm).map_err(failed)?;
    let private = pair.to_pkcs8v1().map_err(failed)?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
    Ok(DataKeyPair {
        private_pkcs8: Secret::from_slice(private.as_ref()),
        public_spki: public.as_ref().to_vec(),
    })
}

/// Recomputes the public point from the exported scalar and compares it with both exported points.
pub(super) fn is_consistent(spec: PairSpec, private: &[u8], spki: &[u8]) -> bool {
    let Some(curve) = Curve::of(spec) else { return false };
    let prefixes_fit =
        private.starts_with(curve.pkcs8_prefix) && spki.starts_with(curve.spki_prefix);
    if !prefixes_fit || spki.len() != curve.spki_prefix.len() + 2 * curve.field_len {
        return false;
    }
    let Ok((scalar, point)) = pkcs8::private_key(private).and_then(pkcs8::ec_private_key) else {
        return false;
    };
    // The prefix ends with the 04 of an uncompressed point, which is part of the point.
    let public = &spki[curve.spki_prefix.len() - 1..];
    scalar.len() == curve.field_len
        && constant_time::verify_slices_are_equal(point, public).is_ok()
        && EcdsaKeyPair::from_private_key_and_public_key(curve.algorithm, scalar, public).is_ok()
}

struct Curve {
    algorithm: &'static EcdsaSigningAlgorithm,
    /// Bytes of a coordinate and of the scalar.
    field_len: usize,
    /// All that precedes the ECPrivateKey, with its own header.
    pkcs8_prefix: &'static [u8],
    /// All that precedes the coordinates.
    spki_prefix: &'static [u8],
}

impl Curve {
    fn of(spec: PairSpec) -> Option<Self> {
        Some(match spec {
            PairSpec::EccNistP256 => Self {
                algorithm: &ECDSA_P256_SHA256_ASN1_SIGNING,
                field_len: 32,
                pkcs8_prefix: b"\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x6d",
                spki_prefix: b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04",
            },
            PairSpec::EccNistP384 => Self {
                algorithm: &ECDSA_P384_SHA384_ASN1_SIGNING,
                field_len: 48,
                pkcs8_prefix: b"\x30\x81\xb6\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x04\x81\x9e",
                spki_prefix: b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04",
            },
            PairSpec::EccNistP521 => Self {
                algorithm: &ECDSA_P521_SHA512_ASN1_SIGNING,
                field_len: 66,
                pkcs8_prefix: b"\x30\x81\xee\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x04\x81\xd6",
                spki_prefix: b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00\x04",
            },
            PairSpec::EccSecgP256k1 => Self {
                algorithm: &ECDSA_P256K1_SHA256_ASN1_SIGNING,
                field_len: 32,
                pkcs8_prefix: b"\x30\x81\x84\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x0a\x04\x6d",
                spki_prefix: b"\x30\x56\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x0a\x03\x42\x00\x04",
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Private and public keys of RFC 6979, A.2.5 to A.2.7; for secp256k1 2·G (SEC 2 generator,
    /// doubled).
    #[test]
    fn known_private_keys_have_their_known_points() {
        let vectors = [
            (
                PairSpec::EccNistP256,
                "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
                "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
                "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
            ),
            (
                PairSpec::EccNistP384,
                "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d8\
                 96d5724e4c70a825f872c9ea60d2edf5",
                "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64\
                 def8f0ea9055866064a254515480bc13",
                "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1\
                 288b231c3ae0d4fe7344fd2533264720",
            ),
            (
                PairSpec::EccNistP521,
                "00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75\
                 caa896eb32f1f47c70855836a6d16fcc1466f6d8fbec67db89ec0c08b0e996b8\
                 3538",
                "01894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd\
                 371123d46e45db6b5d5370a7f20fb633155d38ffa16d2bd761dcac474b9a2f50\
                 23a4",
                "00493101c962cd4d2fddf782285e64584139c2f91b47f87ff82354d6630f746a\
                 28a0db25741b5b34a828008b22acc23f924faafbd4d33f81ea66956dfeaa2bfd\
                 fcf5",
            ),
            (
                PairSpec::EccSecgP256k1,
                "0000000000000000000000000000000000000000000000000000000000000002",
                "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
                "1ae168fea63dc339a3c58419466ceaeef7f632653266d0e1236431a950cfe52a",
            ),
        ];
        for (spec, scalar, x, y) in vectors {
            let [scalar, x, y] = [scalar, x, y].map(|digits| hex::decode(digits).unwrap());
            let (private, public) = encode(spec, &scalar, &x, &y);
            assert!(is_consistent(spec, &private, &public), "{spec:?}");
            // −Y is on the curve, too, and belongs to another scalar.
            let mut other = scalar.clone();
            *other.last_mut().unwrap() ^= 1;
            let (private, public) = encode(spec, &other, &x, &y);
            assert!(!is_consistent(spec, &private, &public), "{spec:?}");
        }
    }

    fn encode(spec: PairSpec, scalar: &[u8], x: &[u8], y: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let curve = Curve::of(spec).unwrap();
        let spki = [curve.spki_prefix, x, y].concat();
        // The tail of a genuine export has the headers; scalar and point are put in their places.
        let mut private = generate(spec).unwrap().private_pkcs8.expose().to_vec();
        let point_at = private.len() - 2 * curve.field_len;
        private[point_at..].copy_from_slice(&[x, y].concat());
        let scalar_at = private.len() - pkcs8::private_key(&private).unwrap().len()
            + pkcs8::private_key(&private).unwrap().windows(2).position(|two| two[0] == 4).unwrap()
            + 2;
        private[scalar_at..scalar_at + curve.field_len].copy_from_slice(scalar);
        (private, spki)
    }
}
