use aws_lc_rs::constant_time;
use sm2::SecretKey;
use sm2::elliptic_curve::sec1::ToSec1Point;
use sm2::pkcs8::{EncodePrivateKey, EncodePublicKey};
use zeroize::Zeroizing;

use super::{DataKeyPair, pkcs8};
use crate::error::CryptoError;
use crate::random;
use crate::secret::Secret;

const SCALAR_LEN: usize = 32;
/// n − 1, one less than the order of the curve (GM/T 0003.5).
const ORDER_MINUS_ONE: [u8; SCALAR_LEN] = [
    0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x72, 0x03, 0xdf, 0x6b, 0x21, 0xc6, 0x05, 0x2b, 0x53, 0xbb, 0xf4, 0x09, 0x39, 0xd5, 0x41, 0x22,
];
/// All that precedes the ECPrivateKey.
const PKCS8_PREFIX: &[u8] = b"\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x81\x1c\xcf\x55\x01\x82\x2d\x04\x6d";
/// All that precedes the coordinates.
const SPKI_PREFIX: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x81\x1c\xcf\x55\x01\x82\x2d\x03\x42\x00\x04";

pub(super) fn generate() -> Result<DataKeyPair, CryptoError> {
    const FAILED: CryptoError = CryptoError::Library("SM2 key encoding");
    let key = random_key()?;
    let private = key.to_pkcs8_der().map_err(|_| FAILED)?;
    let public = key.public_key().to_public_key_der().map_err(|_| FAILED)?;
    Ok(DataKeyPair {
        private_pkcs8: Secret::from_slice(private.as_bytes()),
        public_spki: public.as_bytes().to_vec(),
    })
}

/// Recomputes the public point from the exported scalar and compares it with both exported points.
pub(super) fn is_consistent(private: &[u8], spki: &[u8]) -> bool {
    if !private.starts_with(PKCS8_PREFIX) || !spki.starts_with(SPKI_PREFIX) {
        return false;
    }
    let Ok((scalar, point)) = pkcs8::private_key(private).and_then(pkcs8::ec_private_key) else {
        return false;
    };
    if scalar.len() != SCALAR_LEN {
        return false;
    }
    let Ok(key) = SecretKey::from_slice(scalar) else { return false };
    let recomputed = key.public_key().to_sec1_point(false);
    [point, &spki[SPKI_PREFIX.len() - 1..]].iter().all(|exported| {
        constant_time::verify_slices_are_equal(exported, recomputed.as_bytes()).is_ok()
    })
}

/// A scalar from 1 to n − 2 (GM/T 0003.1, 6.1) by rejection, so that none is likelier than another.
fn random_key() -> Result<SecretKey, CryptoError> {
    let mut scalar = Zeroizing::new([0; SCALAR_LEN]);
    // One draw in 2^32 falls outside: a hundred in a row mean a broken generator.
    for _ in 0..100 {
        random::fill_random(&mut *scalar)?;
        if constant_time::verify_slices_are_equal(&*scalar, &ORDER_MINUS_ONE).is_ok() {
            continue;
        }
        if let Ok(key) = SecretKey::from_slice(&*scalar) {
            return Ok(key);
        }
    }
    Err(CryptoError::Random)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// The key pair of the signature example in GM/T 0003.5, annex A.
    #[test]
    fn the_private_key_of_the_standard_has_its_public_key() {
        let scalar =
            hex::decode("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
                .unwrap();
        let point = "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020\
                     ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";
        let private = SecretKey::from_slice(&scalar).unwrap().to_pkcs8_der().unwrap();
        let public = [SPKI_PREFIX, &hex::decode(point).unwrap()].concat();
        assert_eq!((private.as_bytes().len(), public.len()), (138, 91));
        assert!(is_consistent(private.as_bytes(), &public));
    }

    #[test]
    fn scalars_outside_the_range_are_no_keys() {
        let mut order = ORDER_MINUS_ONE;
        order[31] += 1;
        assert!(SecretKey::from_slice(&order).is_err());
        assert!(SecretKey::from_slice(&[0; 32]).is_err());
        assert!(SecretKey::from_slice(&[0xff; 32]).is_err());
        assert!(SecretKey::from_slice(&ORDER_MINUS_ONE).is_ok(), "so that it must be refused here");
    }
}
