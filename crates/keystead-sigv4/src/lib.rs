//! Signature Version 4: the `Authorization` header and the credential scope.
//!
//! What it is for: turning the header of an untrusted request into its named parts, and saying in AWS's
//! own words which part is missing. What it never does: look at keys, clocks, bodies or stores. It
//! allocates nothing for a well-formed header.
//!
//! **Parsing is not proof.** An [`Authorization`] says what the caller claims. The canonical request,
//! the signing key and the comparison form modules of their own (`canonical`, `key`, `verify`) beside
//! [`authorization`](Authorization), so that a verified caller is another type than a parsed header.
//!
//! ```
//! use keystead_sigv4::Authorization;
//!
//! let header = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-central-1/kms/aws4_request, \
//!               SignedHeaders=host;x-amz-date;x-amz-target, Signature=00ff";
//! let parsed = Authorization::parse(header).unwrap();
//! assert_eq!(parsed.access_key_id, "AKIDEXAMPLE");
//! assert_eq!(parsed.region, "eu-central-1");
//! assert!(parsed.signs("x-amz-target"));
//! ```

mod authorization;
mod error;

pub use authorization::{ALGORITHM, Authorization, MAX_HEADER_BYTES, TERMINATOR};
pub use error::AuthorizationError;
