//! The work of an operation without a server around it: calls of `keystead-crypto` on one thread.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use keystead_crypto::{
    Blob, BlobHeader, EncryptionContext, MacKey, Secret, SymmetricMaterial, decrypt, encrypt,
    generate_pair,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::call::{Call, PLAINTEXT, World, context_of, message_of};
use crate::statistics::count;

/// How many cheap calls are made between two looks at the clock.
const BATCH: u64 = 64;

/// Calls per second of this thread's CPU time, measured for about `period`.
///
/// - GenerateDataKey: 32 random bytes, encrypted;
/// - Encrypt: 32 bytes, encrypted;
/// - Decrypt: a blob over 32 bytes, parsed and decrypted;
/// - GenerateDataKeyPair: the pair with its consistency test, its private half not encrypted;
/// - the rest: the one call of the library, by a key of the same spec that is parsed and ready. A server
///   that keeps no private key in the clear has to unwrap and parse it first; that counts as the server's.
///
/// The encryption context is that of the requests, already in its canonical form; key material lies
/// unwrapped in memory, as it does in a server that has used the key before.
///
/// # Errors
/// The library refuses.
pub(crate) fn calls_per_cpu_second(call: Call, world: &World, period: Duration) -> Result<f64> {
    match call {
        Call::DataKey | Call::Encrypt | Call::Decrypt => symmetric(call, world, period),
        Call::Pair(spec) => measure(period, 1, || {
            black_box(generate_pair(spec)?);
            Ok(())
        }),
        Call::Sign(_, algorithm) => {
            let key = world.private()?;
            measure(period, 1, || {
                black_box(key.sign(algorithm, message_of(algorithm))?);
                Ok(())
            })
        }
        Call::Verify(_, algorithm) => {
            let signature = world.private()?.sign(algorithm, message_of(algorithm))?;
            let key = world.private()?.public_key();
            measure(period, 1, || {
                Ok(key.verify(algorithm, message_of(algorithm), black_box(&signature))?)
            })
        }
        Call::GenerateMac(spec) | Call::VerifyMac(spec) => {
            let key = MacKey::from_slice(spec, MacKey::generate(spec)?.expose())?;
            let message = [0x3c; 256];
            let mac = key.generate_mac(&message);
            if let Call::GenerateMac(_) = call {
                return measure(period, BATCH, || {
                    black_box(key.generate_mac(black_box(&message)));
                    Ok(())
                });
            }
            measure(period, BATCH, || Ok(key.verify_mac(black_box(&message), &mac)?))
        }
        Call::Agree(_) => {
            let (key, peer) = (world.private()?, &world.public);
            measure(period, 1, || {
                black_box(key.agree(black_box(peer))?);
                Ok(())
            })
        }
        Call::EncryptWith(_, algorithm) => {
            let key = world.private()?.public_key();
            measure(period, 1, || {
                black_box(key.encrypt(algorithm, black_box(&PLAINTEXT))?);
                Ok(())
            })
        }
        Call::DecryptWith(_, algorithm) => {
            let key = world.private()?;
            let sealed = key.encrypt(algorithm, &PLAINTEXT)?;
            measure(period, 1, || {
                black_box(key.decrypt(algorithm, black_box(&sealed))?);
                Ok(())
            })
        }
        Call::PublicKey(_) => {
            let key = world.private()?;
            measure(period, BATCH, || {
                black_box(key.public_spki());
                Ok(())
            })
        }
    }
}

fn symmetric(call: Call, world: &World, period: Duration) -> Result<f64> {
    let body = call.body(world);
    let context = context_of(&body)?;
    let pairs = context.as_object().context("a context is an object")?;
    let context = EncryptionContext::from_pairs(
        pairs.iter().filter_map(|(key, value)| Some((key.as_str(), Value::as_str(value)?))),
    )?;
    let material = SymmetricMaterial::generate()?;
    let header = BlobHeader { key_id: [7; 16], multi_region: false, material_id: [9; 32] };
    let sealed = encrypt(&material, &header, &PLAINTEXT, &context)?;
    match call {
        Call::DataKey => measure(period, BATCH, || {
            let data_key = Secret::random(32)?;
            black_box(encrypt(&material, &header, data_key.expose(), &context)?);
            Ok(())
        }),
        Call::Encrypt => measure(period, BATCH, || {
            black_box(encrypt(&material, &header, black_box(&PLAINTEXT), &context)?);
            Ok(())
        }),
        _ => measure(period, BATCH, || {
            let blob = Blob::parse(black_box(&sealed))?;
            black_box(decrypt(&material, &blob, &context)?);
            Ok(())
        }),
    }
}

fn measure(period: Duration, batch: u64, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    // The first call sets up what the library keeps for ever.
    call()?;
    let until = Instant::now() + period;
    let before = cpu_time();
    let mut calls = 0;
    while Instant::now() < until {
        for _ in 0..batch {
            call()?;
        }
        calls += batch;
    }
    let used = cpu_time().saturating_sub(before);
    Ok(count(calls) / used.as_secs_f64().max(1e-9))
}

/// The CPU time of this thread so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::operations::operations;
    use keystead_crypto::{PrivateKey, generate_private_key};

    #[test]
    fn every_kind_of_call_runs() {
        for operation in operations().into_iter().filter(|operation| operation.quick) {
            let mut world = World::new("arn:aws:kms:us-east-1:111122223333:key/k".to_owned());
            if let Some(spec) = operation.call.asymmetric() {
                let key = || {
                    let pkcs8 = generate_private_key(spec).unwrap();
                    PrivateKey::from_pkcs8(spec, pkcs8.expose()).unwrap()
                };
                world.public = key().public_spki();
                world.private = Some(key().into());
            }
            let rate = calls_per_cpu_second(operation.call, &world, Duration::from_millis(1));
            assert!(rate.unwrap() > 0.0, "{}", operation.name);
        }
    }

    #[test]
    fn failures_end_the_measurement() {
        assert!(measure(Duration::from_secs(1), 1, || anyhow::bail!("broken")).is_err());
    }
}
