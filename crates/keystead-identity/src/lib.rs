//! Accounts, users, groups, roles, access keys and identity providers, from a declarative file.
//!
//! What it is for: the file says who there is; [`Directory`] answers who a request may come from,
//! which policies concern them, and whether a principal that a policy names exists. The file is
//! checked as a whole before any of it takes effect, and every fault is told with its line, column
//! and field.
//!
//! What it never does: it decides nothing, sees no secret (the file holds access-key secrets sealed,
//! and this room carries the sealed text alone), writes no file, and opens no connection.
//!
//! ```
//! use keystead_identity::{Directory, Existence};
//!
//! let text = r#"
//!     [accounts.111122223333.users.alice]
//!     path = "/engineering/"
//!     tags = { team = "payments" }
//!
//!     [accounts.111122223333.users.alice.inline_policies]
//!     Sign = '{"Statement": {"Effect": "Allow", "Action": "kms:Sign", "Resource": "*"}}'
//! "#;
//! let directory = Directory::parse("identities.toml".as_ref(), text).unwrap();
//! let alice = "arn:aws:iam::111122223333:user/engineering/alice";
//! assert_eq!(directory.principal_exists(alice), Existence::Exists);
//!
//! let faults = Directory::parse("identities.toml".as_ref(), &text.replace("team", "aws:team"));
//! assert_eq!(faults.unwrap_err()[0].line, 4);
//! ```
//!
//! Where to read next: [`Directory`] for the look-ups, [`Identities`] for the file that is reloaded,
//! `reading.rs` for the format, which `docs/identities.md` describes field by field.

mod directory;
mod document;
mod fault;
mod load;
mod names;
mod reading;
mod reload;
mod section;
mod unique_id;

pub use directory::{
    AccessKey, Account, Directory, Existence, Guardrail, JwksSource, NamedPolicy, OidcProvider,
    Owner, Principal, Role, SealedSecret, User,
};
pub use fault::Fault;
pub use load::{DiskFiles, Files, LoadError, MAX_FILE_BYTES, read_key_set};
pub use reload::{Identities, Reloaded};
