//! The operations of the AWS KMS API over keys, a store and a clock.
//!
//! This room alone combines the others: wire types from `keystead-model`, cryptography from
//! `keystead-crypto`, records in a `keystead-store`, policies from `keystead-policy`, signed requests
//! from `keystead-sigv4`, those who sign them from `keystead-identity`, the audit log from
//! `keystead-audit`. It knows nothing of HTTP statuses, TLS, files or the environment, and takes
//! all time from an injected [`Clock`].
//!
//! Where to read: `road.rs` shows the path of every request on one screen, `ops/mod.rs` lists the
//! operations, `ops/generate_data_key_pair.rs` is the one the service is built around.

mod access;
mod access_keys;
mod aliases;
mod asymmetric;
mod audit;
mod authorization;
mod caller;
mod clock;
mod error;
mod event;
mod grants;
mod import;
mod key_counts;
mod key_policy;
mod keys;
mod managed_keys;
mod metadata;
mod mill;
mod multi_region;
mod operation;
mod ops;
mod pagination;
mod principal;
mod proofs;
mod quotas;
mod resolve;
mod road;
mod rotation;
mod seal;
mod service;
mod sessions;
mod specs;
mod sts;
mod sweep;
mod tags;
mod throttling;
mod usage;
mod write;

pub mod explain;
pub mod keyring;
pub mod paths;
pub mod records;
pub mod state;

pub use access::Access;
pub use access_keys::{IssuedAccessKey, issue_access_key, open_access_key};
pub use audit::{AuditHealth, AuditSettings, AuditSync};
pub use clock::{Clock, MovableClock, SystemClock};
pub use error::{Error, Fault};
pub use keyring::{NewRoot, OpenError, Root};
pub use ops::built;
pub use quotas::Quotas;
pub use service::{Answer, Protocol, RawRequest, Reply, RequestId, Service, ServiceSettings};
pub use sts::key_set::MAX_KEY_SET_BYTES;
pub use sts::providers::{KeySetError, KeySets, NoKeySets, ReadingKeySet};
pub use sts::xml::refusal as sts_refusal;
pub use sts::{form, jws, key_set};
pub use throttling::{Group, PerSecond, Rate, Rates};
