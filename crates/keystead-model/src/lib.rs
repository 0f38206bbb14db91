//! The API of AWS KMS as types: what a request may hold, what a response holds, how keys are named.
//!
//! The shapes come from the KMS model of botocore 1.43.11 (service-2.json, API version 2014-11-01) by
//! `tools/generate_model.py`; `src/generated` is its output and is never edited. Around it stand the
//! reader of request bodies, which enforces every constraint of the model, the writer of response
//! bodies, and the identifiers.
//!
//! This crate does no I/O, reads no clock and knows no cryptography.
//!
//! ```
//! use keystead_model::{DecodeError, GenerateRandomRequest, Input};
//!
//! let input = GenerateRandomRequest::decode(br#"{"NumberOfBytes": 32}"#)?;
//! assert_eq!(input.number_of_bytes, Some(32));
//!
//! let refused = GenerateRandomRequest::decode(br#"{"NumberOfBytes": 0}"#);
//! let message = "1 validation error detected: Value '0' at 'numberOfBytes' failed to satisfy \
//!                constraint: Member must have value greater than or equal to 1";
//! assert_eq!(refused.err(), Some(DecodeError::Validation(message.to_owned())));
//! # Ok::<(), DecodeError>(())
//! ```
//!
//! Read next: [`Input`], [`Output`], [`OperationName`], [`ids`].

mod decode;
mod encode;
mod exception;
mod generated;
pub mod ids;
mod json;
mod shape;
mod values;
mod violation;
mod wire_enum;

pub use decode::{DecodeError, Input};
pub use encode::{Empty, Output};
pub use exception::Fault;
pub use generated::*;
pub use ids::{
    AccountId, AliasName, KeyId, KeyMaterialId, KeyReference, KeyReferenceError, Partition, Region,
    alias_arn, key_arn, root_arn,
};
pub use shape::{Bounds, Constraint, Kind, Member, Pattern, Rule, Shape, constraints};
pub use values::{Blob, EncryptionContextMap, SensitiveString, Timestamp};
