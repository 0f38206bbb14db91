//! A disk that fails when it is told to.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use keystead_audit::disk::{Disk, DiskFile, Identity, MachineDisk};
use keystead_audit::{Fault, LogError};

use super::*;

/// What fails.
#[derive(Default)]
struct Plan {
    /// Bytes that may still be written; negative: no bound.
    room: AtomicI64,
    bounded: AtomicBool,
    write_errors: AtomicBool,
    sync_errors: AtomicBool,
    cut_errors: AtomicBool,
    short: AtomicBool,
    no_reserve: AtomicBool,
    syncs_slow: AtomicU64,
    held: Mutex<bool>,
    released: Condvar,
}

/// The machine's disk, with faults.
#[derive(Default)]
pub(super) struct Faults {
    plan: Arc<Plan>,
}

/// Syncs wait while this is alive.
pub(super) struct Gate(Arc<Plan>);

impl Drop for Gate {
    fn drop(&mut self) {
        *self.0.held() = false;
        self.0.released.notify_all();
    }
}

impl Plan {
    fn held(&self) -> MutexGuard<'_, bool> {
        self.held.lock().unwrap()
    }

    fn is(flag: &AtomicBool) -> bool {
        flag.load(Ordering::SeqCst)
    }

    fn eio() -> io::Error {
        io::Error::from_raw_os_error(5)
    }
}

impl Faults {
    pub(super) fn slow_sync(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap();
        self.plan.syncs_slow.store(micros, Ordering::SeqCst);
    }

    pub(super) fn hold_syncs(&self) -> Gate {
        *self.plan.held() = true;
        Gate(Arc::clone(&self.plan))
    }

    /// The disk has room for so many bytes more.
    fn room(&self, bytes: i64) {
        self.plan.room.store(bytes, Ordering::SeqCst);
        self.plan.bounded.store(true, Ordering::SeqCst);
    }

    fn mend(&self) {
        let plan = &self.plan;
        for flag in
            [&plan.bounded, &plan.write_errors, &plan.sync_errors, &plan.cut_errors, &plan.short]
        {
            flag.store(false, Ordering::SeqCst);
        }
    }

    fn set(&self, flag: impl Fn(&Plan) -> &AtomicBool) {
        flag(&self.plan).store(true, Ordering::SeqCst);
    }
}

impl Disk for Faults {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = MachineDisk::default().create(path)?;
        Ok(Box::new(FaultyFile { file, plan: Arc::clone(&self.plan) }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = MachineDisk::default().open(path)?;
        Ok(Box::new(FaultyFile { file, plan: Arc::clone(&self.plan) }))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        MachineDisk::default().sync_directory(path)
    }

    fn identity(&self, path: &Path) -> io::Result<Option<Identity>> {
        MachineDisk::default().identity(path)
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        let room = self.plan.room.load(Ordering::SeqCst);
        let bounded = Plan::is(&self.plan.bounded);
        Ok(if bounded { u64::try_from(room).unwrap_or(0) } else { u64::MAX })
    }
}

struct FaultyFile {
    file: Box<dyn DiskFile>,
    plan: Arc<Plan>,
}

impl DiskFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if Plan::is(&self.plan.write_errors) {
            return Err(Plan::eio());
        }
        let mut count = bytes.len();
        if Plan::is(&self.plan.short) {
            count = count.min(7);
        }
        if Plan::is(&self.plan.bounded) {
            let room = usize::try_from(self.plan.room.load(Ordering::SeqCst)).unwrap_or(0);
            if room == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            count = count.min(room);
            self.plan.room.fetch_sub(i64::try_from(count).unwrap(), Ordering::SeqCst);
        }
        self.file.append(&bytes[..count])
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut held = self.plan.held();
        while *held {
            held = self.plan.released.wait(held).unwrap();
        }
        drop(held);
        let slow = self.plan.syncs_slow.load(Ordering::SeqCst);
        if slow > 0 {
            // The slow disk itself, not a wait for something to happen.
            std::thread::sleep(Duration::from_micros(slow));
        }
        if Plan::is(&self.plan.sync_errors) {
            return Err(Plan::eio());
        }
        self.file.sync()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if Plan::is(&self.plan.cut_errors) {
            return Err(Plan::eio());
        }
        self.file.cut(length)
    }

    fn reserve(&mut self, length: u64, bytes: u64) -> io::Result<bool> {
        if Plan::is(&self.plan.no_reserve) {
            return Ok(false);
        }
        let room = self.plan.room.load(Ordering::SeqCst);
        if Plan::is(&self.plan.bounded) && room < i64::try_from(bytes).unwrap() {
            return Err(ErrorKind::StorageFull.into());
        }
        self.file.reserve(length, bytes)
    }

    fn identity(&self) -> io::Result<Identity> {
        self.file.identity()
    }
}

