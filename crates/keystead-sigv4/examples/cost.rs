//! What a verification costs: nanoseconds of one thread, and of several that share the cached keys.
//!
//!     cargo run --release -p keystead-sigv4 --example cost
//!
//! Each figure is the least of many short rounds: other programs only ever add to one, and a short one fits between
//! them.

#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{hint::black_box, thread, time::Instant};

use keystead_sigv4::{
    Authorization, SecretAccessKey, SignatureError, SigningKey, SigningKeys, examine,
};
use support::{EXPECTATION, NOW, SECRET, Sent, TOKEN, encrypt};

const ROUNDS: usize = 3_000;
const TIMES: u32 = 100;
/// Verifications of each thread.
const EACH: u32 = 200_000;

/// Nanoseconds of one call.
fn nanoseconds(mut call: impl FnMut()) -> u128 {
    let round = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..TIMES).for_each(|_| call());
        start.elapsed().as_nanos() / u128::from(TIMES)
    };
    (0..ROUNDS).map(|_| round(&mut call)).min().unwrap()
}

/// The optimizer has to make what is handed over, and nothing of it is kept.
fn consume<T>(value: T) {
    let _ = black_box(value);
}

fn secret() -> Result<SecretAccessKey, SignatureError<'static>> {
    Ok(SecretAccessKey::new(SECRET.as_bytes()))
}

fn whole(sent: &Sent, keys: &SigningKeys) {
    let authorization = Authorization::from_headers(&sent.headers).unwrap();
    let examined = examine(&sent.request(), &authorization, &EXPECTATION).unwrap();
    black_box(keys.verify(&examined, secret).unwrap());
}

fn main() {
    let uri = "https://kms.eu-central-1.amazonaws.com/";
    let plain = Sent::sign(encrypt(uri), None, NOW);
    let session = Sent::sign(encrypt(uri), Some(&TOKEN.repeat(25)), NOW);
    let mut forged = plain.clone();
    forged.body[0] ^= 1;
    let keys = SigningKeys::new(1000);
    whole(&plain, &keys);

    println!("body of {} bytes, {} signed headers", plain.body.len(), 4);
    println!("{:>6} ns  all, key cached", nanoseconds(|| whole(&plain, &keys)));
    println!(
        "{:>6} ns  all, key cached, session token of {} bytes",
        nanoseconds(|| whole(&session, &keys)),
        TOKEN.len() * 25
    );

    let authorization = Authorization::from_headers(&plain.headers).unwrap();
    let examined = examine(&plain.request(), &authorization, &EXPECTATION).unwrap();
    let key = SigningKey::derive(&secret().unwrap(), "20260102", "eu-central-1", "kms");
    let parse = nanoseconds(|| consume(Authorization::from_headers(&plain.headers)));
    let check = nanoseconds(|| {
        consume(examine(&plain.request(), &authorization, &EXPECTATION));
    });
    let body = nanoseconds(|| {
        black_box(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &plain.body));
    });
    let compare = nanoseconds(|| consume(examined.verify(&key)));
    let cached = nanoseconds(|| consume(keys.verify(&examined, secret)));
    println!("{parse:>6} ns  parse the header");
    println!("{check:>6} ns  examine, of which {body} ns hash the body");
    println!("{compare:>6} ns  HMAC and comparison");
    println!("{:>6} ns  look the key up", cached.saturating_sub(compare));
    let derive = nanoseconds(|| {
        consume(SigningKey::derive(&secret().unwrap(), "20260102", "eu-central-1", "kms"));
    });
    println!("{derive:>6} ns  derive a key");

    let refused = examine(&forged.request(), &authorization, &EXPECTATION).unwrap();
    let warm = nanoseconds(|| consume(keys.verify(&refused, secret)));
    let empty = SigningKeys::new(1000);
    let cold = nanoseconds(|| consume(empty.verify(&refused, secret)));
    let unknown = nanoseconds(|| {
        black_box(keys.refuse(&refused));
    });
    println!("refusals: {warm} ns key known and cached, {cold} ns known, {unknown} ns unknown");

    for threads in [1, 2, 4] {
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    (0..EACH).for_each(|_| consume(keys.verify(&examined, secret)));
                });
            }
        });
        let all = f64::from(EACH * threads) / start.elapsed().as_secs_f64();
        println!(
            "{threads} threads, one key: {:.0} thousand look-ups with comparison a second",
            all / 1000.0
        );
    }
}
