//! A whole server inside the test, clients for it, and keys in states no API call can bring about.
//!
//! [`TestServer`] is the real server (store, service, HTTP) on a free port of loopback, with a clock
//! that can be moved and a data directory that goes away with it. [`TestServer::client`] is the
//! unmodified AWS SDK for Rust; [`TestServer::call`] shows what the wire carries. A
//! [`fixtures::KeyFixture`] is a key record laid straight into the store, and [`invariants::check`]
//! says whether the records of a store agree with each other.
//!
//! For tests and measurements alone: nothing here belongs into a program that is shipped.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let server = keystead_testkit::TestServer::start().await?;
//! let kms = server.client("111122223333", "eu-west-1");
//! let key = kms.create_key().send().await?.key_metadata.map(|key| key.key_id);
//! assert!(key.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! Where to read next: `server` for the server, `client` for the SDK's way to it, `fixtures`.

mod client;
pub mod fixtures;
pub mod invariants;
mod server;

pub use client::{Outcome, Response, outcome};
pub use server::{AccessKey, TestServer};