fn faulty(directory: &Path) -> (Log, Arc<Faults>) {
    let disk = Arc::new(Faults::default());
    let log = open(directory, LogSettings { disk: Some(Arc::clone(&disk) as _), ..settings() });
    (log, disk)
}

/// Everything acknowledged, nothing else, and a chain without a fault.
async fn assert_kept(log: Log, directory: &Path, acknowledged: &[u64]) {
    log.close().await.unwrap();
    let report = checked(directory);
    assert!(report.is_intact(), "{:?}", report.faults);
    assert!(report.closed);
    assert_eq!(report.records, acknowledged.len() as u64);
    let expected: Vec<_> = acknowledged.iter().map(|number| record(*number)).collect();
    assert_eq!(lines(directory), expected);
}

/// A log that fails in some way fails its tickets, says so, and goes on when the disk does.
async fn fails_and_recovers(break_disk: impl Fn(&Faults)) {
    let home = tempfile::tempdir().unwrap();
    let (log, disk) = faulty(home.path());
    log.append(vec![record(1)]).await.unwrap();
    log.seal().await.unwrap();
    log.append(vec![record(2)]).await.unwrap();
    break_disk(&disk);
    let failed = log.append(vec![record(3), record(4)]).await.unwrap_err();
    assert!(matches!(failed, LogError::Io { .. }), "{failed:?}");
    let health = log.health();
    assert!(health.blocked && !health.admits && !log.admits());
    assert_eq!(health.reason, Some(failed.to_string()));
    assert!(matches!(log.append(vec![record(5)]).await, Err(LogError::Blocked(_))));
    assert!(log.reopen().await.is_err(), "the disk still fails");
    assert!(matches!(log.seal().await, Err(LogError::Blocked(_))));
    disk.mend();
    log.reopen().await.unwrap();
    assert!(log.admits());
    assert_eq!(log.health().reason, None);
    log.append(vec![record(6)]).await.unwrap();
    assert_kept(log, home.path(), &[1, 2, 6]).await;
}

#[tokio::test]
async fn a_write_that_fails() {
    fails_and_recovers(|disk| disk.set(|plan| &plan.write_errors)).await;
}

#[tokio::test]
async fn a_disk_that_is_full_half_way_through_a_record() {
    fails_and_recovers(|disk| disk.room(100)).await;
}

#[tokio::test]
async fn a_flush_that_fails() {
    fails_and_recovers(|disk| disk.set(|plan| &plan.sync_errors)).await;
}

/// What a failed flush left in the file is not part of the log.
#[tokio::test]
async fn a_flush_that_fails_and_a_file_that_cannot_be_cut() {
    let home = tempfile::tempdir().unwrap();
    let (log, disk) = faulty(home.path());
    log.append(vec![record(1)]).await.unwrap();
    disk.set(|plan| &plan.sync_errors);
    disk.set(|plan| &plan.cut_errors);
    log.append(vec![record(2)]).await.unwrap_err();
    disk.mend();
    log.reopen().await.unwrap();
    log.append(vec![record(3)]).await.unwrap();
    log.close().await.unwrap();
    assert_eq!(lines(home.path()), [record(1), record(2), record(3)]);
    let report = checked(home.path());
    assert!(report.is_intact(), "{:?}", report.faults);
    assert_eq!((report.records, report.unacknowledged), (2, 1));
    let to = home.path().join("export");
    fs::create_dir(&to).unwrap();
    assert_eq!(keystead_audit::export(home.path(), &to, 10).unwrap().records, 2);
}

