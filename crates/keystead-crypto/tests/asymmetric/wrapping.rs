//! Key material on its whole way in.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use keystead_crypto::{
    AsymmetricSpec, EncryptionAlgorithm, PublicKey, WrappingAlgorithm, WrappingError, WrappingKey,
    WrappingKeySpec, generate_private_key, generate_wrapping_key, import_pkcs8, random_bytes,
};

fn new_key(spec: WrappingKeySpec) -> WrappingKey {
    WrappingKey::from_pkcs8(spec, generate_wrapping_key(spec).unwrap().expose()).unwrap()
}

/// What a caller does with the public key and a kind of wrapping.
pub(crate) fn wrap(
    spec: WrappingKeySpec,
    spki: &[u8],
    algorithm: WrappingAlgorithm,
    material: &[u8],
) -> Vec<u8> {
    let public = PublicKey::from_spki(spec.key_spec(), spki).unwrap();
    let encrypt = |algorithm, plaintext: &[u8]| public.encrypt(algorithm, plaintext).unwrap();
    let two_step = |outer| {
        let key = random_bytes::<32>().unwrap();
        let mut wrapped = vec![0; material.len() + 16];
        let kek = AesKek::new(&AES_256, &key).unwrap();
        let len = kek.wrap_with_padding(material, &mut wrapped).unwrap().len();
        [&encrypt(outer, &key)[..], &wrapped[..len]].concat()
    };
    match algorithm {
        WrappingAlgorithm::RsaesOaepSha1 => encrypt(EncryptionAlgorithm::RsaesOaepSha1, material),
        WrappingAlgorithm::RsaesOaepSha256 => {
            encrypt(EncryptionAlgorithm::RsaesOaepSha256, material)
        }
        WrappingAlgorithm::RsaAesKeyWrapSha1 => two_step(EncryptionAlgorithm::RsaesOaepSha1),
        WrappingAlgorithm::RsaAesKeyWrapSha256 => two_step(EncryptionAlgorithm::RsaesOaepSha256),
        WrappingAlgorithm::Sm2Pke => encrypt(EncryptionAlgorithm::Sm2Pke, material),
    }
}

#[test]
fn every_algorithm_unwraps_what_it_wrapped_and_nothing_else() {
    for spec in [WrappingKeySpec::Rsa2048, WrappingKeySpec::Sm2] {
        let (key, other) = (new_key(spec), new_key(spec));
        let fits = |algorithm: &WrappingAlgorithm| {
            (*algorithm == WrappingAlgorithm::Sm2Pke) == (spec == WrappingKeySpec::Sm2)
        };
        for algorithm in WrappingAlgorithm::ALL {
            if !fits(&algorithm) {
                let error = key.unwrap(algorithm, &[0; 256]).unwrap_err();
                assert_eq!(error, WrappingError::Algorithm, "{algorithm:?}");
                continue;
            }
            let encrypted = wrap(spec, &key.public_spki(), algorithm, &[7; 32]);
            assert!(key.unwrap(algorithm, &encrypted).unwrap().ct_eq(&[7; 32]));
            let invalid = |key: &WrappingKey, algorithm, encrypted: &[u8]| {
                let error = key.unwrap(algorithm, encrypted).unwrap_err();
                // One RSA block under RSA_2048 has 256 bytes, whatever they are.
                let one_block =
                    [WrappingAlgorithm::RsaesOaepSha1, WrappingAlgorithm::RsaesOaepSha256];
                let expected = match one_block.contains(&algorithm) && encrypted.len() != 256 {
                    true => WrappingError::Length,
                    false => WrappingError::InvalidCiphertext,
                };
                assert_eq!(error, expected, "{algorithm:?}");
            };
            invalid(&other, algorithm, &encrypted);
            for wrong in WrappingAlgorithm::ALL.into_iter().filter(|wrong| *wrong != algorithm) {
                if fits(&wrong) {
                    invalid(&key, wrong, &encrypted);
                }
            }
            for len in [0, 1, 31, 255, 256, 257, 272, encrypted.len() - 1] {
                if len < encrypted.len() {
                    invalid(&key, algorithm, &encrypted[..len]);
                }
            }
            invalid(&key, algorithm, &[&encrypted[..], &[0]].concat());
            invalid(&key, algorithm, &[0xff; 300]);
            for index in (0..encrypted.len()).step_by(7) {
                let mut changed = encrypted.clone();
                changed[index] ^= 0x10;
                invalid(&key, algorithm, &changed);
            }
        }
    }
}

/// The outer block must hold a whole AES-256 key.
#[test]
fn a_key_of_another_size_inside_is_refused() {
    let spec = WrappingKeySpec::Rsa2048;
    let key = new_key(spec);
    let algorithm = WrappingAlgorithm::RsaAesKeyWrapSha256;
    for len in [16, 24, 31, 33] {
        let block =
            wrap(spec, &key.public_spki(), WrappingAlgorithm::RsaesOaepSha256, &vec![1; len]);
        let error = key.unwrap(algorithm, &[&block[..], &[0; 40]].concat()).unwrap_err();
        assert_eq!(error, WrappingError::InvalidCiphertext);
    }
}

#[test]
fn an_rsa_key_comes_in_by_two_steps() {
    let wrapping = new_key(WrappingKeySpec::Rsa2048);
    let original = generate_private_key(AsymmetricSpec::Rsa2048).unwrap();
    let algorithm = WrappingAlgorithm::RsaAesKeyWrapSha256;
    let encrypted =
        wrap(WrappingKeySpec::Rsa2048, &wrapping.public_spki(), algorithm, original.expose());
    let material = wrapping.unwrap(algorithm, &encrypted).unwrap();
    let stored = import_pkcs8(AsymmetricSpec::Rsa2048, material.expose()).unwrap();
    assert!(stored.ct_eq(original.expose()));
}
