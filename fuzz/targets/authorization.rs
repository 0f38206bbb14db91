//! The `Authorization` header, by itself and as a header of a request.
#![no_main]

use http::{HeaderMap, HeaderValue};
use keystead_sigv4::{Authorization, MAX_HEADER_BYTES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        match Authorization::parse(text) {
            Ok(parsed) => {
                assert!(text.len() <= MAX_HEADER_BYTES);
                let parts = [
                    parsed.access_key_id,
                    parsed.date,
                    parsed.region,
                    parsed.service,
                    parsed.terminator,
                    parsed.signed_headers,
                    parsed.signature,
                ];
                for part in parts {
                    assert!(!part.is_empty() && !part.contains([' ', '\t', ',']), "{part:?}");
                }
                assert!(parsed.signed_header_names().all(|name| parsed.signs(name)));
            }
            // The text may repeat the header several times, and no more than that.
            Err(error) => assert!(error.to_string().len() <= 4 * MAX_HEADER_BYTES),
        }
    }
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", value);
        let undated = Authorization::from_headers(&headers).is_ok();
        assert!(!undated, "a request without a date was taken");
        headers.insert("x-amz-date", HeaderValue::from_static("20260102T030405Z"));
        let _ = Authorization::from_headers(&headers);
    }
});