#[tokio::test]
async fn short_writes_are_continued() {
    let home = tempfile::tempdir().unwrap();
    let (log, disk) = faulty(home.path());
    disk.set(|plan| &plan.short);
    log.append(vec![record(1), record(2)]).await.unwrap();
    assert_kept(log, home.path(), &[1, 2]).await;
}

/// A digest that a failing disk took and did not acknowledge may come back.
#[tokio::test]
async fn a_digest_whose_flush_fails() {
    for cut in [true, false] {
        let home = tempfile::tempdir().unwrap();
        let (log, disk) = faulty(home.path());
        log.append(vec![record(1)]).await.unwrap();
        log.seal().await.unwrap();
        log.append((2..6000).map(record).collect()).await.unwrap();
        // The next thing to be flushed is a chain of two digests.
        log.append(vec![record(6000)]).await.unwrap();
        disk.set(|plan| &plan.sync_errors);
        if !cut {
            disk.set(|plan| &plan.cut_errors);
        }
        log.append(vec![record(6001)]).await.unwrap_err();
        assert!(log.seal().await.is_err());
        disk.mend();
        log.reopen().await.unwrap();
        log.append(vec![record(6002)]).await.unwrap();
        log.close().await.unwrap();
        let report = checked(home.path());
        assert!(report.is_intact(), "{:?}", report.faults);
        assert_eq!(report.records, 6001);
    }
}

#[tokio::test]
async fn a_seal_that_fails_is_signed_again() {
    for cut in [true, false] {
        let home = tempfile::tempdir().unwrap();
        let disk = Arc::new(Faults::default());
        let settings =
            LogSettings { disk: Some(Arc::clone(&disk) as _), digest_records: 4000, ..settings() };
        let log = open(home.path(), settings);
        log.append((1..4).map(record).collect()).await.unwrap();
        disk.set(|plan| &plan.sync_errors);
        if !cut {
            disk.set(|plan| &plan.cut_errors);
        }
        assert!(matches!(log.seal().await, Err(LogError::Io { .. })));
        assert_eq!(log.head().sequence, 0);
        assert!(log.health().blocked);
        disk.mend();
        log.reopen().await.unwrap();
        let head = log.head();
        let told = VerifySettings { expect: Some(head), ..VerifySettings::default() };
        let report = verify(home.path(), &keys(), &told).unwrap();
        assert!(report.is_intact(), "{:?}", report.faults);
        assert_eq!(report.records, 3);
        assert_kept(log, home.path(), &[1, 2, 3]).await;
    }
}

/// Space for what was admitted is there before the disk is full.
#[tokio::test]
async fn admission_ends_before_the_disk_is_full() {
    let home = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faults::default());
    let settings = LogSettings {
        disk: Some(Arc::clone(&disk) as _),
        queue_bytes: 10_000,
        reserve_bytes: 20_000,
        rotate_bytes: 1 << 30,
        ..settings()
    };
    let log = open(home.path(), settings);
    disk.room(25_000);
    let mut acknowledged = Vec::new();
    while log.admits() {
        let number = acknowledged.len() as u64;
        log.append(vec![record(number)]).await.unwrap();
        acknowledged.push(number);
    }
    let health = log.health();
    assert!(!health.blocked && health.reason.is_some());
    // What was let in before can still be written: as much as the queue holds.
    let mut bytes = 0;
    loop {
        let number = acknowledged.len() as u64;
        bytes += record(number).len() + 1;
        if bytes > 9_000 {
            break;
        }
        log.append(vec![record(number)]).await.unwrap();
        acknowledged.push(number);
    }
    assert!(log.seal().await.is_ok());
    assert!(log.health().low_space);
    disk.mend();
    assert!(!log.admits());
    log.append(vec![record(5000)]).await.unwrap();
    acknowledged.push(5000);
    assert_kept(log, home.path(), &acknowledged).await;
}

#[tokio::test]
async fn a_file_system_that_cannot_reserve_is_asked_what_is_free() {
    let home = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faults::default());
    disk.set(|plan| &plan.no_reserve);
    let settings = LogSettings { disk: Some(Arc::clone(&disk) as _), ..settings() };
    let log = open(home.path(), settings);
    log.append(vec![record(1)]).await.unwrap();
    assert!(log.admits());
    disk.room(500_000);
    log.append(vec![record(2)]).await.unwrap();
    assert!(!log.admits());
    disk.mend();
    assert_kept(log, home.path(), &[1, 2]).await;
}

