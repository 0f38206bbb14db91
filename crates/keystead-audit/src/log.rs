//! The log: records appended in groups, made durable, signed, in files of one directory.

mod directory;
mod events;
mod opening;
mod queue;
mod segment;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::oneshot;

pub use queue::Ticket;
use queue::{Job, Shared};

use crate::disk::{Disk, MachineDisk};
use crate::{Anchor, LONGEST_RECORD, Signer, SignerError};

/// What tells the date of a digest: milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + std::marker::Sync>;

/// A log of audit records in one directory, which it alone writes to.
///
/// Writing happens on a thread of its own. All records that wait are written together and made
/// durable by one flush; a [`Ticket`] completes when its records are.
///
/// After a failure of the disk the log is *blocked*: every ticket fails, until a new segment could
/// be begun on the disk, which is tried at [`LogSettings::retry`]. What was acknowledged before is
/// never touched again.
pub struct Log {
    shared: Arc<Shared>,
}

impl Log {
    /// Opens the log of a directory, after making the directory if it is missing.
    ///
    /// A log that was not closed is mended first: a torn last line is cut off, and whole lines that
    /// no digest covers yet are signed; [`Log::recovery`] says what was found. Then a new segment is
    /// begun, so that an open log is one that could write and flush.
    ///
    /// # Errors
    /// [`LogError::Locked`] if the log is open already, [`LogError::Settings`],
    /// [`LogError::Signer`], [`LogError::UnknownKey`], [`LogError::Io`].
    pub fn open(
        directory: &Path,
        settings: LogSettings,
        signer: Arc<dyn Signer>,
    ) -> Result<Self, LogError> {
        settings.check()?;
        let (sender, jobs) = mpsc::channel();
        let shared = Arc::new(Shared::new(sender, &settings));
        let writer = writer::Writer::open(directory, settings, signer, Arc::clone(&shared))?;
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(&jobs))
            .map_err(|error| LogError::io("starting the writer", &error))?;
        Ok(Self { shared })
    }

    /// Appends records, each one line of JSON without its newline. They stand together and in this
    /// order in the log.
    ///
    /// The ticket is a future: `Ok` when they are written, and flushed under [`Sync::Every`]. If the
    /// queue has no room, the records are handed over when the ticket is polled and there is room;
    /// dropping such a ticket unpolled drops them. Otherwise a dropped ticket changes nothing.
    ///
    /// An error means that the records were not acknowledged; they may be in the log all the same
    /// when the disk failed half way, so nothing may be concluded from their presence there.
    pub fn append(&self, records: Vec<Vec<u8>>) -> Ticket {
        self.hand_over(records, false)
    }

    /// Appends records that may have been appended before, such as those of an outbox that is
    /// drained again after a crash: a record whose `eventID` is among those lately appended this
    /// way, or in the end of the log when it was opened, is left out and counts as written.
    ///
    /// How far back that is: [`LogSettings::remembered_events`]. A repeat from before that is
    /// written again; its `eventID` tells, and a verification lists it for information.
    pub fn append_once(&self, records: Vec<Vec<u8>>) -> Ticket {
        self.hand_over(records, true)
    }

    fn hand_over(&self, records: Vec<Vec<u8>>, once: bool) -> Ticket {
        let fits = |record: &Vec<u8>| {
            !record.is_empty() && record.len() <= LONGEST_RECORD && !record.contains(&b'\n')
        };
        if !records.iter().all(fits) {
            return Ticket::failed(LogError::NotARecord);
        }
        Ticket::new(Arc::clone(&self.shared), records, once)
    }

    /// Whether new requests may be admitted: a plain read of a flag. False while the log is blocked,
    /// and before that as soon as space for what is already admitted is all there is.
    pub fn admits(&self) -> bool {
        self.shared.status.admits.load(Ordering::Relaxed)
    }

    /// What the log says about itself.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// Counters since the log was opened.
    pub fn statistics(&self) -> Statistics {
        self.shared.statistics()
    }

    /// What was found and mended when the log was opened.
    pub fn recovery(&self) -> Recovery {
        self.shared.recovery()
    }

    /// The latest digest that was signed. Kept out of reach of whoever can write to the directory,
    /// it proves later that nothing up to there was taken away.
    pub fn head(&self) -> Anchor {
        self.shared.head()
    }

    /// Ends the segment and begins another one, as a signal may ask for before files are moved
    /// away. A blocked log tries at once whether it can go on.
    ///
    /// # Errors
    /// [`LogError::Blocked`] if it cannot, [`LogError::Closed`].
    pub async fn reopen(&self) -> Result<(), LogError> {
        self.ask(Job::Reopen).await
    }

    /// Makes everything durable and signs it now, without waiting for the interval.
    ///
    /// # Errors
    /// [`LogError::Blocked`], [`LogError::Closed`].
    pub async fn seal(&self) -> Result<(), LogError> {
        self.ask(Job::Seal).await
    }

    /// Writes what waits, signs, and ends. A log that is dropped does the same in the background.
    ///
    /// # Errors
    /// [`LogError::Blocked`] if the end could not be written; the next opening mends that.
    pub async fn close(&self) -> Result<(), LogError> {
        self.ask(Job::Close).await
    }

    async fn ask(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<(), LogError>>) -> Job,
    ) -> Result<(), LogError> {
        let (answer, answered) = oneshot::channel();
        self.shared.jobs.send(job(answer)).map_err(|_| LogError::Closed)?;
        answered.await.unwrap_or(Err(LogError::Closed))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (answer, _) = oneshot::channel();
        // Fails if the log is closed.
        let _ = self.shared.jobs.send(Job::Close(answer));
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("health", &self.health()).finish_non_exhaustive()
    }
}

