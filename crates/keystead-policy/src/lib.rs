//! The IAM policy language: documents parsed into a typed tree, and validated as key policies.
//!
//! This crate reads a document completely or not at all: an unknown element, a member given twice
//! or a value of the wrong kind refuses the whole document, because a policy that is half
//! understood grants or denies something nobody wrote. It performs no I/O, reads no clock, and
//! does not evaluate requests.
//!
//! What it knows of KMS is confined to the functions for key policies: which principals a key
//! policy may name, the default key policy, and the lockout check.
//!
//! ```
//! use keystead_policy::{Policy, default_key_policy};
//!
//! let policy = Policy::parse(&default_key_policy("aws", "111122223333"))?;
//! assert!(policy.validate_as_key_policy().is_ok());
//! assert_eq!(policy.statements().len(), 1);
//! # Ok::<(), keystead_policy::PolicyError>(())
//! ```
//!
//! Read next: [`Policy`] for the tree, [`Policy::validate_as_key_policy`] for the checks.

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
pub use decide::{Decision, Documents, Grant, Layer, Reason, decide, decide_trust};
pub use document::{Clause, Effect, Policy, PolicyError, Statement, Version};
pub use evaluate::{Outcome, StatementTrace, Verdict};
pub use facts::{Fact, Facts, NoFacts, PrincipalKind, Request, RequestPrincipal};
pub use json::pretty;
pub use key_policy::{KeyPolicyError, default_key_policy};
pub use pattern::{ActionPattern, ResourcePattern};
pub use principal::{AwsPrincipal, Principals};
pub use rule::{DocumentKind, Reach};
