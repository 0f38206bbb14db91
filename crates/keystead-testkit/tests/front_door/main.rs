//! The service as its clients meet it: every test goes through the front door, the AWS SDK for Rust
//! over HTTP, unless it says why not.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod asymmetric;
mod authorization;
mod concurrency;
mod contexts;
mod damage;
mod deletion;
mod grants;
mod imports;
mod key_states;
mod limits;
mod managed_keys;
mod many_grants;
mod members;
mod milestone;
mod pagination;
mod primaries;
mod protection;
mod races;
mod release;
mod release_fixture;

mod rotation;
mod signatures;
mod support;
mod usage;
mod usage_store;
mod usages;
