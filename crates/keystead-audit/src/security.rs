//! Failed authentications: no events of the trail, kept beside it.
//!
//! Whoever has no credentials can make as many of these as they like. So the log has a size that it
//! never exceeds and a rate, counts what it dropped, and never makes anyone wait.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use crate::Object;
use crate::log::Clock;
use crate::record::iso;

/// A bounded log of failed authentications: two files, the older of which is overwritten.
///
/// Writing happens on a thread of its own, behind a queue of fixed length. Nothing is flushed to the
/// device: this log informs, it proves nothing.
pub struct SecurityLog {
    queue: Option<mpsc::SyncSender<Vec<u8>>>,
    rate: Mutex<Rate>,
    clock: Clock,
    shared: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

/// How a security log works.
#[derive(Clone)]
pub struct SecuritySettings {
    /// Bytes of both files together [16 MiB].
    pub most_bytes: u64,
    /// Events written in a second, averaged [100].
    pub rate: u32,
    /// Events that may come at once [1,000].
    pub burst: u32,
    /// Events that may wait for the writer [1,024].
    pub queue: usize,
    /// What tells the time: milliseconds since 1970.
    pub clock: Clock,
}

impl SecuritySettings {
    /// The settings named in brackets above.
    pub fn new(clock: Clock) -> Self {
        Self { most_bytes: 16 << 20, rate: 100, burst: 1000, queue: 1024, clock }
    }
}

/// A failed authentication. No signature and no credential has a place in it.
#[derive(Copy, Clone, Debug, Default)]
pub struct SecurityEvent<'a> {
    /// What failed, by the name of the exception that was answered.
    pub error_code: &'a str,
    /// The operation that was asked for, if it was legible.
    pub event_name: Option<&'a str>,
    /// Address of the client.
    pub source_ip_address: Option<&'a str>,
    /// The header as received; written up to 1 KB.
    pub user_agent: Option<&'a str>,
    /// The access key id that was claimed; it proves nothing.
    pub claimed_access_key_id: Option<&'a str>,
    /// The request id that was answered.
    pub request_id: Option<&'a str>,
}

impl SecurityLog {
    /// Opens the log of a directory, which must exist. A file of an earlier run is continued.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open(directory: &Path, settings: SecuritySettings) -> io::Result<Self> {
        let file = Ring::open(directory, settings.most_bytes / 2)?;
        let (queue, events) = mpsc::sync_channel(settings.queue.max(1));
        let shared = Arc::new(Counts::default());
        let counts = Arc::clone(&shared);
        let clock = Arc::clone(&settings.clock);
        let thread = std::thread::Builder::new()
            .name("security-log".to_owned())
            .spawn(move || write(file, &events, &counts, &clock))?;
        let rate = Rate {
            tokens: u64::from(settings.burst) * 1000,
            most: u64::from(settings.burst) * 1000,
            per_second: u64::from(settings.rate),
            at: (settings.clock)(),
        };
        Ok(Self {
            queue: Some(queue),
            rate: Mutex::new(rate),
            clock: settings.clock,
            shared,
            thread: Some(thread),
        })
    }

    /// Notes an event, or counts it as dropped. Never waits for a disk.
    pub fn note(&self, event: &SecurityEvent<'_>) {
        let now = (self.clock)();
        if !self.rate.lock().unwrap_or_else(PoisonError::into_inner).allows(now) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let sent = self.queue.as_ref().map(|queue| queue.try_send(line(event, now)));
        if !matches!(sent, Some(Ok(()))) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Events that were dropped because of the rate, the queue or the disk.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Events that were written.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// Whether the last attempt to write succeeded.
    pub fn is_writable(&self) -> bool {
        !self.shared.failing.load(Ordering::Relaxed)
    }

    /// Writes what waits, and ends.
    pub fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has been reported by the hook.
            let _ = thread.join();
        }
    }
}

impl Drop for SecurityLog {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for SecurityLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityLog")
            .field("written", &self.written())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    failing: AtomicBool,
}

/// A bucket of thousandths of events.
struct Rate {
    tokens: u64,
    most: u64,
    per_second: u64,
    at: i64,
}