/// The files stay where they are if there is no room for the next ones.
#[tokio::test]
async fn a_rotation_without_room() {
    let home = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faults::default());
    let settings =
        LogSettings { disk: Some(Arc::clone(&disk) as _), rotate_bytes: 2000, ..settings() };
    let log = open(home.path(), settings);
    disk.room(100_000);
    for number in 0..20 {
        log.append(vec![record(number)]).await.unwrap();
    }
    assert!(!log.admits() && !log.health().blocked);
    assert_eq!(files(home.path(), "jsonl").len(), 1);
    disk.mend();
    let _ = log.reopen().await;
    log.append(vec![record(20)]).await.unwrap();
    assert_kept(log, home.path(), &(0..21).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_directory_that_is_moved_away_and_back() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("audit");
    let log = open(&directory, settings());
    log.append(vec![record(1)]).await.unwrap();
    let away = home.path().join("away");
    fs::rename(&directory, &away).unwrap();
    let failed = log.append(vec![record(2)]).await;
    assert!(matches!(failed, Err(LogError::Moved(_))), "{failed:?}");
    assert!(log.reopen().await.is_err());
    assert!(!directory.exists(), "a directory that is gone is not made again");
    fs::rename(&away, &directory).unwrap();
    log.reopen().await.unwrap();
    log.append(vec![record(3)]).await.unwrap();
    assert_kept(log, &directory, &[1, 3]).await;
}

#[tokio::test]
async fn a_directory_that_is_removed_and_made_anew() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("audit");
    let log = open(&directory, settings());
    log.append(vec![record(1)]).await.unwrap();
    log.seal().await.unwrap();
    let head = log.head();
    fs::remove_dir_all(&directory).unwrap();
    log.append(vec![record(2)]).await.unwrap_err();
    log.append(vec![record(3)]).await.unwrap_err();
    fs::create_dir(&directory).unwrap();
    log.reopen().await.unwrap();
    assert!(matches!(Log::open(&directory, settings(), signer()), Err(LogError::Locked)));
    log.append(vec![record(4)]).await.unwrap();
    log.close().await.unwrap();
    // The chain goes on where it was, and says what is missing.
    let report = checked(&directory);
    assert_eq!(
        report.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["digest 1 is missing", "segment 1: the file with its records is missing"]
    );
    let told = VerifySettings { start: Some(head), ..VerifySettings::default() };
    assert_eq!(verify(&directory, &keys(), &told).unwrap().faults.len(), 1);
}

#[tokio::test]
async fn a_file_that_is_removed_or_replaced() {
    for suffix in ["jsonl", "chain"] {
        let home = tempfile::tempdir().unwrap();
        let log = open(home.path(), settings());
        log.append(vec![record(1)]).await.unwrap();
        let path = files(home.path(), suffix).remove(0);
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"").unwrap();
        log.append(vec![record(2)]).await.unwrap_err();
        log.reopen().await.unwrap();
        log.append(vec![record(3)]).await.unwrap();
        log.close().await.unwrap();
        let report = checked(home.path());
        // Of the chain nothing was lost, since nothing had been signed into it.
        assert_eq!(report.is_intact(), suffix == "chain", "{:?}", report.faults);
        assert!(lines(home.path()).contains(&record(3)));
    }
}

