//! The store of one machine: one SQLite file in one directory, open in one process at a time.
//!
//! # Durability
//! SQLite runs with a write-ahead log and `synchronous=FULL`: a commit is acknowledged after the
//! log was flushed to the device. One thread owns the writing connection. It takes all commits that
//! are waiting, checks their guards one after the other, and makes all of them durable with one
//! flush; a failed guard fails its own commit alone. Commits therefore share the cost of a flush
//! under load, and wait for nothing when there is none.
//!
//! # The directory
//! `keystead.db` with `-wal` and `-shm` beside it while open, and `lock`, which the process that has
//! the store open holds locked. The directory is made with mode 0700, the files have 0600, whatever
//! the umask. Nothing in the directory may be copied, moved or removed while the store is open: use
//! [`backup`], which works at any time and from any process. A commit is refused, not lost, when one
//! of the files is no longer under its name; putting it back is enough to go on.
//!
//! # Erasure
//! [`Store::erase`] deletes with `secure_delete`, which overwrites freed bytes with zeros, and then
//! moves the write-ahead log into the main file and truncates it, since older pages live on in the
//! log. That is not quite enough: when SQLite rebalances a tree it moves cells between pages, and a
//! copy of a cell may stay behind in the unused part of a page. So the main file is searched for the
//! erased values, and if any of their bytes are found that no live record has, the file is rewritten
//! as a whole (`VACUUM`) and searched again. A mark that is committed together with the deletion
//! makes sure that this is finished by the next opening if the process dies in between. An erasure
//! reads the whole file: batch them. What it cannot reach are copies outside the directory
//! (backups, snapshots of the file system, blocks that the device has remapped).
//!
//! # Refusals
//! A file that is no store, a store of a newer format, and a damaged one are refused before SQLite
//! may write to them, and so is a log with acknowledged commits behind damage. Files under 64 MiB are
//! checked in full at each opening.

mod backup;
mod connection;
mod directory;
mod erasure;
mod log;
mod peek;
mod readers;
mod statements;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, oneshot};

use self::directory::Directory;
use self::readers::{Queue, ReadJob, Readers};
use self::writer::{Entry, Job, Writer};
use crate::feed::{Capacity, Feed};
use crate::limits::{check_commit, check_erasure, check_key};
use crate::{
    Future, Guard, Health, KeyRange, Revision, Statistics, Store, StoreError, Versioned, Watch,
    Write,
};

pub use self::backup::{backup, restore};
pub use self::peek::peek;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Make the directory and the store if there is none. Default: false.
    pub create: bool,
    /// The most bytes that the main file may take; commits beyond it answer [`StoreError::Full`].
    /// Default: as many as there are.
    pub max_bytes: Option<u64>,
    /// Threads that read, 1 or more. Default: 4.
    pub readers: usize,
    /// Changes that the feed keeps for a replay. Default: 10,000.
    pub feed_changes: usize,
}

impl Default for OpenOptions {
    fn default() -> Self {
        let feed_changes = Capacity::default().changes;
        Self { create: false, max_bytes: None, readers: 4, feed_changes }
    }
}

/// The embedded store. Dropping it closes it, and waits until it is closed.
pub struct Embedded {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    slots: Arc<Semaphore>,
    reads: Arc<Queue>,
    read_slots: Semaphore,
    writer: Mutex<Option<JoinHandle<()>>>,
    created: bool,
}

impl Embedded {
    /// Opens the store in `directory`. Blocks: call it at start, not among requests.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Locked`], [`StoreError::Foreign`],
    /// [`StoreError::Newer`], [`StoreError::Corrupt`] say why a store was not opened; nothing was
    /// changed then.
    pub fn open(directory: &Path, options: &OpenOptions) -> Result<Self, StoreError> {
        let directory = Directory::claim(directory, options.create)?;
        let created = !directory.has_store()?;
        if created {
            if !options.create {
                return Err(StoreError::Missing);
            }
            directory.create_store()?;
        }
        let main_file = directory.inspect()?;
        let path = directory.store_path();
        let opened = connection::writer(&path, &main_file, options.max_bytes)?;
        let feed = Capacity { changes: options.feed_changes, ..Capacity::default() };
        let shared = Arc::new(Shared::new(opened.revision, feed));
        let readers = Readers::start(&path, options.readers.max(1), &shared)?;
        let reads = readers.queue();
        let (jobs, received) = mpsc::channel();
        let writer = Writer { opened, main_file, directory, readers };
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("store-writer".to_owned())
                .spawn(move || writer.run(&shared, &received))
                .map_err(|error| StoreError::io("starting a thread", &error))?
        };
        Ok(Self {
            shared,
            jobs,
            slots: Arc::new(Semaphore::new(QUEUE)),
            reads,
            read_slots: Semaphore::new(QUEUE),
            writer: Mutex::new(Some(thread)),
            created,
        })
    }

    /// Whether [`Embedded::open`] made the store.
    pub fn created(&self) -> bool {
        self.created
    }

    /// Rewrites the store's file, so that it holds live records and nothing else: no byte of any
    /// value that was replaced or deleted before. For use after all records were rewrapped.
    ///
    /// # Errors
    /// [`StoreError::Busy`], [`StoreError::Full`] (it takes as much space again as the store has),
    /// and others; the store is whole in any case.
    pub fn compact(&self) -> Future<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let (acknowledge, done) = oneshot::channel();
            self.send(Job::Compact { acknowledge })?;
            done.await.map_err(|_| StoreError::Closed)?.map(|_| ())
        })
    }

    async fn submit(
        &self,
        guards: Vec<Guard>,
        writes: Vec<Write>,
        erase: bool,
    ) -> Result<Revision, StoreError> {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let slot = slot.map_err(|_| StoreError::Closed)?;
        let (acknowledge, done) = oneshot::channel();
        self.send(Job::Commit(Entry { guards, writes, erase, acknowledge, slot }))?;
        done.await.map_err(|_| StoreError::Closed)?
    }

    fn send(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.send(job).map_err(|_| StoreError::Closed)
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> ReadJob,
    ) -> Result<T, StoreError> {
        let _slot = self.read_slots.acquire().await.map_err(|_| StoreError::Closed)?;
        let (answer, answered) = oneshot::channel();
        self.reads.push(job(answer))?;
        let result = answered.await.map_err(|_| StoreError::Closed)?;
        if let Err(error) = &result {
            self.shared.note(error);
        }
        result
    }
}

