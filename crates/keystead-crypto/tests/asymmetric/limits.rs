//! Forms of messages, sizes, wrong pairings, garbage.

use keystead_crypto::{
    AgreeError, AsymmetricSpec, DecryptError, EncryptError, EncryptionAlgorithm, Message,
    MessageError, SignError, SigningAlgorithm, VerifyError, check_message,
};
use proptest::prelude::*;

use crate::{der, new_key, quick_specs};

#[test]
fn names_are_those_of_the_model() {
    for spec in AsymmetricSpec::ALL {
        assert_eq!(AsymmetricSpec::parse(spec.as_str()), Some(spec));
    }
    for algorithm in SigningAlgorithm::ALL {
        assert_eq!(SigningAlgorithm::parse(algorithm.as_str()), Some(algorithm));
    }
    for algorithm in EncryptionAlgorithm::ALL {
        assert_eq!(EncryptionAlgorithm::parse(algorithm.as_str()), Some(algorithm));
    }
    assert_eq!(AsymmetricSpec::parse("SYMMETRIC_DEFAULT"), None);
    assert_eq!(AsymmetricSpec::parse(""), None);
    let used: Vec<_> =
        AsymmetricSpec::ALL.into_iter().flat_map(|s| s.signing_algorithms()).collect();
    assert!(SigningAlgorithm::ALL.iter().all(|algorithm| used.contains(&algorithm)));
}

/// The lengths that Message has in each form; `None`: the algorithm does not take the form.
fn digest_len(algorithm: SigningAlgorithm) -> Option<usize> {
    use SigningAlgorithm as A;
    match algorithm {
        A::RsassaPssSha256 | A::RsassaPkcs1V15Sha256 | A::EcdsaSha256 | A::Sm2Dsa => Some(32),
        A::RsassaPssSha384 | A::RsassaPkcs1V15Sha384 | A::EcdsaSha384 => Some(48),
        A::RsassaPssSha512 | A::RsassaPkcs1V15Sha512 | A::EcdsaSha512 | A::Ed25519PhSha512 => {
            Some(64)
        }
        A::Ed25519Sha512 | A::MlDsaShake256 => None,
    }
}

#[test]
fn every_algorithm_takes_its_forms_of_message_and_no_other() {
    for spec in quick_specs() {
        let key = new_key(spec);
        for algorithm in SigningAlgorithm::ALL {
            let check = |message: Message<'_>, expected: Result<(), MessageError>| {
                assert_eq!(check_message(spec, algorithm, &message), expected);
                match key.sign(algorithm, message) {
                    Ok(signature) => {
                        assert_eq!(expected, Ok(()), "{spec:?} {algorithm:?} {message:?}");
                        assert_eq!(key.verify(algorithm, message, &signature), Ok(()));
                    }
                    Err(SignError::Message(error)) => {
                        assert_eq!(Err(error), expected, "{spec:?} {algorithm:?} {message:?}");
                        // Before any look at the signature.
                        let verified = key.verify(algorithm, message, b"garbage");
                        assert_eq!(verified, Err(VerifyError::Message(error)));
                    }
                    Err(error) => panic!("{error}"),
                }
            };
            if !spec.signing_algorithms().contains(&algorithm) {
                for form in [Message::Raw(b"m"), Message::Digest(b""), Message::ExternalMu(b"")] {
                    check(form, Err(MessageError::Algorithm));
                }
                continue;
            }
            let raw_fits = algorithm != SigningAlgorithm::Ed25519PhSha512;
            let raw = if raw_fits { Ok(()) } else { Err(MessageError::MessageType) };
            for len in [0, 1, 64, 4096] {
                check(Message::Raw(&vec![7; len]), raw);
            }
            let is_ml_dsa = algorithm == SigningAlgorithm::MlDsaShake256;
            for actual in [0, 1, 31, 32, 33, 47, 48, 49, 63, 64, 65, 4096] {
                let bytes = vec![7; actual];
                let fit = |expected| match expected {
                    None => Err(MessageError::MessageType),
                    Some(expected) if expected == actual => Ok(()),
                    Some(expected) => Err(MessageError::DigestLength { expected, actual }),
                };
                check(Message::Digest(&bytes), fit(digest_len(algorithm)));
                check(Message::ExternalMu(&bytes), fit(is_ml_dsa.then_some(64)));
            }
        }
    }
}

