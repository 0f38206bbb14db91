//! The one thread that writes.

use std::fs::File;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Shared;
use super::connection::{Opened, blob, error, set_patience};
use super::directory::{Directory, Places};
use super::erasure::Windows;
use super::readers::Readers;
use super::statements::Statements;
use crate::feed::Feed;
use crate::limits::commit_bytes;
use crate::{Change, Guard, Revision, StoreError, Write};

/// What the thread is asked to do.
pub(super) enum Job {
    /// A commit or an erasure.
    Commit(Entry),
    /// Rewrite the file.
    Compact { acknowledge: Acknowledge },
    /// Finish and end.
    Close { acknowledge: Option<oneshot::Sender<()>> },
}

/// A commit, or an erasure (whose writes are deletes), and where the answer goes.
pub(super) struct Entry {
    pub(super) guards: Vec<Guard>,
    pub(super) writes: Vec<Write>,
    pub(super) erase: bool,
    pub(super) acknowledge: Acknowledge,
    /// The place in the queue, given back when this is dropped.
    pub(super) slot: OwnedSemaphorePermit,
}

type Acknowledge = oneshot::Sender<Result<Revision, StoreError>>;

/// What the thread owns, in the order in which it lets go: the main file's handle and the lock
/// outlive every connection.
pub(super) struct Writer {
    pub(super) readers: Readers,
    pub(super) opened: Opened,
    pub(super) main_file: File,
    pub(super) directory: Directory,
}

impl Writer {
    /// Runs until the store is closed.
    pub(super) fn run(self, shared: &Shared, jobs: &Receiver<Job>) {
        let Self { readers, opened, main_file, directory } = self;
        // However this thread ends, nobody shall wait for a change that cannot come.
        let feed = EndOfFeed(&shared.feed);
        let close = match Work::start(&opened, &main_file, &directory, shared, jobs) {
            Ok(mut work) => work.until_closed(),
            Err(error) => {
                tracing::error!(%error, "the store cannot be written");
                shared.note(&error);
                None
            }
        };
        drop(feed);
        drop(readers);
        // The last connection: it empties the log and removes it.
        if let Err((_, failed)) = opened.connection.close() {
            tracing::warn!(error = %error(failed), "the store's log was not emptied");
        }
        drop(main_file);
        drop(directory);
        if let Some(close) = close {
            let _ = close.send(());
        }
    }
}

struct EndOfFeed<'a>(&'a Feed);

impl Drop for EndOfFeed<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Commits in one group.
const GROUP: usize = 256;
/// Bytes of keys and values in one group, give or take one commit.
const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// Pages in the log from which it is moved into the main file: SQLite's own default.
const LOG_PAGES: u64 = 1000;
/// Pages in the log from which readers are waited for, so that it can begin anew.
const LOG_PAGES_MOST: u64 = 16_384;
/// How long one attempt to empty the log waits for readers. Commits wait as long.
const SCRUB_PATIENCE: Duration = Duration::from_millis(100);
/// How long commits have their turn between two attempts.
const SCRUB_PAUSE: Duration = Duration::from_millis(20);
/// Attempts before an erasure answers busy: about half a minute.
const SCRUB_ATTEMPTS: u32 = 250;
/// How often a store that could not write tries whether it can again.
const PROBE: Duration = Duration::from_secs(1);
/// Files up to this size are rewritten by way of memory, larger ones by way of a temporary file.
const REWRITE_IN_MEMORY: u64 = 256 * 1024 * 1024;

struct Work<'a> {
    connection: &'a Connection,
    statements: Statements<'a>,
    main_file: &'a File,
    places: Places,
    shared: &'a Shared,
    jobs: &'a Receiver<Job>,
    revision: Revision,
    /// An estimate of the pages in the log that are not in the main file.
    log_pages: u64,
    /// Whether the last attempt to write failed.
    failing: bool,
    /// Erasures that are committed while their bytes may still be in a file.
    scrub: Option<Scrub>,
    /// Whether an earlier erasure did not finish, so that the file must be rewritten.
    unfinished: bool,
}

#[derive(Default)]
struct Scrub {
    waiting: Vec<(Acknowledge, Revision)>,
    erased: Windows,
    rewrite: bool,
    /// Set once the file was rewritten; more erasures may join after that, and need their own.
    rewritten: bool,
    attempts: u32,
}

