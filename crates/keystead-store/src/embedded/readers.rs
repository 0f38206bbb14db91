//! The threads that read. Each has a connection of its own, with its statements prepared once.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, Statement};
use tokio::sync::oneshot;

use super::Shared;
use super::connection::{blob, error, reader, record};
use crate::{KeyRange, StoreError, Versioned};

/// Something to read, and where the answer goes.
#[allow(clippy::type_complexity, reason = "a page is spelled out as in the contract")]
pub(super) enum ReadJob {
    /// One record.
    Read { key: Vec<u8>, answer: oneshot::Sender<Result<Option<Versioned>, StoreError>> },
    /// A page of records.
    Scan {
        range: KeyRange,
        limit: usize,
        answer: oneshot::Sender<Result<Vec<(Vec<u8>, Versioned)>, StoreError>>,
    },
}

/// The running threads. Dropping them serves what is queued, then ends them.
pub(super) struct Readers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts `count` threads.
    pub(super) fn start(
        path: &Path,
        count: usize,
        shared: &Arc<Shared>,
    ) -> Result<Self, StoreError> {
        let mut readers = Self { queue: Arc::default(), threads: Vec::with_capacity(count) };
        for _ in 0..count {
            let connection = reader(path)?;
            let (queue, shared) = (Arc::clone(&readers.queue), Arc::clone(shared));
            let thread = std::thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || serve(&connection, &queue, &shared))
                .map_err(|error| StoreError::io("starting a thread", &error))?;
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    /// Where to put what is to be read.
    pub(super) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that reads the store panicked");
            }
        }
    }
}

/// What waits to be read.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<ReadJob>,
    closed: bool,
}

impl Queue {
    /// Adds a job.
    pub(super) fn push(&self, job: ReadJob) -> Result<(), StoreError> {
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(StoreError::Closed);
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// The next job; waits for one. `None` when the queue is closed and empty.
    fn pop(&self) -> Option<ReadJob> {
        let mut waiting = self.waiting();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        self.waiting().closed = true;
        self.arrived.notify_all();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(connection: &Connection, queue: &Queue, shared: &Shared) {
    let mut statements = Statements::prepare(connection);
    if let Err(error) = &statements {
        tracing::error!(%error, "a thread that reads the store cannot do so");
        shared.note(error);
    }
    while let Some(job) = queue.pop() {
        // The one who asked may be gone: that is no fault.
        match (&mut statements, job) {
            (Ok(statements), ReadJob::Read { key, answer }) => {
                let _ = answer.send(statements.read(&key));
            }
            (Ok(statements), ReadJob::Scan { range, limit, answer }) => {
                let _ = answer.send(statements.scan(&range, limit));
            }
            (Err(error), ReadJob::Read { answer, .. }) => {
                let _ = answer.send(Err(error.clone()));
            }
            (Err(error), ReadJob::Scan { answer, .. }) => {
                let _ = answer.send(Err(error.clone()));
            }
        }
    }
}

pub(super) struct Statements<'c> {
    read: Statement<'c>,
    scan: Statement<'c>,
    scan_to_end: Statement<'c>,
}

impl<'c> Statements<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> Result<Self, StoreError> {
        let prepare = |sql| connection.prepare(sql).map_err(error);
        Ok(Self {
            read: prepare("SELECT value, revision FROM kv WHERE key = ?1")?,
            scan: prepare(
                "SELECT key, value, revision FROM kv WHERE key >= ?1 AND key < ?3 \
                 ORDER BY key LIMIT ?2",
            )?,
            scan_to_end: prepare(
                "SELECT key, value, revision FROM kv WHERE key >= ?1 ORDER BY key LIMIT ?2",
            )?,
        })
    }

    fn read(&mut self, key: &[u8]) -> Result<Option<Versioned>, StoreError> {
        let mut rows = self.read.query([key]).map_err(error)?;
        rows.next().map_err(error)?.map(|row| record(row, 0)).transpose()
    }

    pub(super) fn scan(
        &mut self,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
        let start = range.start.as_slice();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = match range.end.as_deref() {
            Some(end) => self.scan.query((start, limit, end)),
            None => self.scan_to_end.query((start, limit)),
        }
        .map_err(error)?;
        let mut page = Vec::new();
        while let Some(row) = rows.next().map_err(error)? {
            page.push((blob(row, 0)?.to_vec(), record(row, 1)?));
        }
        Ok(page)
    }
}
