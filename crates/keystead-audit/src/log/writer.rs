//! The one thread that writes.
//!
//! What happens when the disk fails, in one place. A write or flush that fails leaves unknown what
//! the file holds: after a failed flush the system may have thrown the pages away and call them
//! clean, so that a second flush succeeds without having written anything. Therefore the segment is
//! *abandoned*: cut back to what was acknowledged, if that works, and never written to again. The
//! log is blocked until a new segment could be made, reserved and flushed, with the end of the old
//! one signed into its chain. That is also the proof that the disk takes writes again.

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::directory::Directory;
use super::events::Events;
use super::opening;
use super::queue::{Answer, Append, Job, Shared};
use super::segment::Segment;
use super::{LogError, LogSettings, Sync};
use crate::chain::{self, End, Reason, Span};
use crate::disk::Disk;
use crate::record::event_id_of;
use crate::{Anchor, Signer};

pub(super) struct Writer {
    shared: Arc<Shared>,
    settings: LogSettings,
    signer: Arc<dyn Signer>,
    disk: Arc<dyn Disk>,
    directory: Directory,
    /// `None` while the log is blocked.
    segment: Option<Segment>,
    next: u64,
    /// The latest digest that is on the disk.
    head: Anchor,
    /// What is to be signed. INVARIANT: the last one is that of the present segment, or of the one
    /// that was abandoned; only it grows.
    due: VecDeque<(Span, Option<End>)>,
    /// When the oldest record that is not signed was written.
    unsigned_since: Option<Instant>,
    /// When the oldest record that is not flushed was written; only under [`Sync::Interval`].
    dirty_since: Option<Instant>,
    /// When to try again what failed.
    retry_at: Option<Instant>,
    /// Whether the chain says that the present segment exists.
    promised: bool,
    events: Events,
    buffer: Vec<u8>,
}

impl Writer {
    /// Claims the directory, mends what is in it, and begins a segment.
    pub(super) fn open(
        directory: &Path,
        settings: LogSettings,
        signer: Arc<dyn Signer>,
        shared: Arc<Shared>,
    ) -> Result<Self, LogError> {
        let disk = settings.disk();
        let directory = Directory::claim_or_create(directory, settings.group_readable)?;
        let mut keys = settings.earlier_keys.clone();
        keys.push(signer.public_key());
        let found = opening::look(
            disk.as_ref(),
            &directory.path,
            &keys,
            settings.digest_records,
            settings.remembered_events,
        )?;
        let recovery = found.recovery;
        if recovery.adopted > 0 || recovery.cut > 0 {
            let (adopted, cut) = (recovery.adopted, recovery.cut);
            tracing::warn!(adopted, cut, "the audit log had not been closed; its end is mended");
        }
        shared.status.set_recovery(recovery);
        shared.status.set_head(found.head);
        let mut writer = Self {
            shared,
            signer,
            disk,
            directory,
            segment: None,
            next: found.next,
            head: found.head,
            due: found.due,
            unsigned_since: None,
            dirty_since: None,
            retry_at: None,
            promised: false,
            events: Events::new(settings.remembered_events, found.events),
            buffer: Vec::new(),
            settings,
        };
        writer.begin()?;
        Ok(writer)
    }

    /// Runs until the log is closed.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        // However this thread ends, nobody shall be told that the log takes records.
        let _end = EndOfLog(Arc::clone(&self.shared));
        let mut waiting = None;
        loop {
            let job = match waiting.take() {
                Some(job) => Ok(job),
                None => match self.patience() {
                    Some(patience) => jobs.recv_timeout(patience),
                    None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                },
            };
            match job {
                Ok(Job::Append(first)) => waiting = self.append(first, jobs),
                Ok(Job::Reopen(answer)) => {
                    let done = self.reopen();
                    self.answer(answer, done);
                }
                Ok(Job::Seal(answer)) => {
                    let done = self.seal();
                    self.answer(answer, done);
                }
                Ok(Job::Close(answer)) => {
                    let done = self.close();
                    self.shared.status.closed.store(true, Ordering::Relaxed);
                    self.shared.status.set(false, true, done.as_ref().err());
                    // Before the answer, so that whoever got it can open the log again.
                    drop(self);
                    let _ = answer.send(done);
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.attend();
        }
    }

    /// How long nothing needs to be done if no job comes.
    fn patience(&self) -> Option<Duration> {
        let sync = match self.settings.sync {
            Sync::Every => None,
            Sync::Interval(interval) => self.dirty_since.map(|since| since + interval),
        };
        let sign = self.unsigned_since.map(|since| since + self.settings.digest_interval);
        let due = if self.segment.is_some() {
            [sync, sign, self.retry_at]
        } else {
            [self.retry_at, None, None]
        };
        let earliest = due.into_iter().flatten().min()?;
        Some(earliest.saturating_duration_since(Instant::now()))
    }

    /// Does what is due.
    fn attend(&mut self) {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| now >= at) {
            self.retry();
        }
        if self.segment.is_none() {
            return;
        }
        let over = |since: Option<Instant>, interval| since.is_some_and(|at| now >= at + interval);
        if let Sync::Interval(interval) = self.settings.sync
            && over(self.dirty_since, interval)
        {
            let done = self.sync();
            self.abandon_if_failed(done);
        }
        let full = self.due.len() > 1;
        if full || over(self.unsigned_since, self.settings.digest_interval) {
            // The error is in the health, where it is seen.
            let _ = self.seal();
        }
    }

