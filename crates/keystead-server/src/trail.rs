//! The audit log of a server: its settings, and what health and metrics say of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use keystead_audit::read_public_keys;
use keystead_service::{AuditSettings, AuditSync, Service};
use serde::Deserialize;

use crate::metrics::Sample;

/// Where and how the audit log is kept.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// The directory of the log, made when it is missing.
    #[serde(default)]
    pub dir: PathBuf,
    /// When a record counts as kept.
    #[serde(default)]
    pub sync: Flushed,
    /// Milliseconds between two flushes under [`Flushed::Interval`].
    #[serde(default = "second")]
    pub interval_ms: u64,
    /// Bytes after which a file is ended and another one begun.
    #[serde(default = "segment")]
    pub rotate_bytes: u64,
    /// Bytes of the log of failed authentications.
    #[serde(default = "ring")]
    pub security_log_bytes: u64,
    /// Files with the public keys that signed earlier digests in the directory, PEM.
    #[serde(default)]
    pub earlier_public_keys: Vec<PathBuf>,
    /// Whether the group of the files may read them.
    #[serde(default)]
    pub group_readable: bool,
}

/// When a record counts as kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Flushed {
    /// When it has been flushed to the device.
    #[default]
    Every,
    /// When the system has it. A crash of the machine may lose what came since the last flush.
    Interval,
}

fn second() -> u64 {
    1_000
}

fn segment() -> u64 {
    64 << 20
}

fn ring() -> u64 {
    16 << 20
}

impl Audit {
    /// A log in `dir` with every other setting at its default.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            sync: Flushed::Every,
            interval_ms: second(),
            rotate_bytes: segment(),
            security_log_bytes: ring(),
            earlier_public_keys: Vec::new(),
            group_readable: false,
        }
    }

    /// All paths, to be resolved against the configuration file's directory.
    pub(crate) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let dir = Some(&mut self.dir).filter(|dir| !dir.as_os_str().is_empty());
        dir.into_iter().chain(&mut self.earlier_public_keys)
    }

    /// What is wrong with a setting: its name and the complaint.
    pub(crate) fn fault(&self) -> Option<(&'static str, &'static str)> {
        if self.dir.as_os_str().is_empty() {
            return Some(("dir", "is missing"));
        }
        if !(1..=60_000).contains(&self.interval_ms) {
            return Some(("interval_ms", "must be between 1 and 60000"));
        }
        if !(1 << 20..=1 << 40).contains(&self.rotate_bytes) {
            return Some(("rotate_bytes", "must be between 1 MiB and 1 TiB"));
        }
        if !(1 << 16..=1 << 40).contains(&self.security_log_bytes) {
            return Some(("security_log_bytes", "must be between 64 KiB and 1 TiB"));
        }
        None
    }

    /// The settings as the service takes them.
    ///
    /// # Errors
    /// A file of public keys cannot be read.
    pub(crate) fn settings(&self) -> anyhow::Result<AuditSettings> {
        let mut earlier_keys = Vec::new();
        for path in &self.earlier_public_keys {
            earlier_keys.extend(public_keys(path)?);
        }
        Ok(AuditSettings {
            sync: match self.sync {
                Flushed::Every => AuditSync::Every,
                Flushed::Interval => AuditSync::Interval(Duration::from_millis(self.interval_ms)),
            },
            rotate_bytes: self.rotate_bytes,
            security_bytes: self.security_log_bytes,
            earlier_keys,
            group_readable: self.group_readable,
            ..AuditSettings::new(self.dir.clone())
        })
    }
}

/// The public keys in a PEM file.
pub(crate) fn public_keys(path: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let failed = || format!("cannot read the public key in `{}`", path.display());
    let text = fs::read_to_string(path).with_context(failed)?;
    read_public_keys(&text).with_context(failed)
}

/// Why nothing can be recorded, if that is so.
pub(crate) fn unhealthy(service: &Service) -> Option<String> {
    let blocked = service.audit_health()?.blocked?;
    Some(format!("audit_blocked: {blocked}"))
}

/// Reads the counters of the audit log; none where none is kept.
pub(crate) fn samples(service: &Service) -> Vec<Sample> {
    let Some(health) = service.audit_health() else { return Vec::new() };
    let blocked = u64::from(health.blocked.is_some());
    vec![
        Sample::Gauge("audit_blocked", "Whether no request is carried out, 0 or 1", blocked),
        Sample::Gauge(
            "audit_low_space",
            "Whether the disk of the audit log is nearly full, 0 or 1",
            u64::from(health.low_space),
        ),
        Sample::Counter("audit_records", "Audit records kept", health.records),
        Sample::Counter("audit_failures", "Audit records that were not kept", health.failures),
        Sample::Counter("audit_syncs", "Flushes of the audit log", health.syncs),
        Sample::Gauge("audit_queued", "Audit records waiting for the log", health.queued),
        Sample::Gauge(
            "audit_outbox",
            "Commits whose audit records are not in the log yet",
            health.backlog,
        ),
        Sample::Counter(
            "security_log_events",
            "Failed authentications in the security log",
            health.security_written,
        ),
        Sample::Counter(
            "security_log_dropped",
            "Failed authentications left out of the security log",
            health.security_dropped,
        ),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Audit, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn defaults_and_bounds() {
        let audit = parse("dir = \"/a\"").unwrap();
        assert_eq!(audit, Audit::new("/a".into()));
        assert_eq!(audit.fault(), None);
        assert_eq!(audit.settings().unwrap().sync, AuditSync::Every);
        let audit = parse("dir = \"/a\"\nsync = \"interval\"\ninterval_ms = 5").unwrap();
        let every = AuditSync::Interval(Duration::from_millis(5));
        assert_eq!(audit.settings().unwrap().sync, every);
        for (text, name) in [
            ("", "dir"),
            ("dir = \"/a\"\ninterval_ms = 0", "interval_ms"),
            ("dir = \"/a\"\nrotate_bytes = 1048575", "rotate_bytes"),
            ("dir = \"/a\"\nsecurity_log_bytes = 1", "security_log_bytes"),
        ] {
            assert_eq!(parse(text).unwrap().fault().unwrap().0, name);
        }
        assert!(parse("dir = \"/a\"\nsync = \"never\"").is_err());
        assert!(parse("directory = \"/a\"").is_err());
        let missing = parse("dir = \"/a\"\nearlier_public_keys = [\"/none\"]").unwrap();
        assert!(missing.settings().is_err());
    }
}
