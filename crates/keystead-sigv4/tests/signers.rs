//! Two signers of others against our verifier: aws-sigv4 (AWS's Rust SDK) on random requests, botocore on a recorded
//! set.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use http::{HeaderName, HeaderValue};
use keystead_sigv4::{
    Authorization, Expectation, SecretAccessKey, SignatureError, SigningKey, examine,
};
use proptest::prelude::*;
use serde_json::Value;
use support::{EXPECTATION, NOW, Sent, TOKEN, encrypt};

const URI: &str = "https://kms.eu-central-1.amazonaws.com/";

#[test]
fn a_call_of_the_sdk_is_accepted() {
    for token in [None, Some(TOKEN)] {
        let sent = Sent::sign(encrypt(URI), token, NOW);
        assert_eq!(sent.verify(), Ok(()));
        let authorization = Authorization::from_headers(&sent.headers).unwrap();
        let examined = examine(&sent.request(), &authorization, &EXPECTATION).unwrap();
        assert_eq!(examined.token(), token);
        let printed = format!("{examined:?}");
        assert!(printed.contains("AKIA") && !printed.contains("FQoGZ"), "{printed}");
        let other =
            SigningKey::derive(&SecretAccessKey::new(b"other"), "20260102", "eu-central-1", "kms");
        assert_eq!(examined.verify(&other).err(), Some(SignatureError::Mismatch));
    }
}

#[test]
fn the_authority_of_http2_is_the_host() {
    let mut sent = Sent::sign(encrypt(URI), None, NOW);
    let host = sent.header("host").to_owned();
    sent.headers.remove("host");
    assert_eq!(sent.verify(), Err(SignatureError::HeaderAbsent { name: "host" }));
    sent.authority = Some(host);
    assert_eq!(sent.verify(), Ok(()));
    sent.authority = Some("kms.us-east-1.amazonaws.com".to_owned());
    assert_eq!(sent.verify(), Err(SignatureError::Mismatch));
    // A Host header counts before the authority.
    sent.set("host", "kms.eu-central-1.amazonaws.com");
    assert_eq!(sent.verify(), Ok(()));
}

#[test]
fn order_of_headers_is_free_and_order_of_values_is_not() {
    let mut request = encrypt(URI);
    for value in ["1", "2", "3"] {
        request.headers_mut().append("a-list", HeaderValue::from_static(value));
    }
    let sent = Sent::sign(request, None, NOW);
    assert_eq!(sent.verify(), Ok(()));
    let mut other = sent.clone();
    let mut pairs: Vec<_> = sent.headers.iter().collect();
    pairs.sort_by_key(|(name, _)| std::cmp::Reverse(name.as_str()));
    other.headers.clear();
    for (name, value) in pairs {
        other.headers.append(name, value.clone());
    }
    assert_eq!(other.verify(), Ok(()));
    other.headers.remove("a-list");
    for value in ["1", "3", "2"] {
        other.headers.append("a-list", HeaderValue::from_static(value));
    }
    assert_eq!(other.verify(), Err(SignatureError::Mismatch));
}

/// The one place where this signer and the verifier part: it signs a raw `+` as a space, others as a plus sign.
#[test]
fn a_raw_plus_is_refused() {
    let sent = Sent::sign(encrypt(&format!("{URI}?a=1+2")), None, NOW);
    assert_eq!(sent.verify(), Err(SignatureError::QueryForm));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_requests_of_aws_sigv4_are_accepted(
        path in "(/([A-Za-z0-9._~!$&'()*,;=:@-]|%[0-9A-F]{2}|\\.\\.?|/){0,6}){0,5}",
        query in proptest::option::of("(([a-zA-Z0-9._~!$'()*,;:@/?-]|%[0-7][0-9a-f]){0,5}=?&?){0,6}"),
        values in proptest::collection::vec("[!-~]([ -~]{0,20}[!-~])?", 0..6),
        token in proptest::option::of("[A-Za-z0-9+/=]{1,600}"),
        body in proptest::collection::vec(any::<u8>(), 0..1500),
        alter in any::<proptest::sample::Index>(),
    ) {
        // `X-Amz-` parameters mean the presigned form.
        prop_assume!(!query.as_deref().unwrap_or("").to_ascii_lowercase().contains("x-amz-"));
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let mut request = encrypt(&format!("https://kms.eu-central-1.amazonaws.com{path}{query}"));
        for (at, value) in values.iter().enumerate() {
            // Some twice, one of the vendor's.
            let name = ["b-1", "x-amz-meta", "a-2", "b-1", "zz", "a-2"][at];
            let name = HeaderName::from_static(name);
            request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
        }
        *request.body_mut() = body;
        let sent = Sent::sign(request, token.as_deref(), NOW);
        prop_assert_eq!(sent.verify(), Ok(()));

        let mut altered = sent.clone();
        if altered.body.is_empty() {
            altered.body.push(0);
        } else {
            let at = alter.index(altered.body.len());
            altered.body[at] ^= 1;
        }
        prop_assert_eq!(altered.verify(), Err(SignatureError::Mismatch));
    }
}

/// `testdata/botocore.json`, written by `testdata/sign_with_botocore.py`.
#[test]
fn recorded_requests_of_botocore() {
    let recorded: Value = serde_json::from_str(include_str!("../testdata/botocore.json")).unwrap();
    let secret = SecretAccessKey::new(recorded["secret"].as_str().unwrap().as_bytes());
    let (mut passed, mut total) = (0, 0);
    for case in recorded["requests"].as_array().unwrap() {
        total += 1;
        let text = |name: &str| case[name].as_str().unwrap().to_owned();
        let mut sent = Sent {
            method: text("method").parse().unwrap(),
            path: text("path"),
            query: Some(text("query")).filter(|query| !query.is_empty()),
            headers: http::HeaderMap::new(),
            authority: None,
            body: text("body").into_bytes(),
        };
        for pair in case["headers"].as_array().unwrap() {
            let name: HeaderName = pair[0].as_str().unwrap().parse().unwrap();
            sent.headers.append(name, pair[1].as_str().unwrap().parse().unwrap());
        }
        let expectation = Expectation {
            service: if case["service"] == "sts" { "sts" } else { "kms" },
            now: case["now"].as_i64().unwrap() * 1000,
            ..EXPECTATION
        };
        let authorization = Authorization::from_headers(&sent.headers).unwrap();
        let examined = examine(&sent.request(), &authorization, &expectation).unwrap();
        let key = SigningKey::derive(
            &secret,
            authorization.date,
            authorization.region,
            authorization.service,
        );
        let verified = examined.verify(&key);
        assert!(verified.is_ok(), "{}", case["name"]);
        assert_eq!(verified.unwrap().token(), case["token"].as_str());
        passed += 1;
    }
    println!("{}: {passed}/{total} accepted", recorded["signer"]);
    assert_eq!((passed, total), (17, 17));
}