    /// Writes a group: the first append and all that wait behind it, up to a bound. Answers the job
    /// that came after them.
    fn append(&mut self, first: Append, jobs: &Receiver<Job>) -> Option<Job> {
        let size = |append: &Append| append.records.iter().map(|r| r.len() + 1).sum::<usize>();
        let mut bytes = size(&first);
        let mut group = vec![first];
        let mut next = None;
        while bytes < GROUP_BYTES {
            match jobs.try_recv() {
                Ok(Job::Append(append)) => {
                    bytes += size(&append);
                    group.push(append);
                }
                Ok(other) => {
                    next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        let count = group.iter().map(|append| append.records.len() as u64).sum();
        let (done, repeats) = self.write(&group);
        match done {
            Ok(()) => self.count(|status| &status.records, count),
            Err(_) => self.count(|status| &status.failures, count),
        }
        let mut written = Vec::with_capacity(group.len());
        for append in group {
            // Whoever asked may have gone.
            let _ = append.answer.send(done.clone());
            written.push((append.records, append.once));
        }
        if done.is_ok() {
            // After the answers: nobody has to wait for a hash.
            self.note(&written, &repeats);
        }
        next
    }

    /// Writes a group and makes it durable. On an error the segment is abandoned. Answers also which
    /// records, counted through the group, were left out as repeats.
    fn write(&mut self, group: &[Append]) -> (Result<(), LogError>, HashSet<usize>) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut group_events = HashSet::new();
        let mut repeats = HashSet::new();
        let records = group
            .iter()
            .flat_map(|append| append.records.iter().map(|record| (record, append.once)));
        for (at, (record, once)) in records.enumerate() {
            if once
                && let Some(id) = event_id_of(record)
                && (self.events.contains(id) || !group_events.insert(id))
            {
                repeats.insert(at);
                continue;
            }
            buffer.extend_from_slice(record);
            buffer.push(b'\n');
        }
        let done = self.put(&buffer);
        if buffer.capacity() > 2 * GROUP_BYTES {
            buffer = Vec::new();
        }
        self.buffer = buffer;
        self.abandon_if_failed(done.clone());
        self.count(|status| &status.repeats, repeats.len() as u64);
        (done, repeats)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        let blocked = || self.shared.status.blocked();
        let length = self.segment.as_ref().ok_or_else(blocked)?.length();
        let full = length.saturating_add(bytes.len() as u64) > self.settings.rotate_bytes;
        if length > 0 && full && self.retry_at.is_none() {
            self.rotate();
        }
        let every = self.settings.sync == Sync::Every;
        let blocked = || self.shared.status.blocked();
        let segment = self.segment.as_mut().ok_or_else(blocked)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let reserve = self.settings.reserve_bytes;
        let reserved = segment.reserve(self.disk.as_ref(), &self.directory.path, reserve);
        segment.write(bytes)?;
        if every {
            segment.sync()?;
        }
        // What is acknowledged must be found by whoever looks for it.
        segment.check(self.disk.as_ref())?;
        self.directory.check(self.disk.as_ref())?;
        segment.acknowledge(bytes.len());
        let now = Instant::now();
        self.unsigned_since.get_or_insert(now);
        if every {
            self.count(|status| &status.syncs, 1);
        } else {
            self.dirty_since.get_or_insert(now);
        }
        self.count(|status| &status.groups, 1);
        if let Err(error) = reserved {
            self.stop_admission(&error);
        }
        Ok(())
    }

    /// Takes what was acknowledged into the spans that are to be signed.
    fn note(&mut self, written: &[(Vec<Vec<u8>>, bool)], repeats: &HashSet<usize>) {
        let records =
            written.iter().flat_map(|(records, once)| records.iter().map(|record| (record, *once)));
        for (_, (record, once)) in records.enumerate().filter(|(at, _)| !repeats.contains(at)) {
            if once && let Some(id) = event_id_of(record) {
                self.events.insert(id);
            }
            let Some((span, _)) = self.due.back_mut() else { return };
            span.push(record);
            if span.records() >= self.settings.digest_records as u64 {
                let next = Span::after(span.segment, span.to, span.first + span.records());
                self.due.push_back((next, None));
            }
        }
    }

    /// Makes everything durable, then signs it.
    fn seal(&mut self) -> Result<(), LogError> {
        if self.segment.is_none() {
            return Err(self.shared.status.blocked());
        }
        let done = self.sync().and_then(|()| self.sign());
        self.abandon_if_failed(done.clone());
        done?;
        self.watch_space();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        if self.dirty_since.is_some()
            && let Some(segment) = &mut self.segment
        {
            segment.sync()?;
            self.dirty_since = None;
            self.count(|status| &status.syncs, 1);
        }
        Ok(())
    }

    /// Signs what is due and writes it to the chain of the present segment. INVARIANT: what a digest
    /// covers has been flushed before.
    fn sign(&mut self) -> Result<(), LogError> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        let time = (self.settings.clock)();
        let mut head = self.head;
        let mut lines = Vec::new();
        for (span, end) in &self.due {
            if span.leaves.is_empty() && end.is_none() {
                continue;
            }
            let (line, anchor) = chain::sign(head, time, span, end.as_ref(), self.signer.as_ref())?;
            lines.extend_from_slice(&line);
            lines.push(b'\n');
            head = anchor;
        }
        if !lines.is_empty() {
            segment.write_digests(&lines)?;
            segment.check(self.disk.as_ref())?;
        }
        let signed = head.sequence - self.head.sequence;
        self.head = head;
        self.shared.status.set_head(head);
        self.count(|status| &status.digests, signed);
        self.unsigned_since = None;
        // An ended segment's successor puts its own span there.
        let last = self.due.drain(..).next_back();
        if let Some((span, None)) = last {
            let next = Span::after(span.segment, span.to, span.first + span.records());
            self.due.push_back((next, None));
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), LogError> {
        if self.segment.is_none() {
            self.retry();
        } else if self.segment.as_ref().is_some_and(|segment| !segment.is_empty()) {
            self.rotate();
        }
        if self.segment.is_some() && self.retry_at.is_none() {
            return Ok(());
        }
        Err(self.shared.status.blocked())
    }

    /// Ends the segment and begins the next. If there is no room for the next, the present one goes
    /// on in the space that it has, and admission stops.
    fn rotate(&mut self) {
        let created = Segment::create(
            self.disk.as_ref(),
            &self.directory.path,
            self.next,
            self.settings.reserve_bytes,
        );
        let next = match created {
            Ok(next) => next,
            Err(error) => return self.stop_admission(&error),
        };
        // The next segment is there before the end of this one says so.
        let end = End { reason: Reason::Rotated, next: Some(next.number), cut: None };
        if let Err(error) = self.finish(end) {
            next.remove();
            return self.abandon(&error);
        }
        if let Some(old) = self.segment.take() {
            old.release();
        }
        self.count(|status| &status.rotations, 1);
        self.promised = true;
        self.enter(next);
    }

    /// Signs the end of the present segment into its own chain.
    fn finish(&mut self, end: End) -> Result<(), LogError> {
        self.sync()?;
        if let Some((_, last)) = self.due.back_mut() {
            *last = Some(end);
        }
        self.sign()
    }

    /// Begins a segment, with everything that is due signed into its chain first.
    fn begin(&mut self) -> Result<(), LogError> {
        self.directory.claim_again(self.disk.as_ref())?;
        let segment = Segment::create(
            self.disk.as_ref(),
            &self.directory.path,
            self.next,
            self.settings.reserve_bytes,
        )?;
        let number = segment.number;
        for (_, end) in &mut self.due {
            if let Some(end) = end {
                end.next = Some(number);
            }
        }
        self.promised = !self.due.is_empty();
        self.segment = Some(segment);
        self.dirty_since = None;
        if let Err(error) = self.sign() {
            if let Some(segment) = self.segment.take() {
                segment.remove();
            }
            return Err(error);
        }
        if let Some(segment) = self.segment.take() {
            self.enter(segment);
        }
        self.retry_at = None;
        self.shared.status.set(true, false, None);
        self.watch_space();
        Ok(())
    }

    fn enter(&mut self, segment: Segment) {
        self.due.push_back((Span::after(segment.number, 0, 0), None));
        self.next = segment.number + 1;
        self.segment = Some(segment);
    }

    fn abandon_if_failed(&mut self, done: Result<(), LogError>) {
        if let Err(error) = done
            && self.segment.is_some()
        {
            self.abandon(&error);
        }
    }

    /// Gives the segment up.
    fn abandon(&mut self, error: &LogError) {
        tracing::error!(%error, "the audit log cannot write");
        if let Some(segment) = self.segment.take() {
            segment.release();
        }
        if let Some((_, end)) = self.due.back_mut() {
            *end = Some(End { reason: Reason::Abandoned, next: None, cut: None });
        }
        self.shared.status.set(false, true, Some(error));
        self.retry_at = Some(Instant::now() + self.settings.retry);
    }

    /// Lets nothing more in, while what is in still has reserved space.
    fn stop_admission(&mut self, error: &LogError) {
        if self.retry_at.is_none() {
            tracing::error!(%error, "the audit log has no room ahead; admission stops");
        }
        self.shared.status.set(false, false, Some(error));
        self.retry_at = Some(Instant::now() + self.settings.retry);
    }

    /// Tries again what failed: to begin a segment, or to have space ahead.
    fn retry(&mut self) {
        let done = match &mut self.segment {
            None => self.begin(),
            Some(segment) => {
                let reserve = self.settings.reserve_bytes;
                segment.reserve(self.disk.as_ref(), &self.directory.path, reserve)
            }
        };
        match done {
            Ok(()) => {
                self.retry_at = None;
                self.shared.status.set(true, false, None);
                tracing::info!("the audit log can write again");
            }
            Err(error) => {
                self.shared.status.set(false, self.segment.is_none(), Some(&error));
                self.retry_at = Some(Instant::now() + self.settings.retry);
            }
        }
    }

    fn close(&mut self) -> Result<(), LogError> {
        let Some(segment) = &self.segment else { return Err(self.shared.status.blocked()) };
        let empty = segment.is_empty()
            && !self.promised
            && self.due.iter().all(|(span, _)| span.leaves.is_empty());
        if empty {
            // Nothing was ever said about it.
            if let Some(segment) = self.segment.take() {
                segment.remove();
            }
            return Ok(());
        }
        let end = End { reason: Reason::Closed, next: None, cut: None };
        if let Err(error) = self.finish(end) {
            self.abandon(&error);
            return Err(error);
        }
        if let Some(segment) = self.segment.take() {
            segment.release();
        }
        Ok(())
    }

    fn watch_space(&self) {
        let low = match self.disk.free(&self.directory.path) {
            Ok(free) => free < self.settings.low_space_bytes,
            // Whoever cannot ask finds out by reserving.
            Err(_) => return,
        };
        if low && !self.shared.status.low_space.swap(low, Ordering::Relaxed) {
            tracing::warn!("the disk of the audit log is nearly full");
        }
        self.shared.status.low_space.store(low, Ordering::Relaxed);
    }

    fn answer(&self, answer: Answer, done: Result<(), LogError>) {
        // Whoever asked may have gone.
        let _ = answer.send(done);
    }

    fn count(&self, counter: impl Fn(&super::queue::Status) -> &AtomicU64, by: u64) {
        counter(&self.shared.status).fetch_add(by, Ordering::Relaxed);
    }
}

/// Bytes after which no more is taken into a group.
const GROUP_BYTES: usize = 4 << 20;

/// Says that the log is closed when the thread ends, by a panic too.
struct EndOfLog(Arc<Shared>);

impl Drop for EndOfLog {
    fn drop(&mut self) {
        self.0.status.closed.store(true, Ordering::Relaxed);
        self.0.status.set(false, true, Some(&LogError::Closed));
    }
}
