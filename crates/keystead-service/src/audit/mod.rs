//! The audit trail of the service: one outcome record for each authenticated request, and one for
//! each thing that the service does by itself.
//!
//! A request that changes something commits its record together with the change, into the outbox
//! ([`outbox`]), from where it is moved to the log; any other appends its record to the log before
//! it is answered. While records cannot be kept, no request is carried out. What a record shows is
//! in [`listed`], how it is gathered in [`entry`].

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use keystead_audit::disk::Disk;
use keystead_audit::{
    Anchor, Log, LogError, LogSettings, SecurityEvent, SecurityLog, SecuritySettings, Signer,
    SignerError,
};
use keystead_crypto::AuditSigningKey;
use keystead_sigv4::Authorization;
use tokio::sync::{Mutex, Notify};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::keyring::OpenError;
use crate::service::{RawRequest, Service};

mod entry;
mod events;
mod identity;
mod listed;
mod outbox;

pub(crate) use entry::{Entry, Lines};
pub(crate) use events::KeyEvent;
pub(crate) use listed::{Answered, Audited};
pub(crate) use outbox::{left_behind, parcel};

pub use keystead_audit::Sync as AuditSync;

/// How the audit log is kept.
#[derive(Clone)]
pub struct AuditSettings {
    /// The directory of its files, made if it is missing.
    pub directory: PathBuf,
    /// When a record counts as kept.
    pub sync: AuditSync,
    /// Bytes after which a file is ended and another one begun.
    pub rotate_bytes: u64,
    /// Bytes of the security log, both its files together.
    pub security_bytes: u64,
    /// How many commits may wait in the outbox before no request is carried out any more.
    pub backlog: usize,
    /// Public keys, 32 bytes each, that signed earlier digests in the directory.
    pub earlier_keys: Vec<Vec<u8>>,
    /// Whether the group may read the files.
    pub group_readable: bool,
    /// The file system; `None` is the machine's.
    pub disk: Option<Arc<dyn Disk>>,
}

impl AuditSettings {
    /// A log in `directory` whose every record is flushed before the reply is given.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            sync: AuditSync::Every,
            rotate_bytes: 64 << 20,
            security_bytes: 16 << 20,
            backlog: 4_096,
            earlier_keys: Vec::new(),
            group_readable: false,
            disk: None,
        }
    }
}

impl fmt::Debug for AuditSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("AuditSettings")
            .field("directory", &self.directory)
            .field("sync", &self.sync)
            .finish_non_exhaustive()
    }
}

/// What the audit log says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditHealth {
    /// Why no request is carried out, if none is.
    pub blocked: Option<String>,
    /// Whether the disk of the log is nearly full.
    pub low_space: bool,
    /// Records that have been acknowledged since the start.
    pub records: u64,
    /// Records that could not be kept.
    pub failures: u64,
    /// Flushes of the log.
    pub syncs: u64,
    /// Records handed to the log and not kept yet.
    pub queued: u64,
    /// Commits whose records are still in the store.
    pub backlog: u64,
    /// Failed authentications in the security log.
    pub security_written: u64,
    /// Failed authentications that the security log left out, for its rate or size.
    pub security_dropped: u64,
    /// The latest signed digest, `NUMBER:HASH`.
    pub head: String,
}

/// The log and what is on its way there.
pub(crate) struct Trail {
    log: Log,
    security: SecurityLog,
    /// Commits in the outbox, those being made included.
    waiting: AtomicUsize,
    most: usize,
    /// Tells the drain that there is something to move, or that it is to end.
    wake: Arc<Notify>,
    draining: Mutex<()>,
    /// Whether the last attempt to move something failed.
    stuck: AtomicBool,
}

impl Trail {
    /// Opens log and security log, which wait for nothing but the disk.
    pub(crate) fn open(
        settings: &AuditSettings,
        key: Arc<AuditSigningKey>,
        clock: Arc<dyn Clock>,
        waiting: usize,
    ) -> std::result::Result<Self, OpenError> {
        let now: keystead_audit::Clock = Arc::new(move || clock.now());
        let log_settings = LogSettings {
            sync: settings.sync,
            rotate_bytes: settings.rotate_bytes,
            group_readable: settings.group_readable,
            earlier_keys: settings.earlier_keys.clone(),
            disk: settings.disk.clone(),
            ..LogSettings::new(Arc::clone(&now))
        };
        let failed = |error: &dyn fmt::Display| OpenError::Audit(error.to_string());
        let public = key.public_key()?;
        let signer = Arc::new(TrailSigner { key, public });
        let log = Log::open(&settings.directory, log_settings, signer).map_err(|e| failed(&e))?;
        let recovery = log.recovery();
        if recovery.adopted > 0 || recovery.cut > 0 {
            let (adopted, cut) = (recovery.adopted, recovery.cut);
            tracing::warn!(adopted, cut, "the audit log was not closed: its end has been mended");
        }
        for damage in &recovery.damage {
            tracing::error!(damage, "the audit log is damaged: verify it");
        }
        let security_settings =
            SecuritySettings { most_bytes: settings.security_bytes, ..SecuritySettings::new(now) };
        let security =
            SecurityLog::open(&settings.directory, security_settings).map_err(|e| failed(&e))?;
        if let AuditSync::Interval(interval) = settings.sync {
            let milliseconds = interval.as_millis();
            tracing::warn!(
                milliseconds,
                "audit records are flushed at intervals: a crash of the machine may lose the last one"
            );
        }
        Ok(Self {
            log,
            security,
            waiting: AtomicUsize::new(waiting),
            most: settings.backlog.max(1),
            wake: Arc::new(Notify::new()),
            draining: Mutex::new(()),
            stuck: AtomicBool::new(false),
        })
    }

