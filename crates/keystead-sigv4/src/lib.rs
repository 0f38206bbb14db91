//! Signature Version 4, the server's side: from the header of an untrusted request to the proof that the holder of
//! a secret access key sent it.
//!
//! What it is for: reading the `Authorization` header, checking what a server has to check besides the signature,
//! comparing the signature, and saying in AWS's own words what is wrong. What it never does: look up access keys,
//! read session tokens or a clock, do I/O, decide what a caller may do. Nothing but types of `http` comes in.
//!
//! Three types, each made only by the step before it:
//!
//! 1. [`Authorization`], the parsed header: a claim. **Parsing is not proof.**
//! 2. [`Examined`], by [`examine`]: sizes, scope, date and signed headers are in order and everything is hashed. No
//!    secret was needed, and nothing is proved.
//! 3. [`Verified`], by [`SigningKeys::verify`] or [`Examined::verify`]: the signatures are equal.
//!
//! ```
//! use http::{HeaderMap, HeaderValue, Method};
//! use keystead_sigv4::{
//!     Authorization, Expectation, SecretAccessKey, SignatureError, SignedRequest, SigningKeys, examine,
//! };
//!
//! // The request `get-vanilla` of AWS's signing test suite.
//! let mut headers = HeaderMap::new();
//! headers.insert("host", HeaderValue::from_static("example.amazonaws.com"));
//! headers.insert("x-amz-date", HeaderValue::from_static("20150830T123600Z"));
//! headers.insert("authorization", HeaderValue::from_static(
//!     "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
//!      SignedHeaders=host;x-amz-date, \
//!      Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
//! ));
//! let request = SignedRequest {
//!     method: &Method::GET, path: "/", query: None, headers: &headers, authority: None, body: b"",
//! };
//! let expectation = Expectation {
//!     service: "service", regions: None, now: 1_440_938_160_000, skew: 900_000, unsigned_token: false,
//! };
//!
//! let keys = SigningKeys::new(1000);
//! let authorization = Authorization::from_headers(&headers).unwrap();
//! let examined = examine(&request, &authorization, &expectation).unwrap();
//! // Here a server looks up the access key and checks the session token; `keys.refuse(&examined)` if it must.
//! let secret = SecretAccessKey::new(b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
//! let verified = keys.verify(&examined, || Ok::<_, SignatureError<'_>>(secret)).unwrap();
//! assert_eq!(verified.authorization().access_key_id, "AKIDEXAMPLE");
//! ```
//!
//! Read next: `verify.rs` for the order of the checks, `canonical.rs` for what is hashed, `keys.rs` for what
//! refusals cost.

mod authorization;
mod canonical;
mod error;
mod hash;
mod key;
mod keys;
mod signature_error;
#[cfg(test)]
mod suite;
mod time;
mod verify;

pub use authorization::{ALGORITHM, Authorization, MAX_HEADER_BYTES, TERMINATOR};
pub use error::AuthorizationError;
pub use key::{SecretAccessKey, SigningKey};
pub use keys::SigningKeys;
pub use signature_error::{Part, SignatureError};
pub use verify::{
    Examined, Expectation, MAX_PATH_BYTES, MAX_QUERY_BYTES, MAX_REQUEST_HEADER_BYTES,
    MAX_SIGNED_HEADERS, SignedRequest, Verified, examine,
};
