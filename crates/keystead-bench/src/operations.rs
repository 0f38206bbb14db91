//! What is measured: one row per operation, and per key spec and algorithm where there are several.
//!
//! The rows follow from the enumerations of `keystead-crypto`, so that a new spec or algorithm is measured without
//! a line here. Another operation is a [`Call`] that says how its request looks and how a true answer is known.

use keystead_crypto::{AsymmetricSpec, EncryptionAlgorithm, MacSpec, PairSpec, SigningAlgorithm};

use crate::call::Call;

/// One thing to measure.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// How the table and `--only` name it.
    pub(crate) name: String,
    pub(crate) call: Call,
    pub(crate) region: &'static str,
    pub(crate) pace: Pace,
    /// Whether it is part of a quick run: each kind of request once for each kind of key, and no RSA pairs.
    pub(crate) quick: bool,
}

/// How many requests a second may bring.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pace {
    /// Hundreds at least: warm-up, all connections.
    Fast,
    /// A few: no warm-up, as many connections as cores, longer rounds.
    Slow,
}

const VIRGINIA: &str = "us-east-1";

/// The Region in which SM2 is open without a setting.
const BEIJING: &str = "cn-north-1";

/// Every operation, in the order of the table.
pub(crate) fn operations() -> Vec<Operation> {
    let specs = AsymmetricSpec::ALL;
    let signing = specs
        .into_iter()
        .flat_map(|spec| spec.signing_algorithms().iter().map(move |algorithm| (spec, *algorithm)));
    let encryption = specs.into_iter().flat_map(|spec| {
        spec.encryption_algorithms().iter().map(move |algorithm| (spec, *algorithm))
    });
    // The rest differs in the length of the answer alone.
    let shown = [AsymmetricSpec::EccNistP256, AsymmetricSpec::Rsa4096, AsymmetricSpec::MlDsa87];
    let mut calls = vec![Call::DataKey, Call::Encrypt, Call::Decrypt];
    calls.extend(PAIRS.map(Call::Pair));
    calls.extend(signing.clone().map(|(spec, algorithm)| Call::Sign(spec, algorithm)));
    calls.extend(signing.map(|(spec, algorithm)| Call::Verify(spec, algorithm)));
    calls.extend(MacSpec::ALL.map(Call::GenerateMac));
    calls.extend(MacSpec::ALL.map(Call::VerifyMac));
    calls.extend(specs.into_iter().filter(|spec| spec.can_agree()).map(Call::Agree));
    calls.extend(encryption.clone().map(|(spec, algorithm)| Call::EncryptWith(spec, algorithm)));
    calls.extend(encryption.map(|(spec, algorithm)| Call::DecryptWith(spec, algorithm)));
    calls.extend(shown.map(Call::PublicKey));
    calls.into_iter().map(Operation::of).collect()
}

/// The quick ones first.
const PAIRS: [PairSpec; 9] = [
    PairSpec::EccNistP256,
    PairSpec::EccNistP384,
    PairSpec::EccNistP521,
    PairSpec::EccSecgP256k1,
    PairSpec::EccNistEdwards25519,
    PairSpec::Sm2,
    PairSpec::Rsa2048,
    PairSpec::Rsa3072,
    PairSpec::Rsa4096,
];

impl Operation {
    fn of(call: Call) -> Self {
        let parts = [Some(call.operation()), call.spec_name(), call.algorithm_name()];
        let slow = matches!(call, Call::Pair(spec) if spec.is_rsa());
        Self {
            name: parts.into_iter().flatten().collect::<Vec<_>>().join(" "),
            region: if call.spec_name() == Some("SM2") { BEIJING } else { VIRGINIA },
            pace: if slow { Pace::Slow } else { Pace::Fast },
            quick: !slow && is_exemplary(call),
            call,
        }
    }

    /// Whether `part` is part of the name, in whatever case.
    pub(crate) fn is_named(&self, part: &str) -> bool {
        self.name.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
    }
}

/// Whether no other row of the same request differs from it only in a size, a hash or a curve.
fn is_exemplary(call: Call) -> bool {
    use AsymmetricSpec as Spec;
    match call {
        Call::DataKey | Call::Encrypt | Call::Decrypt | Call::Pair(_) => true,
        Call::Sign(spec, algorithm) | Call::Verify(spec, algorithm) => match spec {
            Spec::Rsa2048 => matches!(
                algorithm,
                SigningAlgorithm::RsassaPssSha256 | SigningAlgorithm::RsassaPkcs1V15Sha256
            ),
            Spec::EccNistP256 | Spec::EccNistEdwards25519 | Spec::MlDsa44 | Spec::Sm2 => true,
            _ => false,
        },
        Call::GenerateMac(spec) | Call::VerifyMac(spec) => spec == MacSpec::Hmac256,
        Call::Agree(spec) => matches!(spec, Spec::EccNistP256 | Spec::Sm2),
        Call::EncryptWith(spec, algorithm) | Call::DecryptWith(spec, algorithm) => match spec {
            Spec::Rsa2048 => algorithm == EncryptionAlgorithm::RsaesOaepSha256,
            spec => spec == Spec::Sm2,
        },
        Call::PublicKey(spec) => spec == Spec::EccNistP256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spec_and_algorithm_is_measured_once() {
        let all = operations();
        for operation in &all {
            let same = all.iter().filter(|other| other.name == operation.name).count();
            assert_eq!(same, 1, "{}", operation.name);
            assert_eq!(operation.pace == Pace::Slow, operation.name.contains("Pair RSA"));
            assert_eq!(operation.region == BEIJING, operation.name.contains("SM2"));
        }
        let count = |start: &str| all.iter().filter(|row| row.name.starts_with(start)).count();
        let algorithms: usize =
            AsymmetricSpec::ALL.iter().map(|spec| spec.signing_algorithms().len()).sum();
        assert_eq!((count("Sign "), count("Verify ")), (algorithms, algorithms));
        assert_eq!(algorithms, 28);
        assert_eq!((count("GenerateMac "), count("VerifyMac ")), (4, 4));
        assert_eq!(count("DeriveSharedSecret "), 4);
        // RSA three times two, and SM2.
        assert_eq!((count("Encrypt "), count("Decrypt ")), (7, 7));
        assert_eq!(count("GetPublicKey "), 3);
        for spec in PairSpec::ALL {
            let name = format!("GenerateDataKeyPair {}", spec.as_str());
            assert!(all.iter().any(|row| row.name == name), "{name}");
        }
        assert!(all.iter().any(|row| row.is_named("sign sm2 sm2dsa")));
        assert!(all.iter().any(|row| row.name == "Verify RSA_4096 RSASSA_PSS_SHA_512"));
    }

    #[test]
    fn a_quick_run_has_every_kind_of_request() {
        let all = operations();
        for operation in &all {
            let request = operation.call.operation();
            assert!(
                all.iter().any(|other| other.quick && other.call.operation() == request),
                "{request}"
            );
        }
        assert!(all.iter().filter(|operation| operation.quick).count() < 35);
    }
}