/// A signature over the message verifies with its digest, and the reverse.
#[test]
fn raw_and_digest_name_the_same_message() {
    use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
    for spec in quick_specs() {
        let key = new_key(spec);
        for &algorithm in spec.signing_algorithms() {
            let hash = match digest_len(algorithm) {
                Some(32) if algorithm != SigningAlgorithm::Sm2Dsa => &SHA256,
                Some(48) => &SHA384,
                Some(64) if algorithm != SigningAlgorithm::Ed25519PhSha512 => &SHA512,
                _ => continue,
            };
            let digest = digest(hash, b"message");
            let forms = [Message::Raw(b"message"), Message::Digest(digest.as_ref())];
            for (made, read) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let signature = key.sign(algorithm, forms[made]).unwrap();
                assert_eq!(key.verify(algorithm, forms[read], &signature), Ok(()));
            }
        }
    }
}

#[test]
fn signatures_hold_for_one_key_one_message_one_algorithm() {
    for spec in quick_specs() {
        let (key, other) = (new_key(spec), new_key(spec));
        for &algorithm in spec.signing_algorithms() {
            let messages = match algorithm {
                SigningAlgorithm::Ed25519PhSha512 => {
                    [Message::Digest(&[1; 64]), Message::Digest(&[2; 64])]
                }
                _ => [Message::Raw(b"message"), Message::Raw(b"massage")],
            };
            let signature = key.sign(algorithm, messages[0]).unwrap();
            let invalid = |key: &keystead_crypto::PrivateKey, message, signature: &[u8]| {
                let verified = key.verify(algorithm, message, signature);
                assert_eq!(verified, Err(VerifyError::InvalidSignature), "{spec:?} {algorithm:?}");
            };
            invalid(&key, messages[1], &signature);
            invalid(&other, messages[0], &signature);
            for garbage in [&[][..], &[0], &[0x30], &[0x30, 0], &[0; 64], &[0xff; 256], &[0; 6144]]
            {
                invalid(&key, messages[0], garbage);
            }
            for len in (0..signature.len()).step_by(signature.len() / 50 + 1) {
                invalid(&key, messages[0], &signature[..len]);
            }
            invalid(&key, messages[0], &[&signature[..], &[0]].concat());
            invalid(&key, messages[0], &[&[0], &signature[..]].concat());
            for index in (0..signature.len()).step_by(signature.len() / 50 + 1) {
                let mut changed = signature.clone();
                changed[index] ^= 1;
                invalid(&key, messages[0], &changed);
            }
            for &wrong in spec.signing_algorithms().iter().filter(|wrong| **wrong != algorithm) {
                if check_message(spec, wrong, &messages[0]).is_ok() {
                    let verified = key.verify(wrong, messages[0], &signature);
                    assert_eq!(verified, Err(VerifyError::InvalidSignature));
                }
            }
        }
    }
}

#[test]
fn elliptic_signatures_are_strict_der_and_fit_their_bounds() {
    let table = [
        (AsymmetricSpec::EccNistP256, 72),
        (AsymmetricSpec::EccNistP384, 104),
        (AsymmetricSpec::EccNistP521, 139),
        (AsymmetricSpec::EccSecgP256k1, 72),
        (AsymmetricSpec::Sm2, 72),
    ];
    for (spec, longest) in table {
        let key = new_key(spec);
        let algorithm = spec.signing_algorithms()[0];
        let message = Message::Raw(b"message");
        for _ in 0..100 {
            let signature = key.sign(algorithm, message).unwrap();
            assert!(signature.len() <= longest, "{spec:?} {}", signature.len());
            let numbers = der::elements(&signature);
            assert_eq!(numbers.len(), 2);
            for number in &numbers {
                let (_, value, _) = der::split(number);
                assert!(value[0] < 0x80 && (value.len() == 1 || value[0] > 0 || value[1] >= 0x80));
            }
        }
        let numbers = der::elements(&key.sign(algorithm, message).unwrap());
        let [r, s] = [0, 1].map(|index| der::split(&numbers[index]).1.to_vec());
        let zero = der::tlv(2, &[0]);
        let refused = [
            der::sequence(&[zero.clone(), numbers[1].clone()]),
            der::sequence(&[numbers[0].clone(), zero]),
            der::sequence(&[der::tlv(2, &[&[0, 0], &r[..]].concat()), numbers[1].clone()]),
            der::sequence(&[numbers[0].clone(), der::tlv(2, &[0xff; 66])]),
            der::sequence(&[numbers[0].clone(), der::tlv(2, &[&[1; 80], &s[..]].concat())]),
            der::sequence(&[numbers[0].clone()]),
            der::sequence(&[numbers[0].clone(), numbers[1].clone(), numbers[1].clone()]),
        ];
        for (index, signature) in refused.iter().enumerate() {
            let verified = key.verify(algorithm, message, signature);
            assert_eq!(verified, Err(VerifyError::InvalidSignature), "{spec:?} {index}");
        }
    }
}

