//! The audit trail: CloudTrail-format records, the log that keeps them, and the proof that none of
//! them is missing.
//!
//! Three parts that stand by themselves:
//!
//! - [`Record`] writes one event as one line of JSON, as CloudTrail would.
//! - [`Log`] appends lines to files of one directory, many requests with one flush, and signs what
//!   it has written at short intervals.
//! - [`verify()`] reads such a directory with the public key alone and says precisely what was removed,
//!   altered, inserted or reordered; [`export()`] turns it into files with a `Records` array.
//!
//! Beside them, [`SecurityLog`] takes what is no event of the trail: failed authentications.
//!
//! This crate never decides what goes into a record, never sees a secret (the caller leaves them
//! out), never drops or changes a record that it has acknowledged, and reads no clock of its own:
//! the date of a digest comes from a function that the caller gives. Only intervals between two
//! flushes or digests are measured, by the machine's monotonic clock.
//!
//! ```
//! use std::sync::Arc;
//!
//! use keystead_audit::{Ed25519Signer, EventId, Log, LogSettings, Record, UserIdentity};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let home = tempfile::tempdir()?;
//! # let directory = home.path().join("audit");
//! let signer = Arc::new(Ed25519Signer::from_seed(&[7; 32])?);
//! let key = keystead_audit::Signer::public_key(signer.as_ref());
//! let log = Log::open(&directory, LogSettings::new(Arc::new(|| 1_767_607_651_000)), signer)?;
//! let root = UserIdentity::root("111122223333", "arn:aws:iam::111122223333:root", None);
//! let now = 1_767_607_651_000;
//! let record = Record::api_call(EventId::fresh()?, now, "ListKeys", "eu-west-1", root);
//! log.append(vec![record.encode()]).await?;
//! log.close().await?;
//!
//! let report = keystead_audit::verify(&directory, &[key], &Default::default())?;
//! assert!(report.is_intact());
//! assert_eq!(report.records, 1);
//! # Ok(())
//! # }
//! ```
//!
//! Read next: `docs/audit.md` for the files and what a verification proves, `src/log/writer.rs` for
//! what happens when the disk fails, `src/verify.rs`.

mod chain;
pub mod disk;
mod export;
mod lines;
mod log;
mod names;
mod record;
mod security;
mod signer;
mod verify;

pub use chain::{Anchor, NotAnAnchor};
pub use export::{ExportError, Exported, export};
pub use log::{Clock, Health, Log, LogError, LogSettings, Recovery, Statistics, Sync, Ticket};
pub use record::{
    Addendum, AddendumReason, EventId, EventType, Failure, IssuerKind, NoRandomness, Object,
    Record, Resource, SessionContext, SessionIssuer, TlsDetails, UserIdentity, WebIdentity,
};
pub use security::{SecurityEvent, SecurityLog, SecuritySettings};
pub use signer::{
    Ed25519Signer, NotAPublicKey, Signer, SignerError, public_key_pem, read_public_keys,
};
pub use verify::{Fault, Report, VerifyError, VerifySettings, verify};

/// Bytes of the longest line that a log takes. A record with every field at its limit is shorter.
pub const LONGEST_RECORD: usize = 1024 * 1024;