impl Rate {
    fn allows(&mut self, now: i64) -> bool {
        // A clock that went back gives nothing.
        let passed = u64::try_from(now.saturating_sub(self.at)).unwrap_or(0);
        self.at = now;
        self.tokens =
            self.tokens.saturating_add(passed.saturating_mul(self.per_second)).min(self.most);
        match self.tokens.checked_sub(1000) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}

fn line(event: &SecurityEvent<'_>, now: i64) -> Vec<u8> {
    let mut object = Object::limited(LONGEST);
    object
        .text("time", &iso(now))
        .text("type", "Unknown")
        .text("errorCode", event.error_code)
        .optional_text("eventName", event.event_name.map(kilobyte))
        .optional_text("sourceIPAddress", event.source_ip_address)
        .optional_text("claimedAccessKeyId", event.claimed_access_key_id.map(kilobyte))
        .optional_text("requestID", event.request_id)
        .optional_text("userAgent", event.user_agent.map(kilobyte));
    object.line()
}

fn kilobyte(text: &str) -> &str {
    text.get(..text.floor_char_boundary(1024)).unwrap_or_default()
}

fn write(mut file: Ring, events: &mpsc::Receiver<Vec<u8>>, counts: &Counts, clock: &Clock) {
    let mut told = 0;
    while let Ok(event) = events.recv() {
        let dropped = counts.dropped.load(Ordering::Relaxed);
        let mut lines = Vec::new();
        if dropped > told {
            let mut object = Object::limited(LONGEST);
            let count = i64::try_from(dropped - told).unwrap_or(i64::MAX);
            object.text("time", &iso(clock())).integer("dropped", count);
            lines.extend_from_slice(&object.line());
        }
        lines.extend_from_slice(&event);
        match file.write(&lines) {
            Ok(()) => {
                told = dropped;
                counts.written.fetch_add(1, Ordering::Relaxed);
                counts.failing.store(false, Ordering::Relaxed);
            }
            Err(error) => {
                if !counts.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the security log cannot be written");
                }
                counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Bytes of the longest line.
const LONGEST: usize = 8192;

/// Two files: when the first is full, it becomes the second.
struct Ring {
    path: PathBuf,
    older: PathBuf,
    file: File,
    length: u64,
    most: u64,
}

impl Ring {
    fn open(directory: &Path, most: u64) -> io::Result<Self> {
        let path = directory.join("security.jsonl");
        let file = Self::file(&path)?;
        let length = file.metadata()?.len();
        Ok(Self { older: directory.join("security.1.jsonl"), path, file, length, most })
    }

    fn file(path: &Path) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).mode(0o600).open(path)
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let bytes = lines.len() as u64;
        if self.length > 0 && self.length + bytes > self.most {
            fs::rename(&self.path, &self.older)?;
            self.file = Self::file(&self.path)?;
            self.length = 0;
        }
        if bytes > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.file.write_all(lines)?;
        self.length += bytes;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::sync::atomic::AtomicI64;

    use serde_json::Value;

    use super::*;

    fn settings(now: &Arc<AtomicI64>) -> SecuritySettings {
        let now = Arc::clone(now);
        SecuritySettings::new(Arc::new(move || now.load(Ordering::Relaxed)))
    }

    fn read(directory: &Path, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(directory.join(name)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn an_event_is_one_line() {
        let home = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(0));
        let log = SecurityLog::open(home.path(), settings(&now)).unwrap();
        log.note(&SecurityEvent {
            error_code: "UnrecognizedClientException",
            event_name: Some("Encrypt"),
            source_ip_address: Some("192.0.2.7"),
            user_agent: Some("evil\n{\"type\":\"Root\"}"),
            claimed_access_key_id: Some("AKIAEXAMPLE"),
            request_id: None,
        });
        log.close();
        let lines = read(home.path(), "security.jsonl");
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["type"], "Unknown");
        assert_eq!(lines[0]["claimedAccessKeyId"], "AKIAEXAMPLE");
        assert_eq!(lines[0]["userAgent"], "evil\n{\"type\":\"Root\"}");
    }

    #[test]
    fn a_flood_is_counted_and_bounded() {
        let home = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(0));
        let most_bytes = 20_000;
        let settings =
            SecuritySettings { most_bytes, burst: 300, queue: 100_000, ..settings(&now) };
        let log = SecurityLog::open(home.path(), settings).unwrap();
        let agent = "x".repeat(5000);
        let event = SecurityEvent {
            error_code: "IncompleteSignature",
            user_agent: Some(&agent),
            ..SecurityEvent::default()
        };
        for _ in 0..10_000 {
            log.note(&event);
        }
        assert_eq!(log.dropped(), 9700);
        // A second later there is room for the rate of a second.
        now.store(1000, Ordering::Relaxed);
        for _ in 0..150 {
            log.note(&event);
        }
        assert_eq!(log.dropped(), 9750);
        now.store(0, Ordering::Relaxed);
        log.note(&event);
        assert_eq!(log.dropped(), 9751, "a clock that goes back gives nothing");
        let written = {
            let shared = Arc::clone(&log.shared);
            log.close();
            shared.written.load(Ordering::Relaxed)
        };
        assert_eq!(written, 400);
        let length = |name: &str| fs::metadata(home.path().join(name)).unwrap().len();
        assert!(length("security.jsonl") + length("security.1.jsonl") <= most_bytes);
        let lines = [read(home.path(), "security.1.jsonl"), read(home.path(), "security.jsonl")];
        assert!(lines.concat().len() >= 10);
        assert!(fs::read_dir(home.path()).unwrap().count() == 2);
    }

    #[test]
    fn a_disk_that_fails_is_counted() {
        let home = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(0));
        let log =
            SecurityLog::open(home.path(), SecuritySettings { most_bytes: 10, ..settings(&now) })
                .unwrap();
        log.note(&SecurityEvent::default());
        let shared = Arc::clone(&log.shared);
        log.close();
        assert_eq!(shared.dropped.load(Ordering::Relaxed), 1);
        assert!(shared.failing.load(Ordering::Relaxed));
    }
}