    /// Whether a request may be carried out: two plain reads.
    ///
    /// # Errors
    /// KMSInternalException while records cannot be kept.
    pub(crate) fn admit(&self) -> Result<()> {
        if self.log.admits() && self.waiting.load(Ordering::Relaxed) < self.most {
            return Ok(());
        }
        Err(Error::internal(format_args!("audit_blocked: {}", self.obstacle().unwrap_or_default())))
    }

    /// Keeps records; whoever gets `Ok` may give its reply out.
    ///
    /// # Errors
    /// KMSInternalException.
    pub(crate) async fn append(&self, lines: Lines) -> Result<()> {
        let records = lines.into_iter().map(|(_, line)| line).collect();
        self.log.append(records).await.map_err(unrecorded)
    }

    /// Notes a request that nobody is answerable for.
    pub(crate) fn unauthenticated(&self, raw: &RawRequest<'_>, operation: &str, error: &Error) {
        let claimed = Authorization::from_headers(raw.headers);
        let claimed = claimed.as_ref().ok().map(|authorization| authorization.access_key_id);
        let agent = raw.headers.get(http::header::USER_AGENT).map(|agent| agent.as_bytes());
        let agent = agent.map(String::from_utf8_lossy);
        let source = raw.source.to_string();
        let request = raw.request_id.to_string();
        self.security.note(&SecurityEvent {
            error_code: error.type_name(),
            event_name: Some(operation),
            source_ip_address: Some(&source),
            user_agent: agent.as_deref(),
            claimed_access_key_id: claimed,
            request_id: Some(&request),
        });
    }

    fn obstacle(&self) -> Option<String> {
        let health = self.log.health();
        if !health.admits {
            return Some(health.reason.unwrap_or_else(|| "the log is closed".to_owned()));
        }
        let waiting = self.waiting.load(Ordering::Relaxed);
        (waiting >= self.most).then(|| format!("{waiting} commits wait in the outbox"))
    }

    fn health(&self) -> AuditHealth {
        let (health, counted) = (self.log.health(), self.log.statistics());
        AuditHealth {
            blocked: self.obstacle(),
            low_space: health.low_space,
            records: counted.records,
            failures: counted.failures,
            syncs: counted.syncs,
            queued: health.queued_records as u64,
            backlog: self.waiting.load(Ordering::Relaxed) as u64,
            security_written: self.security.written(),
            security_dropped: self.security.dropped(),
            head: anchor(self.log.head()),
        }
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

impl Service {
    /// What the audit log says about itself; `None` if none is kept.
    pub fn audit_health(&self) -> Option<AuditHealth> {
        self.trail.as_ref().map(|trail| trail.health())
    }

    /// Ends the file of the audit log and begins another one, before files are moved away. A blocked
    /// log tries at once whether it can go on.
    ///
    /// # Errors
    /// KMSInternalException if it cannot.
    pub async fn reopen_audit(&self) -> Result<()> {
        match &self.trail {
            Some(trail) => trail.log.reopen().await.map_err(unrecorded),
            None => Ok(()),
        }
    }

    /// Moves what is left to the log, and closes it: no request is carried out afterwards.
    ///
    /// # Errors
    /// KMSInternalException if something could not be moved, which the next start does, or the log
    /// not be closed in order, which the next start mends.
    pub async fn close_audit(&self) -> Result<()> {
        let Some(trail) = &self.trail else { return Ok(()) };
        let drained = self.drain_audit().await;
        let closed = trail.log.close().await.map_err(unrecorded);
        drained.and(closed)
    }

    /// The public key that verifies the audit log, as PEM.
    ///
    /// # Errors
    /// KMSInternalException.
    pub fn audit_public_key(&self) -> Result<String> {
        Ok(keystead_audit::public_key_pem(&self.keyring.audit_key().public_key()?))
    }
}

fn unrecorded(error: LogError) -> Error {
    Error::internal(format_args!("audit_blocked: {error}"))
}

fn anchor(head: Anchor) -> String {
    head.to_string()
}

/// Signs the digests of the log by the store's key.
struct TrailSigner {
    key: Arc<AuditSigningKey>,
    public: [u8; 32],
}

impl Signer for TrailSigner {
    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, SignerError> {
        let failed = |error: keystead_crypto::CryptoError| SignerError(error.to_string());
        self.key.sign(message).map(Vec::from).map_err(failed)
    }

    fn public_key(&self) -> Vec<u8> {
        self.public.to_vec()
    }
}
