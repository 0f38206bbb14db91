//! Asymmetric keys from outside: published vectors, other libraries, import, limits.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod der;
mod import;
mod ledger;
mod limits;
mod nist;
mod openssl;
mod oracles;
mod standards;
mod vectors;
mod wrapping;

use keystead_crypto::{AsymmetricSpec, PrivateKey, generate_private_key};

/// A new key; RSA_2048 is the only RSA spec that tests may make often.
fn new_key(spec: AsymmetricSpec) -> PrivateKey {
    PrivateKey::from_pkcs8(spec, generate_private_key(spec).unwrap().expose()).unwrap()
}

/// All specs whose keys are made in a moment, and RSA_2048.
fn quick_specs() -> impl Iterator<Item = AsymmetricSpec> {
    AsymmetricSpec::ALL
        .into_iter()
        .filter(|spec| !matches!(spec, AsymmetricSpec::Rsa3072 | AsymmetricSpec::Rsa4096))
}

/// The cases of a file of `testdata`.
fn cases(file: &str) -> Vec<serde_json::Value> {
    let file: serde_json::Value = serde_json::from_str(file).unwrap();
    file["cases"].as_array().unwrap().clone()
}
