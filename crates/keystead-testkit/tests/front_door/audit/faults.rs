//! A trail that cannot be written, under load: nothing succeeds unrecorded.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use keystead_audit::disk::{Disk, DiskFile, Identity, MachineDisk};
use keystead_audit::read_public_keys;
use keystead_store::KeyRange;
use rustix_errno::{ENOSPC, EROFS};
use serde_json::{Value, json};

use super::{Audited, records_in};
use crate::support::{ACCOUNT, text};

/// Numbers of errors as Linux has them.
mod rustix_errno {
    pub(super) const EROFS: i32 = 30;
    pub(super) const ENOSPC: i32 = 28;
}

/// A disk that can be made to fail: 0, or the number of the error of whatever writes.
struct Failing(Arc<AtomicU8>);

struct FailingFile(Box<dyn DiskFile>, Arc<AtomicU8>);

fn fails(with: &AtomicU8) -> io::Result<()> {
    match with.load(Ordering::SeqCst) {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(i32::from(number))),
    }
}

impl Disk for Failing {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        fails(&self.0)?;
        let file = MachineDisk::default().create(path)?;
        Ok(Box::new(FailingFile(file, Arc::clone(&self.0))))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = MachineDisk::default().open(path)?;
        Ok(Box::new(FailingFile(file, Arc::clone(&self.0))))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        MachineDisk::default().sync_directory(path)
    }

    fn identity(&self, path: &Path) -> io::Result<Option<Identity>> {
        MachineDisk::default().identity(path)
    }

    fn free(&self, path: &Path) -> io::Result<u64> {
        MachineDisk::default().free(path)
    }
}

impl DiskFile for FailingFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        fails(&self.1)?;
        self.0.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        fails(&self.1)?;
        self.0.sync()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        fails(&self.1)?;
        self.0.cut(length)
    }

    fn reserve(&mut self, length: u64, bytes: u64) -> io::Result<bool> {
        fails(&self.1)?;
        self.0.reserve(length, bytes)
    }

    fn identity(&self) -> io::Result<Identity> {
        self.0.identity()
    }
}

/// What the clients of a loaded service got.
#[derive(Default)]
struct Got {
    /// Requests that were answered, refused ones included.
    answered: Vec<String>,
    /// Keys that were made.
    keys: Vec<String>,
    internal: usize,
}

/// One client: reads, refusals and changes in turn, until it is told to stop.
async fn client(
    on: Arc<Audited>,
    key: String,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
) -> Got {
    let mut got = Got::default();
    while !stop.load(Ordering::SeqCst) {
        for (operation, body) in [
            ("GenerateDataKey", json!({"KeyId": key, "KeySpec": "AES_256"})),
            ("DescribeKey", json!({"KeyId": "alias/none"})),
            ("CreateKey", json!({})),
        ] {
            let (id, result) = on.ask_as(ACCOUNT, operation, body).await;
            match result {
                Err(name) if name == "KMSInternalException" => got.internal += 1,
                Err(_) => got.answered.push(id),
                Ok(answer) => {
                    got.answered.push(id);
                    if operation == "CreateKey" {
                        got.keys.push(text(&answer["KeyMetadata"], "Arn").to_owned());
                    }
                }
            }
            done.fetch_add(1, Ordering::SeqCst);
        }
    }
    got
}

/// Loads a service, breaks its trail, mends it, and counts.
async fn under_load(on: Audited, break_it: impl FnOnce(), mend_it: impl FnOnce()) {
    let made = on.ask("CreateKey", json!({})).await.unwrap();
    let key = text(&made["KeyMetadata"], "KeyId").to_owned();
    let on = Arc::new(on);
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            tokio::spawn(client(Arc::clone(&on), key.clone(), stop, done))
        })
        .collect();
    let more = async |requests: usize| {
        let goal = done.load(Ordering::SeqCst) + requests;
        while done.load(Ordering::SeqCst) < goal {
            tokio::task::yield_now().await;
        }
    };
    more(60).await;
    assert_eq!(on.service.audit_health().unwrap().blocked, None);
    break_it();
    // Until it is noticed, then for a while.
    while on.service.audit_health().unwrap().blocked.is_none() {
        more(1).await;
    }
    more(20).await;
    let refused = on.ask("DescribeKey", json!({"KeyId": key})).await;
    assert_eq!(refused.unwrap_err(), "KMSInternalException");
    mend_it();
    on.service.reopen_audit().await.unwrap();
    more(60).await;
    stop.store(true, Ordering::SeqCst);
    let mut got = Got::default();
    for client in clients {
        let one = client.await.unwrap();
        got.answered.extend(one.answered);
        got.keys.extend(one.keys);
        got.internal += one.internal;
    }
    assert!(got.internal > 0 && got.answered.len() > 60);

    let records = on.records().await;
    let ids: BTreeSet<&str> = records.iter().filter_map(|r| r["requestID"].as_str()).collect();
    let unrecorded: Vec<_> = got.answered.iter().filter(|id| !ids.contains(id.as_str())).collect();
    assert!(unrecorded.is_empty(), "{} of {}", unrecorded.len(), got.answered.len());
    // Each change has its record, whether or not it was answered, and each record its change.
    let arn = |record: &Value| record["resources"][0]["ARN"].as_str().map(str::to_owned);
    let made =
        |record: &&Value| record["eventName"] == "CreateKey" && record.get("errorCode").is_none();
    let recorded: BTreeSet<String> = records.iter().filter(made).filter_map(arn).collect();
    let stored = on.store.scan(KeyRange::prefix("key/"), 10_000).await.unwrap();
    assert_eq!(recorded.len(), stored.len());
    assert!(got.keys.iter().all(|arn| recorded.contains(arn)));
    let all = records.iter().filter_map(|record| record["eventID"].as_str());
    assert_eq!(all.clone().count(), all.collect::<BTreeSet<_>>().len(), "no record twice");

    let keys = read_public_keys(&on.service.audit_public_key().unwrap()).unwrap();
    let report = keystead_audit::verify(&on.directory(), &keys, &Default::default()).unwrap();
    assert!(report.is_intact(), "{:?}", report.faults);
}

async fn with_a_disk_that_fails(number: i32) {
    let state = Arc::new(AtomicU8::new(0));
    let disk = Arc::new(Failing(Arc::clone(&state)));
    let on = Audited::with(|settings| settings.disk = Some(disk)).await;
    let number = u8::try_from(number).unwrap();
    let set = |to: u8| state.store(to, Ordering::SeqCst);
    under_load(on, || set(number), || set(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk() {
    with_a_disk_that_fails(ENOSPC).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_turned_read_only() {
    with_a_disk_that_fails(EROFS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_taken_away() {
    let on = Audited::open().await;
    let (here, away) = (on.directory(), on.folder.path().join("away"));
    let (from, back) = (here.clone(), away.clone());
    under_load(
        on,
        move || fs::rename(from, back).unwrap(),
        move || fs::rename(away, here).unwrap(),
    )
    .await;
}

#[tokio::test]
async fn a_full_outbox_stops_everything() {
    let on = Audited::with(|settings| settings.backlog = 1).await;
    on.service.close_audit().await.unwrap();
    let blocked = on.service.audit_health().unwrap().blocked;
    assert!(blocked.is_some());
    let refused = on.ask("ListKeys", json!({})).await;
    assert_eq!(refused.unwrap_err(), "KMSInternalException");
    assert!(on.service.sweep().await.is_err(), "nor does the service act by itself");
    assert!(records_in(&on.directory()).is_empty());
}