/// When a record counts as written.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Sync {
    /// When it has been flushed to the device.
    Every,
    /// When the system has taken it; flushed so often. A crash of the machine, not of the process,
    /// may lose what was acknowledged since.
    Interval(Duration),
}

/// How a log works.
#[derive(Clone)]
pub struct LogSettings {
    /// When a record counts as written [`Sync::Every`].
    pub sync: Sync,
    /// Bytes after which a segment is ended [64 MiB].
    pub rotate_bytes: u64,
    /// The longest that a written record stays without a signature [1 s].
    pub digest_interval: Duration,
    /// Records after which a digest is signed, whatever the time: at most 4,096 [4,096].
    pub digest_records: usize,
    /// Bytes of records that may wait [16 MiB].
    pub queue_bytes: usize,
    /// Records that may wait [16,384].
    pub queue_records: usize,
    /// Bytes that are reserved on the disk ahead of what is written: at least twice `queue_bytes`
    /// [32 MiB]. When no more can be reserved, admission ends while half of this is left.
    pub reserve_bytes: u64,
    /// Free bytes of the file system below which health raises its alarm [256 MiB].
    pub low_space_bytes: u64,
    /// How often a blocked log tries whether it can go on [1 s].
    pub retry: Duration,
    /// How many event ids [`Log::append_once`] knows again [65,536].
    pub remembered_events: usize,
    /// Files of mode 0640 in a directory of mode 0750, in place of 0600 and 0700 [false].
    pub group_readable: bool,
    /// Public keys that signed earlier digests of the directory, if the signing key was changed
    /// [none].
    pub earlier_keys: Vec<Vec<u8>>,
    /// What tells the date of a digest.
    pub clock: Clock,
    /// The file system; `None` is the machine's.
    pub disk: Option<Arc<dyn Disk>>,
}

impl LogSettings {
    /// The settings named in brackets above.
    pub fn new(clock: Clock) -> Self {
        Self {
            sync: Sync::Every,
            rotate_bytes: 64 << 20,
            digest_interval: Duration::from_secs(1),
            digest_records: crate::chain::MOST_LEAVES,
            queue_bytes: 16 << 20,
            queue_records: 16_384,
            reserve_bytes: 32 << 20,
            low_space_bytes: 256 << 20,
            retry: Duration::from_secs(1),
            remembered_events: 65_536,
            group_readable: false,
            earlier_keys: Vec::new(),
            clock,
            disk: None,
        }
    }

