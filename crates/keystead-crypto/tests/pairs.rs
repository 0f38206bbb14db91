//! Pairs judged from outside: by their bytes, and by implementations other than the one that made
//! them.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::HashSet;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use keystead_crypto::{DataKeyPair, PairSpec, generate_pair};
use rsa::traits::PublicKeyParts;

fn make(spec: PairSpec) -> DataKeyPair {
    generate_pair(spec).unwrap()
}

#[test]
fn sizes_and_prefixes_are_those_of_other_libraries() {
    let table = [
        (PairSpec::EccNistP256, 91, 138, "308187020100301306072a8648ce3d020106082a8648ce3d030107"),
        (PairSpec::EccNistP384, 120, 185, "3081b6020100301006072a8648ce3d020106052b81040022"),
        (PairSpec::EccNistP521, 158, 241, "3081ee020100301006072a8648ce3d020106052b81040023"),
        (PairSpec::EccSecgP256k1, 88, 135, "308184020100301006072a8648ce3d020106052b8104000a"),
        (PairSpec::Sm2, 91, 138, "308187020100301306072a8648ce3d020106082a811ccf5501822d"),
        (PairSpec::EccNistEdwards25519, 44, 48, "302e020100300506032b657004220420"),
    ];
    for (spec, spki, pkcs8, prefix) in table {
        // Leading zeros of scalars and coordinates must not shorten anything: one key in 256 would
        // show it.
        for _ in 0..if spec == PairSpec::Sm2 { 50 } else { 600 } {
            let pair = make(spec);
            assert_eq!(pair.public_spki.len(), spki, "{spec:?}");
            assert_eq!(pair.private_pkcs8.len(), pkcs8, "{spec:?}");
            assert!(hex::encode(pair.private_pkcs8.expose()).starts_with(prefix), "{spec:?}");
        }
    }
}

#[test]
fn a_thousand_pairs_are_distinct() {
    let specs: Vec<_> = PairSpec::ALL.into_iter().filter(|spec| !spec.is_rsa()).collect();
    let (mut private, mut public) = (HashSet::new(), HashSet::new());
    for index in 0..1000 {
        let pair = make(specs[index % specs.len()]);
        private.insert(pair.private_pkcs8.expose().to_vec());
        public.insert(pair.public_spki);
    }
    assert_eq!((private.len(), public.len()), (1000, 1000));
}

#[test]
fn p256_reads_our_pairs() {
    use p256::ecdsa::signature::{Signer, Verifier};
    use p256::pkcs8::{DecodePrivateKey, DecodePublicKey};
    let pair = make(PairSpec::EccNistP256);
    let private = p256::SecretKey::from_pkcs8_der(pair.private_pkcs8.expose()).unwrap();
    let public = p256::PublicKey::from_public_key_der(&pair.public_spki).unwrap();
    assert_eq!(private.public_key(), public);
    let signature: p256::ecdsa::Signature = p256::ecdsa::SigningKey::from(private).sign(b"message");
    p256::ecdsa::VerifyingKey::from(public).verify(b"message", &signature).unwrap();
}

#[test]
fn k256_reads_our_pairs() {
    use k256::ecdsa::signature::{Signer, Verifier};
    use k256::pkcs8::{DecodePrivateKey, DecodePublicKey};
    let pair = make(PairSpec::EccSecgP256k1);
    let private = k256::SecretKey::from_pkcs8_der(pair.private_pkcs8.expose()).unwrap();
    let public = k256::PublicKey::from_public_key_der(&pair.public_spki).unwrap();
    assert_eq!(private.public_key(), public);
    let signature: k256::ecdsa::Signature = k256::ecdsa::SigningKey::from(private).sign(b"message");
    k256::ecdsa::VerifyingKey::from(public).verify(b"message", &signature).unwrap();
}

#[test]
fn dalek_reads_our_pairs() {
    use ed25519_dalek::Signer;
    let pair = make(PairSpec::EccNistEdwards25519);
    let seed = pair.private_pkcs8.expose()[16..].try_into().unwrap();
    let private = ed25519_dalek::SigningKey::from_bytes(seed);
    let public = &pair.public_spki[12..];
    assert_eq!(private.verifying_key().as_bytes(), public);
    let signature = private.sign(b"message").to_bytes();
    UnparsedPublicKey::new(&ED25519, public).verify(b"message", &signature).unwrap();
}

#[test]
fn rsa_reads_our_pairs() {
    use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
    // The longest PKCS #8 of each size. d and the CRT values lose a byte for every leading zero byte, so
    // some keys are shorter: of 250 of RSA_2048, 241 had 1216 to 1219 bytes, the others 1214 or 1215.
    // Twelve bytes fewer would take some eighty zero bits.
    let table = [
        (PairSpec::Rsa2048, 256, 294, 1219, 2),
        (PairSpec::Rsa3072, 384, 422, 1795, 1),
        (PairSpec::Rsa4096, 512, 550, 2376, 1),
    ];
    for (spec, modulus, spki, longest, times) in table {
        for _ in 0..times {
            let pair = make(spec);
            assert_eq!(pair.public_spki.len(), spki, "{spec:?}");
            let len = pair.private_pkcs8.len();
            assert!((longest - 12..=longest).contains(&len), "{spec:?}: {len}");
            let start = hex::encode(&pair.private_pkcs8.expose()[..26]);
            assert_eq!(start[..8], format!("3082{:04x}", len - 4), "{spec:?}");
            assert_eq!(&start[8..44], "020100300d06092a864886f70d0101010500", "{spec:?}");

            let private = rsa::PrivateKey::from_pkcs8_der(pair.private_pkcs8.expose()).unwrap();
            private.validate().unwrap();
            let public = rsa::PublicKey::from_public_key_der(&pair.public_spki).unwrap();
            assert_eq!(private.to_public_key(), public, "{spec:?}");
            assert_eq!(public.size(), modulus);
            assert_eq!(
                public.e().to_be_bytes().iter().fold(0, |e, &byte| e << 8 | u64::from(byte)),
                65537
            );
            let digest = [7; 32];
            let signature = private.sign(rsa::Pkcs1v15Sign::new_unprefixed(), &digest).unwrap();
            public.verify(rsa::Pkcs1v15Sign::new_unprefixed(), &digest, &signature).unwrap();
        }
    }
}
