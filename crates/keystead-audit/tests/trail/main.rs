//! The log from outside: what it keeps, through faults and kills, and what a verification sees.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod crash;
mod faults;
mod million;
mod steady;
mod tampering;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keystead_audit::{
    Ed25519Signer, EventId, Log, LogSettings, Object, Record, Report, Signer, UserIdentity,
    VerifySettings, verify,
};

/// 2026-01-05T10:07:31Z.
const NOW: i64 = 1_767_607_651_000;

fn signer() -> Arc<Ed25519Signer> {
    Arc::new(Ed25519Signer::from_seed(&[7; 32]).unwrap())
}

fn keys() -> Vec<Vec<u8>> {
    vec![signer().public_key()]
}

/// Settings under which nothing happens by the clock.
fn settings() -> LogSettings {
    LogSettings {
        digest_interval: Duration::from_secs(3600),
        retry: Duration::from_secs(3600),
        reserve_bytes: 1 << 20,
        queue_bytes: 1 << 18,
        ..LogSettings::new(Arc::new(|| NOW))
    }
}

fn open(directory: &Path, settings: LogSettings) -> Log {
    Log::open(directory, settings, signer()).unwrap()
}

fn event(number: u64) -> EventId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    EventId::from_random(bytes)
}

fn record(number: u64) -> Vec<u8> {
    let mut parameters = Object::parameters();
    parameters.text("keyId", "alias/a").integer("number", number.cast_signed());
    let root = UserIdentity::root("111122223333", "arn:aws:iam::111122223333:root", None);
    Record {
        request_parameters: Some(&parameters),
        ..Record::api_call(event(number), NOW, "Encrypt", "eu-west-1", root)
    }
    .encode()
}

fn checked(directory: &Path) -> Report {
    verify(directory, &keys(), &VerifySettings::default()).unwrap()
}

/// The files of a kind in order.
fn files(directory: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = directory
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == suffix))
        .collect();
    found.sort();
    found
}

/// All lines of all files with records.
fn lines(directory: &Path) -> Vec<Vec<u8>> {
    let read = |path: &PathBuf| std::fs::read(path).unwrap();
    let all: Vec<u8> = files(directory, "jsonl").iter().flat_map(read).collect();
    all.split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line).to_vec())
        .collect()
}