#[test]
fn plaintexts_up_to_the_limit_come_back() {
    let table = [
        (AsymmetricSpec::Rsa2048, EncryptionAlgorithm::RsaesOaepSha1, 214),
        (AsymmetricSpec::Rsa2048, EncryptionAlgorithm::RsaesOaepSha256, 190),
        (AsymmetricSpec::Sm2, EncryptionAlgorithm::Sm2Pke, 1024),
    ];
    for (spec, algorithm, max) in table {
        let (key, other) = (new_key(spec), new_key(spec));
        assert_eq!(algorithm.max_plaintext(spec), Some(max));
        for len in [1, 2, 31, 32, 33, max - 1, max] {
            let plaintext: Vec<u8> = (0..len).map(|index| (index % 251).to_le_bytes()[0]).collect();
            let ciphertext = key.encrypt(algorithm, &plaintext).unwrap();
            assert!(key.decrypt(algorithm, &ciphertext).unwrap().ct_eq(&plaintext));
            assert_eq!(
                other.decrypt(algorithm, &ciphertext).unwrap_err(),
                DecryptError::InvalidCiphertext
            );
        }
        let error = key.encrypt(algorithm, &vec![1; max + 1]).unwrap_err();
        assert_eq!(error, EncryptError::PlaintextLength { max });

        let ciphertext = key.encrypt(algorithm, b"plaintext").unwrap();
        assert_ne!(ciphertext, key.encrypt(algorithm, b"plaintext").unwrap());
        if spec == AsymmetricSpec::Sm2 {
            assert!((112..=118).contains(&ciphertext.len()), "{}", ciphertext.len());
            assert!(key.encrypt(algorithm, b"").is_err());
        } else {
            assert_eq!(ciphertext.len(), 256);
            let empty = key.encrypt(algorithm, b"").unwrap();
            assert!(key.decrypt(algorithm, &empty).unwrap().is_empty());
        }
        let invalid = |ciphertext: &[u8]| {
            let error = key.decrypt(algorithm, ciphertext).unwrap_err();
            assert_eq!(error, DecryptError::InvalidCiphertext);
        };
        for index in 0..ciphertext.len() {
            let mut changed = ciphertext.clone();
            changed[index] ^= 1;
            invalid(&changed);
        }
        for len in (0..ciphertext.len()).step_by(5) {
            invalid(&ciphertext[..len]);
        }
        for garbage in [&[0; 256][..], &[0xff; 256], &[0x30; 112], &[0; 6144]] {
            invalid(garbage);
        }
        invalid(&[&ciphertext[..], &[0]].concat());
        invalid(&[&[0], &ciphertext[..]].concat());
    }
    let limits: Vec<_> = [AsymmetricSpec::Rsa3072, AsymmetricSpec::Rsa4096]
        .into_iter()
        .flat_map(|spec| spec.encryption_algorithms().iter().map(move |a| a.max_plaintext(spec)))
        .collect();
    assert_eq!(limits, [Some(342), Some(318), Some(470), Some(446)]);
}

#[test]
fn the_two_hashes_of_oaep_do_not_mix() {
    let key = new_key(AsymmetricSpec::Rsa2048);
    let [sha1, sha256] = [EncryptionAlgorithm::RsaesOaepSha1, EncryptionAlgorithm::RsaesOaepSha256];
    for (made, read) in [(sha1, sha256), (sha256, sha1)] {
        let ciphertext = key.encrypt(made, b"plaintext").unwrap();
        assert_eq!(key.decrypt(read, &ciphertext).unwrap_err(), DecryptError::InvalidCiphertext);
    }
}

#[test]
fn algorithms_of_other_specs_are_refused() {
    for spec in quick_specs() {
        let key = new_key(spec);
        for algorithm in EncryptionAlgorithm::ALL {
            if !spec.encryption_algorithms().contains(&algorithm) {
                assert_eq!(key.encrypt(algorithm, b"m").unwrap_err(), EncryptError::Algorithm);
                assert_eq!(key.decrypt(algorithm, &[0; 256]).unwrap_err(), DecryptError::Algorithm);
            }
        }
        if !spec.can_agree() {
            assert_eq!(key.agree(&key.public_spki()).unwrap_err(), AgreeError::Spec);
        }
    }
}

