//! What the writer is asked to do, and how much of it may wait.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Poll, ready};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{Health, LogError, LogSettings, Recovery, Statistics};
use crate::Anchor;

pub(super) enum Job {
    Append(Append),
    Reopen(Answer),
    Seal(Answer),
    Close(Answer),
}

pub(super) type Answer = oneshot::Sender<Result<(), LogError>>;

/// Records that are written together.
pub(super) struct Append {
    pub(super) records: Vec<Vec<u8>>,
    /// Leave out those that were written before.
    pub(super) once: bool,
    pub(super) answer: Answer,
    /// Their places in the queue, given back when this is dropped.
    pub(super) _places: [OwnedSemaphorePermit; 2],
}

/// What the log and its writer share.
pub(super) struct Shared {
    pub(super) jobs: mpsc::Sender<Job>,
    records: Room,
    bytes: Room,
    pub(super) status: Status,
}

struct Room {
    free: Arc<Semaphore>,
    size: usize,
}

impl Room {
    fn new(size: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(size)), size }
    }

    /// What so much takes; more than the whole queue takes the whole queue.
    fn share(&self, amount: usize) -> u32 {
        u32::try_from(amount.clamp(1, self.size)).unwrap_or(u32::MAX)
    }

    fn used(&self) -> usize {
        self.size - self.free.available_permits()
    }
}

#[derive(Default)]
pub(super) struct Status {
    pub(super) admits: AtomicBool,
    pub(super) blocked: AtomicBool,
    pub(super) low_space: AtomicBool,
    pub(super) closed: AtomicBool,
    pub(super) records: AtomicU64,
    pub(super) groups: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) digests: AtomicU64,
    pub(super) rotations: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) repeats: AtomicU64,
    slow: Mutex<Slow>,
}

/// What changes seldom.
struct Slow {
    reason: Option<String>,
    recovery: Recovery,
    head: Anchor,
}

impl Default for Slow {
    fn default() -> Self {
        Self { reason: None, recovery: Recovery::default(), head: Anchor::START }
    }
}

impl Status {
    fn slow(&self) -> MutexGuard<'_, Slow> {
        // Every change is one assignment, so a panic leaves nothing half done.
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether requests may be admitted and appends succeed; what stands in the way if not.
    pub(super) fn set(&self, admits: bool, blocked: bool, reason: Option<&LogError>) {
        self.slow().reason = reason.map(ToString::to_string);
        self.blocked.store(blocked, Ordering::Relaxed);
        self.admits.store(admits, Ordering::Relaxed);
    }

    pub(super) fn set_head(&self, head: Anchor) {
        self.slow().head = head;
    }

    pub(super) fn set_recovery(&self, recovery: Recovery) {
        self.slow().recovery = recovery;
    }

    /// What a ticket fails with while the log is blocked.
    pub(super) fn blocked(&self) -> LogError {
        if self.closed.load(Ordering::Relaxed) {
            return LogError::Closed;
        }
        LogError::Blocked(self.slow().reason.clone().unwrap_or_default())
    }
}

impl Shared {
    pub(super) fn new(jobs: mpsc::Sender<Job>, settings: &LogSettings) -> Self {
        Self {
            jobs,
            records: Room::new(settings.queue_records),
            bytes: Room::new(settings.queue_bytes),
            status: Status::default(),
        }
    }

    pub(super) fn health(&self) -> Health {
        let status = &self.status;
        Health {
            admits: status.admits.load(Ordering::Relaxed),
            blocked: status.blocked.load(Ordering::Relaxed),
            reason: status.slow().reason.clone(),
            low_space: status.low_space.load(Ordering::Relaxed),
            closed: status.closed.load(Ordering::Relaxed),
            queued_records: self.records.used(),
            queued_bytes: self.bytes.used(),
        }
    }

    pub(super) fn statistics(&self) -> Statistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let status = &self.status;
        Statistics {
            records: read(&status.records),
            groups: read(&status.groups),
            syncs: read(&status.syncs),
            digests: read(&status.digests),
            rotations: read(&status.rotations),
            failures: read(&status.failures),
            repeats: read(&status.repeats),
        }
    }

    pub(super) fn recovery(&self) -> Recovery {
        self.status.slow().recovery.clone()
    }

    pub(super) fn head(&self) -> Anchor {
        self.status.slow().head
    }

    fn send(
        &self,
        records: Vec<Vec<u8>>,
        once: bool,
        places: [OwnedSemaphorePermit; 2],
    ) -> Result<oneshot::Receiver<Result<(), LogError>>, LogError> {
        if self.status.blocked.load(Ordering::Relaxed) {
            return Err(self.status.blocked());
        }
        let (answer, answered) = oneshot::channel();
        let append = Append { records, once, answer, _places: places };
        self.jobs.send(Job::Append(append)).map_err(|_| LogError::Closed)?;
        Ok(answered)
    }
}

/// The answer to an append: a future that completes when the records are written, or with the reason
/// why they are not.
pub struct Ticket(State);

enum State {
    Failed(LogError),
    Waiting(Pin<Box<dyn Future<Output = Result<Answered, LogError>> + Send>>),
    Handed(Answered),
}

type Answered = oneshot::Receiver<Result<(), LogError>>;

impl Ticket {
    pub(super) fn failed(error: LogError) -> Self {
        Self(State::Failed(error))
    }

    pub(super) fn new(shared: Arc<Shared>, records: Vec<Vec<u8>>, once: bool) -> Self {
        let count = shared.records.share(records.len());
        let length = records.iter().map(|record| record.len() + 1).sum();
        let length = shared.bytes.share(length);
        // Always in this order: whoever has its share of records waits for bytes alone.
        let at_once = Arc::clone(&shared.records.free).try_acquire_many_owned(count).ok().and_then(
            |places| {
                let bytes = Arc::clone(&shared.bytes.free).try_acquire_many_owned(length).ok()?;
                Some([places, bytes])
            },
        );
        if let Some(places) = at_once {
            return match shared.send(records, once, places) {
                Ok(answered) => Self(State::Handed(answered)),
                Err(error) => Self(State::Failed(error)),
            };
        }
        Self(State::Waiting(Box::pin(async move {
            let places = Arc::clone(&shared.records.free).acquire_many_owned(count).await;
            let bytes = Arc::clone(&shared.bytes.free).acquire_many_owned(length).await;
            match (places, bytes) {
                (Ok(places), Ok(bytes)) => shared.send(records, once, [places, bytes]),
                _ => Err(LogError::Closed),
            }
        })))
    }
}

impl Future for Ticket {
    type Output = Result<(), LogError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            self.0 = match &mut self.0 {
                State::Failed(error) => return Poll::Ready(Err(error.clone())),
                State::Waiting(handing) => match ready!(handing.as_mut().poll(context)) {
                    Ok(answered) => State::Handed(answered),
                    Err(error) => State::Failed(error),
                },
                State::Handed(answered) => {
                    let answer = ready!(Pin::new(answered).poll(context));
                    return Poll::Ready(answer.unwrap_or(Err(LogError::Closed)));
                }
            };
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Failed(_) => "Ticket(failed)",
            State::Waiting(_) => "Ticket(waiting)",
            State::Handed(_) => "Ticket(handed over)",
        })
    }
}
