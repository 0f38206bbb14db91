//! A judge for the tests of the program from outside (`tests/e2e`), for what neither OpenSSL nor PyCA can do:
//! Ed25519ph by `ed25519-dalek` and ML-DSA with an external μ by `ml-dsa`. It shares no code with this crate.
//!
//! One request a line on standard input, one answer a line on standard output, bytes in hexadecimal, `-` for
//! none. An answer is bytes, `true`, `false`, or `error` and a text.
//!
//! | request | answer |
//! | --- | --- |
//! | `ed25519ph-sign SEED MESSAGE` | the signature; the judge hashes the message |
//! | `ed25519ph-verify PUBLIC MESSAGE SIGNATURE` | whether it is one |
//! | `ml-dsa-mu SET PUBLIC MESSAGE` | μ of the message in an empty context; SET is 44, 65 or 87 |
//! | `ml-dsa-sign-mu SET SEED MU` | a signature |
//! | `ml-dsa-verify-mu SET PUBLIC MU SIGNATURE` | whether it is one |

use std::io::{self, BufRead, Write};

use ed25519_dalek::Sha512;
use ed25519_dalek::ed25519::signature::digest::{Digest, Update};
use ml_dsa::common::array::Array;
use ml_dsa::common::array::sizes::U64;

fn main() -> io::Result<()> {
    let mut answers = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let answer = answer(&line).unwrap_or_else(|fault| format!("error {fault}"));
        writeln!(answers, "{answer}")?;
        answers.flush()?;
    }
    Ok(())
}

fn answer(line: &str) -> Result<String, String> {
    let words: Vec<_> = line.split_whitespace().collect();
    match words[..] {
        ["ed25519ph-sign", seed, message] => ed25519ph_sign(&bytes(seed)?, &bytes(message)?),
        ["ed25519ph-verify", public, message, signature] => {
            ed25519ph_verify(&bytes(public)?, &bytes(message)?, &bytes(signature)?)
        }
        [request, "44", ref rest @ ..] => ml_dsa::<ml_dsa::MlDsa44>(request, rest),
        [request, "65", ref rest @ ..] => ml_dsa::<ml_dsa::MlDsa65>(request, rest),
        [request, "87", ref rest @ ..] => ml_dsa::<ml_dsa::MlDsa87>(request, rest),
        _ => Err("no such request".to_owned()),
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    if text == "-" { Ok(Vec::new()) } else { hex::decode(text).map_err(|error| error.to_string()) }
}

fn ed25519ph_sign(seed: &[u8], message: &[u8]) -> Result<String, String> {
    let seed = seed.try_into().map_err(|_| "a seed has 32 bytes")?;
    let key = ed25519_dalek::SigningKey::from_bytes(seed);
    let hashed = Digest::chain_update(Sha512::new(), message);
    let signature = key.sign_prehashed(hashed, None).map_err(|error| error.to_string())?;
    Ok(hex::encode(signature.to_bytes()))
}

fn ed25519ph_verify(public: &[u8], message: &[u8], signature: &[u8]) -> Result<String, String> {
    let public = public.try_into().map_err(|_| "a public key has 32 bytes")?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(public).map_err(|error| error.to_string())?;
    let Ok(signature) = ed25519_dalek::Signature::from_slice(signature) else {
        return Ok("false".to_owned());
    };
    let hashed = Digest::chain_update(Sha512::new(), message);
    Ok(key.verify_prehashed_strict(hashed, None, &signature).is_ok().to_string())
}

fn ml_dsa<P: ml_dsa::MlDsaParams>(request: &str, words: &[&str]) -> Result<String, String> {
    let public = |text| {
        let encoded = bytes(text)?;
        let encoded = ml_dsa::EncodedVerifyingKey::<P>::try_from(&encoded[..])
            .map_err(|_| "a public key of another length")?;
        Ok::<_, String>(ml_dsa::VerifyingKey::<P>::decode(&encoded))
    };
    let mu = |text| {
        let digest = bytes(text)?;
        Array::<u8, U64>::try_from(&digest[..]).map_err(|_| "μ has 64 bytes".to_owned())
    };
    match (request, words) {
        ("ml-dsa-mu", [key, message]) => {
            let message = bytes(message)?;
            let take = |shake: &mut _| {
                Update::update(shake, &message);
                Ok(())
            };
            let made = public(key)?.compute_mu(take, b"").map_err(|error| error.to_string())?;
            Ok(hex::encode(made))
        }
        ("ml-dsa-sign-mu", [seed, digest]) => {
            let seed =
                ml_dsa::Seed::try_from(&bytes(seed)?[..]).map_err(|_| "a seed has 32 bytes")?;
            let key = ml_dsa::ExpandedSigningKey::<P>::from_seed(&seed);
            Ok(hex::encode(key.sign_mu_deterministic(&mu(digest)?).encode()))
        }
        ("ml-dsa-verify-mu", [key, digest, signature]) => {
            let Ok(signature) = ml_dsa::Signature::<P>::try_from(&bytes(signature)?[..]) else {
                return Ok("false".to_owned());
            };
            Ok(public(key)?.verify_mu(&mu(digest)?, &signature).to_string())
        }
        _ => Err("no such request".to_owned()),
    }
}