    fn check(&self) -> Result<(), LogError> {
        let most = u32::MAX as usize;
        if !(1..=crate::chain::MOST_LEAVES).contains(&self.digest_records) {
            return Err(LogError::Settings("digest_records is not between 1 and 4096"));
        }
        if !(1..=most).contains(&self.queue_bytes) || !(1..=most).contains(&self.queue_records) {
            return Err(LogError::Settings("the queue has no room or too much"));
        }
        if self.reserve_bytes / 2 < self.queue_bytes as u64 {
            return Err(LogError::Settings("reserve_bytes is less than twice queue_bytes"));
        }
        if self.rotate_bytes == 0 || self.retry.is_zero() {
            return Err(LogError::Settings("rotate_bytes or retry is zero"));
        }
        Ok(())
    }

    fn disk(&self) -> Arc<dyn Disk> {
        let machine = || Arc::new(MachineDisk { group_readable: self.group_readable }) as _;
        self.disk.clone().unwrap_or_else(machine)
    }
}

/// What a log says about itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Health {
    /// Whether new requests may be admitted.
    pub admits: bool,
    /// Whether every append fails at present.
    pub blocked: bool,
    /// Why it does not admit, or is blocked.
    pub reason: Option<String>,
    /// Whether the file system is below [`LogSettings::low_space_bytes`], as of the latest digest.
    pub low_space: bool,
    /// Whether the log has been closed.
    pub closed: bool,
    /// Records handed over and not yet answered.
    pub queued_records: usize,
    /// Bytes of them.
    pub queued_bytes: usize,
}

/// Counters since a log was opened. They only grow.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Statistics {
    /// Records acknowledged.
    pub records: u64,
    /// Groups of records written together.
    pub groups: u64,
    /// Flushes of record files.
    pub syncs: u64,
    /// Digests signed.
    pub digests: u64,
    /// Segments ended because of their size or on demand.
    pub rotations: u64,
    /// Records that were not acknowledged because of a failure.
    pub failures: u64,
    /// Records that `append_once` left out.
    pub repeats: u64,
}

/// What was found and mended when a log was opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Recovery {
    /// Whole records that no digest covered; they are signed now.
    pub adopted: u64,
    /// Bytes of torn lines that were cut off. None of them had been acknowledged.
    pub cut: u64,
    /// What a crash cannot explain: signed records that are gone, digests that are not genuine. The
    /// files are left as they are; a verification tells more.
    pub damage: Vec<String>,
}

/// Why records were not written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Another process, or another [`Log`] of this one, has the directory.
    #[error("the audit log is open already")]
    Locked,
    /// The disk failed.
    #[error("the audit log failed at {what}: {error}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        error: String,
        /// Whether there was no space left.
        full: bool,
    },
    /// A file or the directory is not where it was.
    #[error("`{0}` was moved, removed or replaced while the audit log is open")]
    Moved(String),
    /// No signature could be made.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// There are digests in the directory, none of them by a key that is known: see
    /// [`LogSettings::earlier_keys`].
    #[error("the digests in the audit log's directory are signed by an unknown key")]
    UnknownKey,
    /// The log failed before, for this reason, and has not recovered.
    #[error("the audit log is blocked: {0}")]
    Blocked(String),
    /// The log has been closed.
    #[error("the audit log is closed")]
    Closed,
    /// A record is empty, has more than one line or is longer than [`LONGEST_RECORD`].
    #[error("not one line of at most 1 MiB")]
    NotARecord,
    /// A setting cannot be followed.
    #[error("the settings of the audit log are wrong: {0}")]
    Settings(&'static str),
}

impl LogError {
    fn io(what: &'static str, error: &std::io::Error) -> Self {
        let full = matches!(
            error.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
        );
        Self::Io { what, error: error.to_string(), full }
    }
}
