//! The IAM policy language: documents parsed into a typed tree, validated for their use, and
//! evaluated against requests.
//!
//! This crate reads a document completely or not at all: an unknown element, a member given twice
//! or a value of the wrong kind refuses the whole document, because a policy that is half
//! understood grants or denies something nobody wrote. It performs no I/O, reads no clock, and
//! knows no operation of KMS: whoever asks describes the request and answers for its [`Facts`].
//!
//! Evaluation errs towards refusal. A value that cannot be understood, in a policy or in a request,
//! matches nothing, and no Allow rests on its not having matched. Its cost is bounded: nothing
//! recurses, and a wildcard takes at most a 64th of the product of both lengths.
//!
//! What it knows of key policies is confined to the functions for them: which principals a key
//! policy may name, the default key policy, and the lockout check.
//!
//! ```
//! use keystead_policy::{
//!     Documents, NoFacts, Policy, PrincipalKind, Request, RequestPrincipal, decide,
//!     default_key_policy,
//! };
//!
//! let policy = Policy::parse(&default_key_policy("aws", "111122223333"))?;
//! assert!(policy.validate_as_key_policy().is_ok());
//!
//! let root = RequestPrincipal {
//!     kind: PrincipalKind::Root,
//!     partition: "aws",
//!     account: "111122223333",
//!     arn: "arn:aws:iam::111122223333:root",
//!     session_arn: None,
//!     unique_id: None,
//!     name: None,
//! };
//! let request = Request {
//!     action: "kms:Decrypt",
//!     resource: Some("arn:aws:kms:us-east-1:111122223333:key/1234abcd"),
//!     principal: &root,
//!     facts: &NoFacts,
//! };
//! let documents = Documents {
//!     resource_policy: Some(&policy),
//!     resource_account: Some("111122223333"),
//!     ..Documents::default()
//! };
//! assert!(decide(&request, &documents).allowed);
//! # Ok::<(), keystead_policy::PolicyError>(())
//! ```
//!
//! Read next: [`decide`] for all documents of a request, [`Policy`] for one,
//! [`Policy::validate_as_key_policy`] for the checks, and `tests/corpus` for the rules by example.

mod arn;
mod check;
mod condition;
mod decide;
mod document;
mod evaluate;
mod facts;
mod glob;
mod json;
mod key_policy;
mod pattern;
mod principal;
mod rule;
mod scalar;
mod template;
mod validate;

pub use condition::{Condition, Operator, SetOperator, Test};
pub use decide::{
    Decision, DocumentTrace, Documents, Grant, Layer, Reason, decide, decide_trust, explain,
};
pub use document::{Clause, Effect, Policy, PolicyError, Statement, Version};
pub use evaluate::{Outcome, StatementTrace, Verdict};
pub use facts::{Fact, Facts, NoFacts, PrincipalKind, Request, RequestPrincipal};
pub use json::pretty;
pub use key_policy::{KeyPolicyError, default_key_policy};
pub use pattern::{ActionPattern, ResourcePattern};
pub use principal::{AwsPrincipal, Principals};
pub use rule::{DocumentKind, Reach};
