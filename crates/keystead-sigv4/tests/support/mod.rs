//! Requests signed by AWS's own signer, and the verifier's answer to them.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use http::{HeaderMap, HeaderName, Method};
use keystead_sigv4::{
    Authorization, Expectation, SecretAccessKey, SignatureError, SignedRequest, SigningKeys,
    examine,
};

pub const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
/// The access key of somebody else.
pub const OTHER_KEY_ID: &str = "AKIAI44QH8DHBEXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub const TOKEN: &str = "FQoGZXIvYXdzEXAMPLE//token+==";
/// 2026-01-02T03:04:05Z
pub const NOW: i64 = 1_767_323_045;

pub const EXPECTATION: Expectation<'static> = Expectation {
    service: "kms",
    regions: None,
    now: NOW * 1000,
    skew: 900_000,
    unsigned_token: false,
};

/// A request on its way: what the signer made of it, free to be altered.
#[derive(Clone, Debug)]
pub struct Sent {
    pub method: Method,
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
    pub authority: Option<String>,
    pub body: Vec<u8>,
}

impl Sent {
    /// Signs with the crate aws-sigv4 as a KMS client does.
    pub fn sign(request: http::Request<Vec<u8>>, token: Option<&str>, at: i64) -> Self {
        let identity =
            Credentials::new(KEY_ID, SECRET, token.map(str::to_owned), None, "test").into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region("eu-central-1")
            .name("kms")
            .time(UNIX_EPOCH + Duration::from_secs(at.try_into().unwrap()))
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let mut request = request;
        let headers =
            request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers,
            SignableBody::Bytes(request.body()),
        )
        .unwrap();
        let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        if !headers.contains_key("host") {
            let host = parts.uri.authority().unwrap().as_str();
            headers.insert("host", host.parse().unwrap());
        }
        Self {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers,
            authority: None,
            body,
        }
    }

    pub fn request(&self) -> SignedRequest<'_> {
        SignedRequest {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            authority: self.authority.as_deref(),
            body: &self.body,
        }
    }

    pub fn verify_as(&self, expectation: &Expectation<'_>) -> Result<(), SignatureError<'_>> {
        let authorization = Authorization::from_headers(&self.headers)?;
        let examined = examine(&self.request(), &authorization, expectation)?;
        // As a server does: the access key id is no part of what is signed, it chooses the secret.
        let keys = SigningKeys::new(4);
        let secret = match authorization.access_key_id {
            KEY_ID => SECRET,
            OTHER_KEY_ID => "another secret",
            _ => return Err(keys.refuse(&examined)),
        };
        keys.verify(&examined, || {
            Ok::<_, SignatureError<'_>>(SecretAccessKey::new(secret.as_bytes()))
        })?;
        Ok(())
    }

    pub fn verify(&self) -> Result<(), SignatureError<'_>> {
        self.verify_as(&EXPECTATION)
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub fn add(&mut self, name: &str, value: &str) {
        let name: HeaderName = name.parse().unwrap();
        self.headers.append(name, value.parse().unwrap());
    }

    pub fn set(&mut self, name: &'static str, value: &str) {
        self.headers.insert(name, value.parse().unwrap());
    }
}

/// Encrypt, as an SDK sends it, with a body of about 600 bytes.
pub fn encrypt(uri: &str) -> http::Request<Vec<u8>> {
    http::Request::post(uri)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "TrentService.Encrypt")
        .header("user-agent", "aws-sdk-rust/1.3 os/linux")
        .body(
            format!("{{\"KeyId\":\"alias/a\",\"Plaintext\":\"{}\"}}", "A".repeat(560)).into_bytes(),
        )
        .unwrap()
}