#[tokio::test]
async fn a_torn_line_is_cut_off_and_told() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path(), settings());
    log.append(vec![record(1), record(2)]).await.unwrap();
    log.seal().await.unwrap();
    log.append(vec![record(3)]).await.unwrap();
    // What a crash would leave: the log as it is, and half a line, of both files.
    let crashed = home.path().join("crashed");
    fs::create_dir(&crashed).unwrap();
    for suffix in ["jsonl", "chain"] {
        let path = files(home.path(), suffix).remove(0);
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"eventVersion\":");
        fs::write(crashed.join(path.file_name().unwrap()), text).unwrap();
    }
    assert!(checked(&crashed).torn);
    let log = open(&crashed, settings());
    let recovery = log.recovery();
    assert_eq!((recovery.adopted, recovery.cut), (1, 32));
    assert!(recovery.damage.is_empty());
    log.append(vec![record(4)]).await.unwrap();
    log.close().await.unwrap();
    let report = checked(&crashed);
    assert!(report.is_intact() && !report.torn, "{:?}", report.faults);
    assert_eq!((report.records, report.adopted), (4, 1));
    assert_eq!(lines(&crashed), (1..5).map(record).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_a_crash_cannot_explain_is_told_and_left() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path(), settings());
    log.append(vec![record(1), record(2)]).await.unwrap();
    log.seal().await.unwrap();
    let crashed = home.path().join("crashed");
    fs::create_dir(&crashed).unwrap();
    for suffix in ["jsonl", "chain"] {
        let path = files(home.path(), suffix).remove(0);
        fs::copy(&path, crashed.join(path.file_name().unwrap())).unwrap();
    }
    let path = files(&crashed, "jsonl").remove(0);
    let mut text = fs::read(&path).unwrap();
    text.truncate(record(1).len() + 1);
    fs::write(&path, text).unwrap();
    let log = open(&crashed, settings());
    assert_eq!(log.recovery().damage, ["signed records of segment 1 are gone"]);
    log.append(vec![record(3)]).await.unwrap();
    log.close().await.unwrap();
    let report = checked(&crashed);
    assert_eq!(report.faults, [Fault::Removed { segment: 1, first: 2, count: 1 }]);
}

/// Whoever can write to the directory cannot make the writer build on a forged digest.
#[tokio::test]
async fn a_forged_digest_is_not_built_on() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path(), settings());
    log.append(vec![record(1)]).await.unwrap();
    log.close().await.unwrap();
    let path = files(home.path(), "chain").remove(0);
    let text = fs::read_to_string(&path).unwrap();
    let forged = text.replace("\"sequence\":1,", "\"sequence\":1152921504606846975,");
    let other_key = forged.replace("\"key\":\"", "\"key\":\"0");
    fs::write(&path, format!("{text}{forged}{other_key}")).unwrap();
    let log = open(home.path(), settings());
    assert_eq!(log.recovery().damage.len(), 1);
    log.append(vec![record(2)]).await.unwrap();
    log.close().await.unwrap();
    let report = checked(home.path());
    assert_eq!(report.records, 2);
    let all = report.faults.iter();
    assert_eq!(all.filter(|f| matches!(f, Fault::DigestInvalid { segment: 1, .. })).count(), 2);
    assert_eq!(report.fault_count, 2);
}

#[tokio::test]
async fn a_new_signing_key_needs_the_earlier_one() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path(), settings());
    log.append(vec![record(1)]).await.unwrap();
    log.close().await.unwrap();
    let new = Arc::new(Ed25519Signer::from_seed(&[8; 32]).unwrap());
    let refused = Log::open(home.path(), settings(), Arc::clone(&new) as _);
    assert_eq!(refused.unwrap_err(), LogError::UnknownKey);
    let settings = LogSettings { earlier_keys: keys(), ..settings() };
    let log = Log::open(home.path(), settings, Arc::clone(&new) as _).unwrap();
    log.append(vec![record(2)]).await.unwrap();
    log.close().await.unwrap();
    assert!(!checked(home.path()).is_intact());
    let both = [keys(), vec![new.public_key()]].concat();
    let report = verify(home.path(), &both, &VerifySettings::default()).unwrap();
    assert!(report.is_intact(), "{:?}", report.faults);
    assert_eq!(report.records, 2);
}

struct Mute(std::sync::atomic::AtomicBool);

impl Signer for Mute {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, keystead_audit::SignerError> {
        if self.0.load(Ordering::SeqCst) {
            return Err(keystead_audit::SignerError("sealed".to_owned()));
        }
        signer().sign(message)
    }

    fn public_key(&self) -> Vec<u8> {
        signer().public_key()
    }
}

#[tokio::test]
async fn a_signature_that_cannot_be_made() {
    let home = tempfile::tempdir().unwrap();
    let mute = Arc::new(Mute(AtomicBool::new(false)));
    let log = Log::open(home.path(), settings(), Arc::clone(&mute) as _).unwrap();
    log.append(vec![record(1)]).await.unwrap();
    mute.0.store(true, Ordering::SeqCst);
    assert!(matches!(log.seal().await, Err(LogError::Signer(_))));
    assert!(log.health().blocked);
    assert!(log.reopen().await.is_err());
    mute.0.store(false, Ordering::SeqCst);
    log.reopen().await.unwrap();
    log.append(vec![record(2)]).await.unwrap();
    assert_kept(log, home.path(), &[1, 2]).await;
}

