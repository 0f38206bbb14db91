//! NIST's own vectors for ML-DSA (ACVP). They test the internal functions of FIPS 204, hence the message as the
//! μ that was computed from it (`testdata/extract.py`), which is what `EXTERNAL_MU` takes.

use aws_lc_rs::digest::{SHA256, digest};
use keystead_crypto::{AsymmetricSpec, Message, PrivateKey, PublicKey, SigningAlgorithm};
use serde_json::Value;

use crate::der;
use crate::ledger::{Ledger, Tally};

fn spec_of(case: &Value) -> AsymmetricSpec {
    let name = case["parameterSet"].as_str().unwrap().replace('-', "_");
    AsymmetricSpec::parse(&name).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

#[test]
fn ml_dsa_key_generation_acvp() {
    let mut ledger = Ledger::new("tests/asymmetric/nist.rs ml_dsa_key_generation_acvp");
    let mut tally = Tally::default();
    for case in crate::cases(include_str!("../../testdata/acvp-ml-dsa-keygen.json")) {
        let spec = spec_of(&case);
        let pkcs8 = der::ml_dsa_pkcs8(spec, &bytes(&case["seed"]));
        let key = PrivateKey::from_pkcs8(spec, &pkcs8).unwrap();
        let spki = key.public_spki();
        let start = der::ml_dsa_spki(spec, &vec![0; public_len(spec)]).len() - public_len(spec);
        let made = digest(&SHA256, &spki[start..]);
        assert_eq!(made.as_ref(), bytes(&case["pkSha256"]), "{case}");
        tally.count(true);
    }
    ledger.record("ML-DSA-keyGen-FIPS204", tally);
    ledger.close();
}

fn public_len(spec: AsymmetricSpec) -> usize {
    match spec {
        AsymmetricSpec::MlDsa44 => 1312,
        AsymmetricSpec::MlDsa65 => 1952,
        _ => 2592,
    }
}

#[test]
fn ml_dsa_verification_acvp() {
    let mut ledger = Ledger::new("tests/asymmetric/nist.rs ml_dsa_verification_acvp");
    let text = include_str!("../../testdata/acvp-ml-dsa-sigver.json");
    let keys = serde_json::from_str::<Value>(text).unwrap()["pk"].take();
    let mut tally = Tally::default();
    for case in crate::cases(text) {
        let spec = spec_of(&case);
        let public = bytes(&keys[case["parameterSet"].as_str().unwrap()]);
        let key = PublicKey::from_spki(spec, &der::ml_dsa_spki(spec, &public)).unwrap();
        verify(&case, &key, case["testPassed"].as_bool().unwrap(), &mut tally);
    }
    ledger.record("ML-DSA-sigVer-FIPS204", tally);
    ledger.close();
}

/// The signatures, deterministic and hedged, are valid here. That ours equal them cannot be: AWS-LC draws the
/// random value of a hedged signature itself. The vectors have private keys in expanded form, whose public half
/// the crate ml-dsa computes.
#[test]
fn ml_dsa_signatures_acvp() {
    fn public<P: ml_dsa::MlDsaParams>(expanded: &[u8]) -> Vec<u8> {
        let expanded = ml_dsa::ExpandedSigningKeyBytes::<P>::try_from(expanded).unwrap();
        #[allow(deprecated, reason = "the vectors have no seeds")]
        let key = ml_dsa::ExpandedSigningKey::<P>::from_expanded(&expanded);
        key.verifying_key().encode().to_vec()
    }
    let mut ledger = Ledger::new("tests/asymmetric/nist.rs ml_dsa_signatures_acvp");
    let mut tally = Tally::default();
    for case in crate::cases(include_str!("../../testdata/acvp-ml-dsa-siggen.json")) {
        let spec = spec_of(&case);
        let expanded = bytes(&case["sk"]);
        let public = match spec {
            AsymmetricSpec::MlDsa44 => public::<ml_dsa::MlDsa44>(&expanded),
            AsymmetricSpec::MlDsa65 => public::<ml_dsa::MlDsa65>(&expanded),
            _ => public::<ml_dsa::MlDsa87>(&expanded),
        };
        let key = PublicKey::from_spki(spec, &der::ml_dsa_spki(spec, &public)).unwrap();
        verify(&case, &key, true, &mut tally);
    }
    ledger.record("ML-DSA-sigGen-FIPS204", tally);
    ledger.close();
}

fn verify(case: &Value, key: &PublicKey, expected: bool, tally: &mut Tally) {
    let mu = bytes(&case["mu"]);
    let signature = bytes(&case["signature"]);
    let algorithm = SigningAlgorithm::MlDsaShake256;
    let verified = key.verify(algorithm, Message::ExternalMu(&mu), &signature);
    assert_eq!(verified.is_ok(), expected, "{} {}", case["parameterSet"], case["tcId"]);
    tally.count(expected);
}
