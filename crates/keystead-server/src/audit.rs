//! Commands on the files of an audit log. They may run while a server writes it.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use keystead_audit::{Anchor, Report, VerifySettings, public_key_pem};
use keystead_service::keyring::audit_public_key;

use crate::identity::copy_of_keys;
use crate::maintenance::Place;
use crate::root_key;
use crate::trail::public_keys;

/// What to verify, and by what.
#[derive(Args, Clone, Debug)]
pub struct Verify {
    /// Directory of the audit log
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// File with the public keys that signed it, PEM; may be given more than once
    #[arg(long, value_name = "FILE", required = true)]
    public_key: Vec<PathBuf>,
    /// A digest noted earlier, NUMBER:HASH, that must be in the log
    #[arg(long, value_name = "DIGEST")]
    expect: Option<Anchor>,
    /// The digest before the first one, NUMBER:HASH, if older segments have been moved away
    #[arg(long, value_name = "DIGEST")]
    start: Option<Anchor>,
}

/// Whose public key to print.
#[derive(Args, Clone, Debug)]
pub struct PublicKey {
    #[command(flatten)]
    place: Place,
    /// Configuration file of the server (TOML)
    #[arg(long, env = "KEYSTEAD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What to export, and where to.
#[derive(Args, Clone, Debug)]
pub struct Export {
    /// Directory of the audit log
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Directory for the files, made if it is missing; none of its files is overwritten
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Most records of a file
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    records_per_file: u64,
}

/// The public key that verifies the audit log of a store, as PEM. The store is only read, so the
/// server may be running.
///
/// # Errors
/// When the store's keys cannot be opened.
pub async fn public_key(arguments: &PublicKey) -> anyhow::Result<String> {
    let flags = arguments.place.flags().with_config(arguments.config.clone());
    let config = crate::Config::resolve(flags)?;
    let copy = copy_of_keys(&config).await?;
    let root = root_key::load(&config)?;
    let key = audit_public_key(&copy, root)
        .await
        .with_context(|| format!("cannot open the keys in `{}`", config.data_dir.display()))?;
    Ok(public_key_pem(&key))
}

/// Verifies an audit log. Answers the report as text, and whether the log is intact.
///
/// # Errors
/// When there is no log, or a file cannot be read.
pub fn verify(arguments: &Verify) -> anyhow::Result<(String, bool)> {
    let mut keys = Vec::new();
    for path in &arguments.public_key {
        keys.extend(public_keys(path)?);
    }
    let settings = VerifySettings {
        start: arguments.start,
        expect: arguments.expect,
        ..VerifySettings::default()
    };
    let report = keystead_audit::verify(&arguments.directory, &keys, &settings)
        .with_context(|| format!("cannot verify `{}`", arguments.directory.display()))?;
    Ok((print(&report), report.is_intact()))
}

/// Exports an audit log into files with a `Records` array.
///
/// # Errors
/// When a file cannot be read or written.
pub fn export(arguments: &Export) -> anyhow::Result<String> {
    let failed = || format!("cannot export `{}`", arguments.directory.display());
    if arguments.records_per_file == 0 {
        bail!("--records-per-file must not be 0");
    }
    std::fs::create_dir_all(&arguments.to).with_context(failed)?;
    let most = arguments.records_per_file;
    let exported =
        keystead_audit::export(&arguments.directory, &arguments.to, most).with_context(failed)?;
    Ok(format!("{} records exported into {} files\n", exported.records, exported.files))
}

fn print(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |line: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    };
    line(format_args!("records as signed: {}", report.records));
    if report.unsigned > 0 || report.torn {
        let torn = if report.torn { ", and a torn line" } else { "" };
        line(format_args!("records not signed yet: {}{torn}", report.unsigned));
    }
    if let Some((first, last)) = &report.times {
        let (digests, segments) = (report.digests, report.segments);
        line(format_args!("digests: {digests} in {segments} segments, from {first} to {last}"));
    }
    if let Some(head) = report.head {
        line(format_args!("last digest: {head}"));
    }
    line(format_args!("closed: {}", if report.closed { "yes" } else { "no" }));
    if report.adopted > 0 {
        line(format_args!("signed only after a crash: {}", report.adopted));
    }
    if report.unacknowledged > 0 {
        line(format_args!("lines that were never acknowledged: {}", report.unacknowledged));
    }
    if report.repeats > 0 {
        line(format_args!("records with a repeated eventID: {}", report.repeats));
        for event in &report.repeated_events {
            line(format_args!("  repeated: {event}"));
        }
    }
    for fault in &report.faults {
        line(format_args!("fault: {fault}"));
    }
    if report.is_intact() {
        line(format_args!("intact"));
    } else {
        line(format_args!("not intact: {} faults", report.fault_count));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::sync::Arc;

    use keystead_audit::{Ed25519Signer, Log, LogSettings, Signer, public_key_pem};

    use super::*;

    #[tokio::test]
    async fn verify_and_export() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("audit");
        let signer = Arc::new(Ed25519Signer::from_seed(&[3; 32]).unwrap());
        let key = home.path().join("audit.pem");
        std::fs::write(&key, public_key_pem(&signer.public_key())).unwrap();
        let log = Log::open(&directory, LogSettings::new(Arc::new(|| 0)), signer).unwrap();
        log.append(vec![b"{\"a\":1}".to_vec(), b"{\"b\":2}".to_vec()]).await.unwrap();
        log.close().await.unwrap();
        let verify_it = Verify {
            directory: directory.clone(),
            public_key: vec![key],
            expect: Some(log.head()),
            start: None,
        };
        let (text, intact) = verify(&verify_it).unwrap();
        assert!(intact, "{text}");
        assert!(text.starts_with("records as signed: 2\ndigests: 1 in 1 segments, "), "{text}");
        assert!(text.contains(&format!("last digest: {}\nclosed: yes\nintact\n", log.head())));

        let to = home.path().join("out/put");
        let export_it =
            Export { directory: directory.clone(), to: to.clone(), records_per_file: 10 };
        assert_eq!(export(&export_it).unwrap(), "2 records exported into 1 files\n");
        let path = to.read_dir().unwrap().next().unwrap().unwrap().path();
        let read = std::fs::read_to_string(path).unwrap();
        assert_eq!(read, "{\"Records\":[{\"a\":1},{\"b\":2}]}\n");

        let records = directory.join("audit-0000000001.jsonl");
        std::fs::write(records, "{\"a\":1}\n{\"b\":3}\n").unwrap();
        let (text, intact) = verify(&verify_it).unwrap();
        assert!(!intact);
        assert!(text.contains("fault: segment 1: record 2 was altered or replaced (line 2)\n"));
        assert!(text.ends_with("not intact: 1 faults\n"));
        let nowhere = Verify { directory: home.path().join("none"), ..verify_it };
        assert!(verify(&nowhere).is_err());
    }
}