impl Store for Embedded {
    fn read<'a>(&'a self, key: &'a [u8]) -> Future<'a, Result<Option<Versioned>, StoreError>> {
        Box::pin(async move {
            check_key(key)?;
            self.shared.reads.fetch_add(1, Ordering::Relaxed);
            self.ask(|answer| ReadJob::Read { key: key.to_vec(), answer }).await
        })
    }

    fn scan<'a>(
        &'a self,
        range: KeyRange,
        limit: usize,
    ) -> Future<'a, Result<Vec<(Vec<u8>, Versioned)>, StoreError>> {
        Box::pin(async move {
            self.shared.scans.fetch_add(1, Ordering::Relaxed);
            self.ask(|answer| ReadJob::Scan { range, limit, answer }).await
        })
    }

    fn commit<'a>(
        &'a self,
        guards: Vec<Guard>,
        writes: Vec<Write>,
    ) -> Future<'a, Result<Revision, StoreError>> {
        Box::pin(async move {
            check_commit(&guards, &writes)?;
            self.submit(guards, writes, false).await
        })
    }

    fn watch(&self, from: Option<Revision>) -> Result<Watch, StoreError> {
        self.shared.feed.watch(from)
    }

    fn revision(&self) -> Revision {
        self.shared.feed.revision()
    }

    fn erase<'a>(&'a self, keys: Vec<Vec<u8>>) -> Future<'a, Result<Revision, StoreError>> {
        Box::pin(async move {
            check_erasure(&keys)?;
            let writes = keys.into_iter().map(Write::Delete).collect();
            self.submit(Vec::new(), writes, true).await
        })
    }

    fn health(&self) -> Health {
        let closed = self.slots.is_closed() || self.shared.feed.is_closed();
        Health {
            writable: !closed && self.shared.writable.load(Ordering::Relaxed),
            closed,
            revision: self.revision(),
            queue_depth: QUEUE.saturating_sub(self.slots.available_permits()),
            last_error: self.shared.last_error(),
        }
    }

    fn statistics(&self) -> Statistics {
        self.shared.statistics()
    }

    fn close<'a>(&'a self) -> Future<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.slots.close();
            self.read_slots.close();
            let (acknowledge, done) = oneshot::channel();
            if self.send(Job::Close { acknowledge: Some(acknowledge) }).is_ok() {
                // An error here means that another close came first and is done.
                let _ = done.await;
            }
            Ok(())
        })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.slots.close();
        let _ = self.send(Job::Close { acknowledge: None });
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes the store panicked");
        }
    }
}

/// Commits that may wait to be written, and reads that may wait to be served; more wait unqueued.
const QUEUE: usize = 4096;

/// What the handle and its threads share.
struct Shared {
    feed: Arc<Feed>,
    commits: AtomicU64,
    groups: AtomicU64,
    conflicts: AtomicU64,
    failures: AtomicU64,
    reads: AtomicU64,
    scans: AtomicU64,
    checkpoints: AtomicU64,
    rewrites: AtomicU64,
    writable: AtomicBool,
    last_error: Mutex<Option<StoreError>>,
}

impl Shared {
    fn new(revision: Revision, feed: Capacity) -> Self {
        Self {
            feed: Feed::new(revision, feed),
            commits: AtomicU64::new(0),
            groups: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            scans: AtomicU64::new(0),
            checkpoints: AtomicU64::new(0),
            rewrites: AtomicU64::new(0),
            writable: AtomicBool::new(true),
            last_error: Mutex::new(None),
        }
    }

    /// Keeps an error for [`Store::health`], if it is the store's own.
    fn note(&self, error: &StoreError) {
        if !matches!(error, StoreError::Conflict | StoreError::Limit(_) | StoreError::Closed) {
            *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
    }

    fn last_error(&self) -> Option<StoreError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn statistics(&self) -> Statistics {
        Statistics {
            commits: self.commits.load(Ordering::Relaxed),
            groups: self.groups.load(Ordering::Relaxed),
            conflicts: self.conflicts.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            scans: self.scans.load(Ordering::Relaxed),
            checkpoints: self.checkpoints.load(Ordering::Relaxed),
            rewrites: self.rewrites.load(Ordering::Relaxed),
        }
    }
}
