//! The cache of signing keys: what enters it, what it answers, and what refusals do.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::cell::Cell;

use keystead_sigv4::{
    Authorization, Examined, SecretAccessKey, SignatureError, SigningKeys, Verified, examine,
};
use support::{EXPECTATION, KEY_ID, NOW, SECRET, Sent, encrypt};

const URI: &str = "https://kms.eu-central-1.amazonaws.com/";

fn examined(sent: &Sent) -> Examined<'_> {
    let authorization = Authorization::from_headers(&sent.headers).unwrap();
    examine(&sent.request(), &authorization, &EXPECTATION).unwrap()
}

fn verify<'a>(
    keys: &SigningKeys,
    examined: &Examined<'a>,
    asked: &Cell<u32>,
) -> Result<Verified<'a>, SignatureError<'a>> {
    keys.verify(examined, || {
        asked.set(asked.get() + 1);
        Ok(SecretAccessKey::new(SECRET.as_bytes()))
    })
}

#[test]
fn the_secret_is_asked_for_once() {
    let (keys, asked) = (SigningKeys::new(10), Cell::new(0));
    let sent = Sent::sign(encrypt(URI), None, NOW);
    assert!(keys.is_empty());
    for _ in 0..3 {
        let verified = verify(&keys, &examined(&sent), &asked).unwrap();
        assert_eq!((verified.authorization().access_key_id, verified.time()), (KEY_ID, NOW));
    }
    assert_eq!((keys.len(), asked.get()), (1, 1));
}

#[test]
fn nothing_enters_with_a_wrong_signature() {
    let (keys, asked) = (SigningKeys::new(10), Cell::new(0));
    let mut sent = Sent::sign(encrypt(URI), None, NOW);
    sent.body[0] ^= 1;
    assert_eq!(verify(&keys, &examined(&sent), &asked).err(), Some(SignatureError::Mismatch));
    assert_eq!(keys.refuse(&examined(&sent)), SignatureError::InvalidToken);
    assert!(keys.is_empty());
    assert_eq!(asked.get(), 1);
}

/// A refusal costs one derivation, whether the key is cached or not.
#[test]
fn a_refusal_asks_for_the_secret_even_if_the_key_is_cached() {
    let (keys, asked) = (SigningKeys::new(10), Cell::new(0));
    let mut sent = Sent::sign(encrypt(URI), None, NOW);
    assert!(verify(&keys, &examined(&sent), &asked).is_ok());
    sent.body[0] ^= 1;
    assert!(verify(&keys, &examined(&sent), &asked).is_err());
    assert_eq!(asked.get(), 2);
}

/// An access key that became inactive is refused although its signing key is cached and the signature right.
#[test]
fn refuse_does_not_look_at_the_signature() {
    let (keys, asked) = (SigningKeys::new(10), Cell::new(0));
    let sent = Sent::sign(encrypt(URI), None, NOW);
    assert!(verify(&keys, &examined(&sent), &asked).is_ok());
    assert_eq!(keys.refuse(&examined(&sent)), SignatureError::InvalidToken);
}

#[test]
fn a_failure_to_find_the_secret_is_handed_on() {
    #[derive(Debug, PartialEq)]
    enum Failure {
        Signature(SignatureError<'static>),
        Sealed,
    }
    impl From<SignatureError<'static>> for Failure {
        fn from(error: SignatureError<'static>) -> Self {
            Self::Signature(error)
        }
    }
    let keys = SigningKeys::new(10);
    let sent = Sent::sign(encrypt(URI), None, NOW);
    let verified = keys.verify(&examined(&sent), || Err(Failure::Sealed));
    assert_eq!(verified.err(), Some(Failure::Sealed));
    let verified = keys.verify(&examined(&sent), || Ok::<_, Failure>(SecretAccessKey::new(b"x")));
    assert_eq!(verified.err(), Some(Failure::Signature(SignatureError::Mismatch)));
}

#[test]
fn days_and_access_keys_are_apart_and_the_cache_is_bounded() {
    let (keys, asked) = (SigningKeys::new(8), Cell::new(0));
    for day in 0..40 {
        let at = NOW + day * 86_400;
        let sent = Sent::sign(encrypt(URI), None, at);
        let authorization = Authorization::from_headers(&sent.headers).unwrap();
        let expectation = keystead_sigv4::Expectation { now: at * 1000, ..EXPECTATION };
        let examined = examine(&sent.request(), &authorization, &expectation).unwrap();
        assert!(verify(&keys, &examined, &asked).is_ok());
    }
    assert_eq!(asked.get(), 40);
    assert!(keys.len() <= 8, "{keys:?}");
    assert!(!format!("{keys:?}").contains("AKIA"));
}

#[test]
fn many_threads_share_it() {
    let keys = SigningKeys::new(100);
    let sent = Sent::sign(encrypt(URI), None, NOW);
    let mut altered = sent.clone();
    altered.body[0] ^= 1;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    assert!(verify(&keys, &examined(&sent), &Cell::new(0)).is_ok());
                    assert!(verify(&keys, &examined(&altered), &Cell::new(0)).is_err());
                }
            });
        }
    });
    assert_eq!(keys.len(), 1);
}