/// Requests go on while the disk fails and recovers: what was acknowledged is there, once.
#[tokio::test(flavor = "multi_thread")]
async fn under_load_nothing_acknowledged_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faults::default());
    let settings = LogSettings {
        disk: Some(Arc::clone(&disk) as _),
        retry: Duration::from_millis(1),
        rotate_bytes: 50_000,
        ..settings()
    };
    let log = Arc::new(open(home.path(), settings));
    let writers: Vec<_> = (0..16_u64)
        .map(|writer| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for at in 0..300 {
                    let number = writer * 1000 + at;
                    if log.append(vec![record(number)]).await.is_ok() {
                        acknowledged.push(number);
                    }
                    tokio::task::yield_now().await;
                }
                acknowledged
            })
        })
        .collect();
    for round in 0..20 {
        let before = log.statistics().records;
        while log.statistics().records == before && writers.iter().any(|w| !w.is_finished()) {
            tokio::task::yield_now().await;
        }
        match round % 3 {
            0 => disk.set(|plan| &plan.write_errors),
            1 => disk.set(|plan| &plan.sync_errors),
            _ => disk.room(300),
        }
        let before = log.statistics().failures;
        while log.statistics().failures == before && writers.iter().any(|w| !w.is_finished()) {
            tokio::task::yield_now().await;
        }
        disk.mend();
    }
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    while log.reopen().await.is_err() {}
    log.append(vec![record(1_000_000)]).await.unwrap();
    acknowledged.push(1_000_000);
    log.close().await.unwrap();
    let report = checked(home.path());
    assert!(report.is_intact(), "{:?}", report.faults);
    let mut found = lines(home.path());
    let mut expected: Vec<_> = acknowledged.iter().map(|number| record(*number)).collect();
    found.sort();
    expected.sort();
    assert_eq!(found.len(), expected.len());
    assert!(found == expected);
}

/// On a real file system that fills: `mount -t tmpfs -o size=6m tmpfs DIR` and the directory's name in
/// `KEYSTEAD_AUDIT_SMALL_DISK`.
#[tokio::test]
#[ignore = "needs a small file system"]
async fn a_small_disk_fills_and_is_given_room() {
    let disk = PathBuf::from(std::env::var_os("KEYSTEAD_AUDIT_SMALL_DISK").unwrap());
    let directory = disk.join("audit");
    // Room that is given back later.
    let room = disk.join("room");
    fs::write(&room, vec![0; 3 << 20]).unwrap();
    let log = open(&directory, settings());
    let mut acknowledged = Vec::new();
    while log.admits() && acknowledged.len() < 100_000 {
        let number = acknowledged.len() as u64;
        log.append(vec![record(number)]).await.unwrap();
        acknowledged.push(number);
    }
    assert!(acknowledged.len() < 100_000 && !log.health().blocked, "{:?}", log.health());
    // Somebody else takes what is left.
    let ballast = disk.join("ballast");
    let mut block = fs::File::create(&ballast).unwrap();
    while io::Write::write_all(&mut block, &[0; 4096]).is_ok() {}
    drop(block);
    // What is reserved is still there, and then nothing is acknowledged any more.
    let reserved = acknowledged.len();
    let mut number = reserved as u64;
    while let Ok(()) = log.append(vec![record(number)]).await {
        acknowledged.push(number);
        number += 1;
    }
    let held = acknowledged.len() - reserved;
    assert!(held * record(0).len() > 200_000, "{held} records fitted");
    assert!(log.health().blocked && log.reopen().await.is_err());
    println!("{reserved} records while admitted, {held} more in reserved space");
    fs::remove_file(ballast).unwrap();
    fs::remove_file(room).unwrap();
    log.reopen().await.unwrap();
    log.append(vec![record(200_000)]).await.unwrap();
    acknowledged.push(200_000);
    assert_kept(log, &directory, &acknowledged).await;
}
