//! The verification of a whole signed request: nothing is accepted, nothing panics, no text is long.
//!
//! The input is a request in text: method, path and query each on a line, headers, a zero byte, the body.
#![no_main]

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use keystead_sigv4::{
    Authorization, Expectation, SecretAccessKey, SignatureError, SignedRequest, SigningKey, SigningKeys, examine,
};
use libfuzzer_sys::fuzz_target;

/// 2026-01-02T03:04:05Z, the date of the seeds.
const NOW: i64 = 1_767_323_045_000;

/// Nobody has this secret: no input is signed with it.
static SECRET: LazyLock<[u8; 40]> = LazyLock::new(|| {
    let mut secret = [0; 40];
    let address = std::ptr::from_ref(&secret).addr();
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    secret[..8].copy_from_slice(&address.to_le_bytes());
    secret[8..24].copy_from_slice(&clock.to_le_bytes());
    secret
});

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let Ok(head) = std::str::from_utf8(parts.next().unwrap_or_default()) else { return };
    let body = parts.next().unwrap_or_default();
    let mut lines = head.split('\n');
    let Ok(method) = lines.next().unwrap_or_default().parse::<Method>() else { return };
    let path = lines.next().unwrap_or_default();
    let query = lines.next();
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    let authority = headers.get("authority").and_then(|value| value.to_str().ok());
    let request =
        SignedRequest { method: &method, path, query, headers: &headers, authority, body };
    let Ok(authorization) = Authorization::from_headers(&headers) else { return };
    for (service, unsigned_token) in [("kms", false), ("sts", true)] {
        let expectation =
            Expectation { service, regions: None, now: NOW, skew: 900_000, unsigned_token };
        let examined = match examine(&request, &authorization, &expectation) {
            Ok(examined) => examined,
            Err(error) => {
                assert!(error.text().len() <= 6000, "{error:?}");
                assert!(!error.kms_code().is_empty() && !error.sts_code().is_empty());
                continue;
            }
        };
        // What is past examination has what a server asks for.
        assert!(authorization.signs("host") && authorization.service == service);
        for name in headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("x-amz-")) {
            assert!(authorization.signs(name) || (unsigned_token && name == "x-amz-security-token"));
        }
        let secret = SecretAccessKey::new(&*SECRET);
        let key = SigningKey::derive(&secret, authorization.date, authorization.region, service);
        assert_eq!(examined.verify(&key).err(), Some(SignatureError::Mismatch));
        let keys = SigningKeys::new(1);
        let verified = keys.verify(&examined, || Ok::<_, SignatureError<'_>>(secret));
        assert_eq!(verified.err(), Some(SignatureError::Mismatch));
        assert_eq!(keys.refuse(&examined), SignatureError::InvalidToken);
        assert!(keys.is_empty());
    }
});