/// What one pass of the loop has taken from the queue.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    bytes: usize,
    compact: Vec<Acknowledge>,
    close: Option<Option<oneshot::Sender<()>>>,
}

impl Batch {
    fn take(&mut self, job: Job) {
        match job {
            Job::Commit(entry) => {
                self.bytes += commit_bytes(&entry.writes);
                self.entries.push(entry);
            }
            Job::Compact { acknowledge } => self.compact.push(acknowledge),
            Job::Close { acknowledge } => self.close = Some(acknowledge),
        }
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= GROUP || self.bytes >= GROUP_BYTES || self.close.is_some()
    }
}

/// A group that is durable.
struct Group {
    outcomes: Vec<Result<Committed, StoreError>>,
    revision: Revision,
    erased: Windows,
    scrub: bool,
}

/// A commit whose guards held.
struct Committed {
    revision: Revision,
    changes: Vec<Change>,
}

impl<'a> Work<'a> {
    fn start(
        opened: &'a Opened,
        main_file: &'a File,
        directory: &Directory,
        shared: &'a Shared,
        jobs: &'a Receiver<Job>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            connection: &opened.connection,
            statements: Statements::prepare(&opened.connection)?,
            main_file,
            places: directory.places(main_file)?,
            shared,
            jobs,
            revision: opened.revision,
            // A log that was left behind is moved soon.
            log_pages: LOG_PAGES,
            failing: false,
            scrub: opened.scrub.then(|| Scrub { rewrite: true, ..Scrub::default() }),
            unfinished: opened.scrub,
        })
    }

    fn until_closed(&mut self) -> Option<oneshot::Sender<()>> {
        loop {
            let mut batch = Batch::default();
            match self.wait() {
                Ok(job) => batch.take(job),
                Err(RecvTimeoutError::Timeout) if self.failing => self.probe(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            while !batch.is_full() {
                let Ok(job) = self.jobs.try_recv() else { break };
                batch.take(job);
            }
            if !batch.entries.is_empty() {
                self.write(batch.entries);
            }
            if !batch.compact.is_empty() {
                let revision = self.revision;
                let scrub = self.scrub.get_or_insert_default();
                scrub.rewrite = true;
                scrub.rewritten = false;
                scrub.waiting.extend(batch.compact.into_iter().map(|done| (done, revision)));
            }
            self.scrub(batch.close.is_some());
            self.checkpoint_if_due();
            if let Some(close) = batch.close {
                return close;
            }
        }
    }

    fn wait(&self) -> Result<Job, RecvTimeoutError> {
        if self.scrub.is_some() {
            self.jobs.recv_timeout(SCRUB_PAUSE)
        } else if self.failing {
            self.jobs.recv_timeout(PROBE)
        } else {
            self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        }
    }

    /// Makes a group durable, tells the feed, then answers everyone.
    fn write(&mut self, mut entries: Vec<Entry>) {
        let group = match self.transact(&entries) {
            Ok(group) => group,
            Err(StoreError::Full) if entries.len() > 1 => {
                // One large commit must not fail the small ones, nor the deletes that make space.
                for entry in entries {
                    self.write(vec![entry]);
                }
                return;
            }
            Err(error) => {
                self.set_failing(Some(&error));
                self.shared.failures.fetch_add(entries.len() as u64, Ordering::Relaxed);
                for Entry { acknowledge, slot, .. } in entries {
                    drop(slot);
                    let _ = acknowledge.send(Err(error.clone()));
                }
                return;
            }
        };
        if group.revision > self.revision {
            self.set_failing(None);
            self.shared.groups.fetch_add(1, Ordering::Relaxed);
            self.revision = group.revision;
        }
        let mut answers = Vec::with_capacity(entries.len());
        for (entry, outcome) in entries.iter_mut().zip(group.outcomes) {
            answers.push(match outcome {
                Ok(Committed { revision, changes }) => {
                    if entry.erase {
                        let keys = std::mem::take(&mut entry.writes);
                        let keys: Vec<_> = keys.iter().map(|write| write.key().to_vec()).collect();
                        self.shared.feed.forget(&keys, revision);
                    }
                    if !changes.is_empty() {
                        self.shared.feed.publish(revision, changes);
                    }
                    self.shared.commits.fetch_add(1, Ordering::Relaxed);
                    Ok(revision)
                }
                Err(error) => {
                    self.shared.conflicts.fetch_add(1, Ordering::Relaxed);
                    Err(error)
                }
            });
        }
        if group.scrub {
            let scrub = self.scrub.get_or_insert_default();
            scrub.erased.merge(group.erased);
            scrub.rewritten = false;
            scrub.rewrite |= self.unfinished;
        }
        for (Entry { erase, acknowledge, slot, .. }, answer) in entries.into_iter().zip(answers) {
            drop(slot);
            match (&mut self.scrub, answer) {
                (Some(scrub), Ok(revision)) if erase => {
                    scrub.waiting.push((acknowledge, revision));
                }
                (_, answer) => {
                    let _ = acknowledge.send(answer);
                }
            }
        }
    }

    /// One transaction for all entries. An error is an error for all of them.
    fn transact(&mut self, entries: &[Entry]) -> Result<Group, StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(error)?;
        let done = self.apply(entries).and_then(|group| {
            let end = if group.revision > self.revision {
                // What is acknowledged must be found by the next opening.
                self.places.check()?;
                "COMMIT"
            } else {
                "ROLLBACK"
            };
            self.connection.execute_batch(end).map_err(error)?;
            Ok(group)
        });
        // SQLite rolls back by itself after some errors, but not after all.
        if done.is_err() && !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK").map_err(error)?;
        }
        done
    }

    fn apply(&mut self, entries: &[Entry]) -> Result<Group, StoreError> {
        let mut group = Group {
            outcomes: Vec::with_capacity(entries.len()),
            revision: self.revision,
            erased: Windows::default(),
            // Whoever erases again after a failure wants the work finished.
            scrub: self.unfinished && entries.iter().any(|entry| entry.erase),
        };
        for entry in entries {
            let outcome = if self.statements.hold(&entry.guards)? {
                let revision = Revision(group.revision.0.saturating_add(1));
                let erased = entry.erase.then_some(&mut group.erased);
                let changes = self.statements.perform(&entry.writes, revision, erased)?;
                if !changes.is_empty() {
                    group.revision = revision;
                    group.scrub |= entry.erase;
                }
                Ok(Committed { revision: group.revision, changes })
            } else {
                Err(StoreError::Conflict)
            };
            group.outcomes.push(outcome);
        }
        if group.revision > self.revision {
            self.statements.finish(group.revision, group.scrub)?;
            // The leaf and its neighbours, the counter's page, and what the values take.
            let bytes: usize = entries.iter().map(|entry| commit_bytes(&entry.writes)).sum();
            self.log_pages += 4 * entries.len() as u64 + bytes as u64 / 4096;
        }
        Ok(group)
    }

    /// Tries whether writing is possible again: a record of two pages comes and goes. No caller's
    /// key is empty.
    fn probe(&mut self) {
        let probe = "BEGIN IMMEDIATE; INSERT INTO kv VALUES (x'', zeroblob(8192), 0); \
                     DELETE FROM kv WHERE key = x''; COMMIT";
        let probed =
            self.places.check().and_then(|()| self.connection.execute_batch(probe).map_err(error));
        if probed.is_err() && !self.connection.is_autocommit() {
            // The next attempt would fail for this reason alone, and say so.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        self.set_failing(probed.err().as_ref());
    }

    fn set_failing(&mut self, failure: Option<&StoreError>) {
        if let Some(error) = failure {
            if !self.failing {
                tracing::error!(%error, "the store cannot write");
            }
            self.shared.note(error);
        } else if self.failing {
            tracing::info!("the store can write again");
        }
        self.failing = failure.is_some();
        self.shared.writable.store(!self.failing, Ordering::Relaxed);
    }

    /// Finishes the erasures that wait, or leaves them for the next pass if readers are in the way.
    fn scrub(&mut self, closing: bool) {
        let Some(mut scrub) = self.scrub.take() else { return };
        let done = set_patience(self.connection, Some(SCRUB_PATIENCE))
            .and_then(|()| self.clean(&mut scrub));
        let done = set_patience(self.connection, None).and(done);
        match done {
            Err(StoreError::Busy) if scrub.attempts < SCRUB_ATTEMPTS && !closing => {
                scrub.attempts += 1;
                self.scrub = Some(scrub);
                return;
            }
            Ok(()) => self.unfinished = false,
            Err(_) => self.unfinished = true,
        }
        if let Err(error) = &done {
            tracing::error!(%error, "an erasure could not be finished");
            self.shared.note(error);
            self.shared.failures.fetch_add(scrub.waiting.len() as u64, Ordering::Relaxed);
        }
        for (acknowledge, revision) in scrub.waiting {
            let _ = acknowledge.send(done.clone().map(|()| revision));
        }
    }

    fn clean(&mut self, scrub: &mut Scrub) -> Result<(), StoreError> {
        // The log holds the pages as they were before.
        self.truncate_log()?;
        scrub.rewrite |= scrub.erased.is_blind();
        if !scrub.rewrite {
            scrub.rewrite = !self.remnants(&scrub.erased)?.is_empty();
        }
        if scrub.rewrite {
            if !scrub.rewritten {
                self.rewrite()?;
                scrub.rewritten = true;
            }
            self.truncate_log()?;
            if !self.remnants(&scrub.erased)?.is_empty() {
                return Err(StoreError::Remnant);
            }
        }
        self.connection
            .execute_batch("UPDATE store SET scrub = 0 WHERE id = 1 AND scrub <> 0")
            .map_err(error)
    }

    /// The windows that are in the main file and in no live record.
    fn remnants(&self, erased: &Windows) -> Result<Windows, StoreError> {
        let found = erased.find_in_file(self.main_file)?;
        if found.is_empty() {
            return Ok(found);
        }
        let mut live = Windows::default();
        // The text of the schema is in the file too. The columns of a record lie side by side.
        let texts = "SELECT CAST(name AS BLOB), CAST(sql AS BLOB) FROM sqlite_schema";
        for query in [texts, "SELECT key, value FROM kv"] {
            let mut statement = self.connection.prepare(query).map_err(error)?;
            let mut rows = statement.query([]).map_err(error)?;
            while let Some(row) = rows.next().map_err(error)? {
                found.find(&[blob(row, 0)?, blob(row, 1)?].concat(), &mut live);
            }
        }
        Ok(found.without(&live))
    }

    /// Writes the whole file anew from the live records.
    fn rewrite(&mut self) -> Result<(), StoreError> {
        let length = self
            .main_file
            .metadata()
            .map_err(|error| StoreError::io("reading the length of the store", &error))?
            .len();
        let temporary = if length < REWRITE_IN_MEMORY { "MEMORY" } else { "FILE" };
        self.connection
            .execute_batch(&format!("PRAGMA temp_store = {temporary}; VACUUM"))
            .map_err(error)?;
        self.shared.rewrites.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Moves the log into the main file and cuts it to nothing.
    fn truncate_log(&mut self) -> Result<(), StoreError> {
        if self.checkpoint("TRUNCATE")? { Ok(()) } else { Err(StoreError::Busy) }
    }

    /// Moves the log into the main file when it has grown, after everyone was answered.
    fn checkpoint_if_due(&mut self) {
        if self.log_pages < LOG_PAGES {
            return;
        }
        let kind = if self.log_pages < LOG_PAGES_MOST { "PASSIVE" } else { "TRUNCATE" };
        // Readers in the way are no fault: the next commits try again. A log that cannot be moved
        // costs space, no commit.
        let done = set_patience(self.connection, Some(SCRUB_PATIENCE))
            .and_then(|()| self.checkpoint(kind));
        let done = set_patience(self.connection, None).and(done);
        if let Err(error) = done {
            tracing::warn!(%error, "the store's log could not be moved into its main file");
            self.shared.note(&error);
            self.log_pages /= 2;
        }
    }

    /// Answers whether all of it was done.
    fn checkpoint(&mut self, kind: &str) -> Result<bool, StoreError> {
        let row = self.connection.query_row(&format!("PRAGMA wal_checkpoint({kind})"), [], |row| {
            Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        let (busy, log, moved) = row.map_err(error)?;
        self.log_pages = u64::try_from(log - moved).unwrap_or(0);
        self.shared.checkpoints.fetch_add(1, Ordering::Relaxed);
        Ok(!busy)
    }
}