#[test]
fn rsa_outputs_keep_their_leading_zeros() {
    let key = new_key(AsymmetricSpec::Rsa2048);
    let pkcs1 = SigningAlgorithm::RsassaPkcs1V15Sha256;
    let found = (0u32..5000).any(|number| {
        let message = number.to_be_bytes();
        let signature = key.sign(pkcs1, Message::Raw(&message)).unwrap();
        assert_eq!(signature.len(), 256);
        signature[0] == 0 && {
            assert_eq!(key.verify(pkcs1, Message::Raw(&message), &signature), Ok(()));
            assert!(key.verify(pkcs1, Message::Raw(&message), &signature[1..]).is_err());
            true
        }
    });
    assert!(found, "no signature with a leading zero");
    let oaep = EncryptionAlgorithm::RsaesOaepSha1;
    let found = (0..5000).any(|_| {
        let ciphertext = key.encrypt(oaep, b"m").unwrap();
        assert_eq!(ciphertext.len(), 256);
        ciphertext[0] == 0 && {
            assert!(key.decrypt(oaep, &ciphertext).unwrap().ct_eq(b"m"));
            assert!(key.decrypt(oaep, &ciphertext[1..]).is_err());
            true
        }
    });
    assert!(found, "no ciphertext with a leading zero");
}

#[test]
fn peers_are_validated() {
    for spec in AsymmetricSpec::ALL.into_iter().filter(|spec| spec.can_agree()) {
        let key = new_key(spec);
        let field_len = der::field_len(spec);
        let spki = new_key(spec).public_spki();
        let point = spki[spki.len() - 1 - 2 * field_len..].to_vec();
        assert_eq!(der::ec_spki(spec, &point), spki);
        key.agree(&spki).unwrap();
        let mut off_curve = point.clone();
        off_curve[2 * field_len] ^= 1;
        let other = if spec == AsymmetricSpec::EccNistP384 {
            AsymmetricSpec::EccNistP256
        } else {
            AsymmetricSpec::EccNistP384
        };
        let explicit = der::sequence(&[
            der::sequence(&[
                der::tlv(6, &hex::decode("2a8648ce3d0201").unwrap()),
                der::sequence(&[der::tlv(2, &[1])]),
            ]),
            der::tlv(3, &[&[0], &point[..]].concat()),
        ]);
        let refused = [
            der::ec_spki(spec, &off_curve),
            der::ec_spki(spec, &[0]),
            der::ec_spki(spec, &[]),
            der::ec_spki(spec, &[4]),
            der::ec_spki(spec, &[&[4][..], &vec![0; 2 * field_len]].concat()),
            der::ec_spki(spec, &[&[4][..], &vec![0xff; 2 * field_len]].concat()),
            der::ec_spki(spec, &[&[6 | point[2 * field_len] & 1], &point[1..]].concat()),
            der::ec_spki(spec, &[&[5], &point[1..=field_len]].concat()),
            der::ec_spki(spec, &point[1..]),
            der::ec_spki(spec, &[&point[..], &[0]].concat()),
            der::ec_spki(other, &point),
            new_key(other).public_spki(),
            new_key(AsymmetricSpec::EccSecgP256k1).public_spki(),
            new_key(AsymmetricSpec::EccNistEdwards25519).public_spki(),
            explicit,
            point.clone(),
            [&spki[..], &[0]].concat(),
            Vec::new(),
            vec![0x30; 8192],
        ];
        for (index, peer) in refused.iter().enumerate() {
            let error = key.agree(peer).unwrap_err();
            assert_eq!(error, AgreeError::PeerKey, "{spec:?} {index}");
        }
        for len in 0..spki.len() {
            assert_eq!(key.agree(&spki[..len]).unwrap_err(), AgreeError::PeerKey);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_signed_verifies(message in prop::collection::vec(any::<u8>(), 0..300), other: Vec<u8>) {
        for spec in [AsymmetricSpec::EccNistP256, AsymmetricSpec::EccNistP521, AsymmetricSpec::Sm2] {
            let key = new_key(spec);
            let algorithm = spec.signing_algorithms()[0];
            let signature = key.sign(algorithm, Message::Raw(&message)).unwrap();
            prop_assert!(key.verify(algorithm, Message::Raw(&message), &signature).is_ok());
            prop_assert_eq!(key.verify(algorithm, Message::Raw(&other), &signature).is_ok(), other == message);
            prop_assert!(key.verify(algorithm, Message::Raw(&message), &other).is_err());
        }
    }
}

#[test]
fn nothing_prints_a_secret() {
    for spec in quick_specs() {
        let pkcs8 = keystead_crypto::generate_private_key(spec).unwrap();
        let key = keystead_crypto::PrivateKey::from_pkcs8(spec, pkcs8.expose()).unwrap();
        assert_eq!(format!("{key:?}"), format!("PrivateKey({}, ..)", spec.as_str()));
        assert_eq!(format!("{:?}", Message::Raw(b"secret")), "Raw(6 bytes)");
    }
}
