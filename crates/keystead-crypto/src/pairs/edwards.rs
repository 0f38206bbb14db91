use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::DataKeyPair;
use crate::error::CryptoError;
use crate::secret::Secret;

/// RFC 8410, 7: all that precedes the seed. Version 0, no public key: old readers know no other
/// form.
const PKCS8_PREFIX: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
/// RFC 8410, 4: all that precedes the public key.
const SPKI_PREFIX: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
const KEY_LEN: usize = 32;

pub(super) fn generate() -> Result<DataKeyPair, CryptoError> {
    let failed = |_| CryptoError::Library("Ed25519 key generation");
    let pair = Ed25519KeyPair::generate().map_err(failed)?;
    let private = pair.to_pkcs8v1().map_err(failed)?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
    Ok(DataKeyPair {
        private_pkcs8: Secret::from_slice(private.as_ref()),
        public_spki: public.as_ref().to_vec(),
    })
}

/// Recomputes the public key from the exported seed and compares it with the exported one.
pub(super) fn is_consistent(private: &[u8], spki: &[u8]) -> bool {
    let seed = private.strip_prefix(PKCS8_PREFIX).filter(|seed| seed.len() == KEY_LEN);
    let public = spki.strip_prefix(SPKI_PREFIX).filter(|public| public.len() == KEY_LEN);
    match (seed, public) {
        (Some(seed), Some(public)) => {
            Ed25519KeyPair::from_seed_and_public_key(seed, public).is_ok()
        }
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// RFC 8032, 7.1, tests 1 to 3.
    #[test]
    fn known_seeds_have_their_known_public_keys() {
        let vectors = [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            ),
        ];
        for (seed, public) in vectors {
            let private = [PKCS8_PREFIX, &hex::decode(seed).unwrap()].concat();
            let public = [SPKI_PREFIX, &hex::decode(public).unwrap()].concat();
            assert!(is_consistent(&private, &public));
        }
    }
}
