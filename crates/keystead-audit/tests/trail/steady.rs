//! Without faults.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use keystead_audit::{Anchor, LogError, Sync, VerifySettings, export, verify};

use super::*;

#[tokio::test]
async fn what_is_appended_is_there_and_signed() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("deep/audit");
    let log = open(&directory, settings());
    assert!(log.admits());
    for number in 0..10 {
        log.append(vec![record(number)]).await.unwrap();
    }
    log.append(vec![record(10), record(11)]).await.unwrap();
    let report = checked(&directory);
    assert_eq!((report.records, report.unsigned, report.digests), (0, 12, 0));
    log.seal().await.unwrap();
    let report = checked(&directory);
    assert!(report.is_intact());
    assert_eq!((report.records, report.unsigned, report.digests), (12, 0, 1));
    assert_eq!(report.head, Some(log.head()));
    assert!(!report.closed);
    log.close().await.unwrap();
    let report = checked(&directory);
    assert!(report.is_intact() && report.closed);
    assert_eq!(report.digests, 2);
    assert_eq!(lines(&directory), (0..12).map(record).collect::<Vec<_>>());
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for path in files(&directory, "jsonl").iter().chain(&files(&directory, "chain")) {
        assert_eq!(mode(path), 0o600);
    }
    assert_eq!(log.append(vec![record(0)]).await, Err(LogError::Closed));
    assert_eq!(log.seal().await, Err(LogError::Closed));
    assert!(!log.admits() && log.health().closed);
}

#[tokio::test]
async fn one_writer_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path(), settings());
    let second = Log::open(home.path(), settings(), signer());
    assert!(matches!(second, Err(LogError::Locked)));
    log.close().await.unwrap();
    open(home.path(), settings()).close().await.unwrap();
}

#[tokio::test]
async fn a_log_without_records_leaves_no_files() {
    let home = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        open(home.path(), settings()).close().await.unwrap();
    }
    assert!(files(home.path(), "jsonl").is_empty() && files(home.path(), "chain").is_empty());
    let log = open(home.path(), settings());
    log.append(vec![record(1)]).await.unwrap();
    log.close().await.unwrap();
    open(home.path(), settings()).close().await.unwrap();
    assert_eq!(files(home.path(), "jsonl").len(), 1);
    assert!(checked(home.path()).is_intact());
}

#[tokio::test]
async fn what_is_no_line_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path(), settings());
    for bad in [vec![], b"{}\n{}".to_vec(), vec![b'x'; keystead_audit::LONGEST_RECORD + 1]] {
        assert_eq!(log.append(vec![record(1), bad]).await, Err(LogError::NotARecord));
    }
    log.close().await.unwrap();
    assert!(lines(home.path()).is_empty(), "nothing of a refused append is written");
}

#[tokio::test]
async fn segments_end_by_size_and_on_demand_and_chain_on() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path(), LogSettings { rotate_bytes: 4000, ..settings() });
    let first = log.head();
    for number in 0..50 {
        log.append(vec![record(number)]).await.unwrap();
    }
    let by_size = log.statistics().rotations;
    assert!(by_size >= 5, "{by_size}");
    log.reopen().await.unwrap();
    log.reopen().await.unwrap();
    assert_eq!(log.statistics().rotations, by_size + 2 - 1, "an empty segment stays");
    log.append(vec![record(50)]).await.unwrap();
    log.close().await.unwrap();
    let log = open(home.path(), settings());
    log.append(vec![record(51)]).await.unwrap();
    log.close().await.unwrap();
    let report = checked(home.path());
    assert!(report.is_intact(), "{:?}", report.faults);
    assert_eq!(report.records, 52);
    assert_eq!(report.segments, by_size + 3);
    assert_eq!(lines(home.path()), (0..52).map(record).collect::<Vec<_>>());
    assert_eq!(first.sequence, 0);

    // Older segments may be moved away by whoever notes where they end.
    let expect = report.head;
    let archive = files(home.path(), "jsonl");
    let oldest = archive.first().unwrap();
    std::fs::remove_file(oldest).unwrap();
    std::fs::remove_file(oldest.with_extension("chain")).unwrap();
    let report = checked(home.path());
    assert_eq!(report.faults.len(), 1);
    assert_eq!(report.faults[0].to_string(), "digest 1 is missing");
    let second = std::fs::read_to_string(archive[1].with_extension("chain")).unwrap();
    let previous = second.split("\"previous\":\"").nth(1).unwrap().get(..64).unwrap();
    let start: Anchor = format!("1:{previous}").parse().unwrap();
    let told = VerifySettings { start: Some(start), expect, ..VerifySettings::default() };
    assert!(verify(home.path(), &keys(), &told).unwrap().is_intact());
    let wrong = VerifySettings { start: Some(Anchor { hash: [0; 32], ..start }), ..told };
    assert!(!verify(home.path(), &keys(), &wrong).unwrap().is_intact());
}

#[tokio::test]
async fn a_digest_is_signed_after_so_many_records_or_so_long() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path(), LogSettings { digest_records: 10, ..settings() });
    log.append((0..35).map(record).collect()).await.unwrap();
    log.close().await.unwrap();
    let report = checked(home.path());
    assert!(report.is_intact());
    // The end is one of its own.
    assert_eq!((report.digests, report.records), (5, 35));

    let home = tempfile::tempdir().unwrap();
    let log = open(home.path(), LogSettings { digest_interval: Duration::ZERO, ..settings() });
    for number in 0..5 {
        log.append(vec![record(number)]).await.unwrap();
    }
    // The answer of the next job comes after what was due before.
    let _ = log.reopen().await;
    assert!(log.statistics().digests >= 5);
    log.close().await.unwrap();
    assert!(checked(home.path()).is_intact());
}

#[tokio::test]
async fn interval_acknowledges_before_the_flush() {
    let home = tempfile::tempdir().unwrap();
    let sync = Sync::Interval(Duration::from_secs(3600));
    let log = open(home.path(), LogSettings { sync, ..settings() });
    for number in 0..20 {
        log.append(vec![record(number)]).await.unwrap();
    }
    assert_eq!(log.statistics().syncs, 0);
    assert_eq!(lines(home.path()).len(), 20);
    log.seal().await.unwrap();
    assert_eq!(log.statistics().syncs, 1, "what a digest covers is flushed before");
    log.close().await.unwrap();
    assert!(checked(home.path()).is_intact());
}

#[tokio::test]
async fn a_drained_outbox_leaves_no_second_record() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path(), settings());
    log.append_once(vec![record(1), record(2)]).await.unwrap();
    log.append_once(vec![record(2), record(3), record(3)]).await.unwrap();
    assert_eq!(log.statistics().repeats, 2);
    log.append(vec![record(4)]).await.unwrap();
    log.close().await.unwrap();
    let log = open(home.path(), settings());
    log.append_once(vec![record(4), record(1), record(5)]).await.unwrap();
    assert_eq!(log.statistics().repeats, 2);
    log.close().await.unwrap();
    assert_eq!(lines(home.path()), (1..6).map(record).collect::<Vec<_>>());

    // One that is too old to be known is written again, and told for information.
    let log = open(home.path(), LogSettings { remembered_events: 2, ..settings() });
    log.append_once(vec![record(1)]).await.unwrap();
    log.close().await.unwrap();
    let report = checked(home.path());
    assert!(report.is_intact(), "{:?}", report.faults);
    assert_eq!((report.records, report.repeats), (6, 1));
    assert_eq!(report.repeated_events, [event(1).to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_share_flushes_and_the_queue_is_bounded() {
    let home = tempfile::tempdir().unwrap();
    let disk = Arc::new(crate::faults::Faults::default());
    // As a disk of a laptop would take.
    disk.slow_sync(Duration::from_millis(2));
    let settings = LogSettings {
        disk: Some(Arc::clone(&disk) as _),
        queue_records: 64,
        rotate_bytes: 200_000,
        ..settings()
    };
    let log = Arc::new(open(home.path(), settings));
    let writers: Vec<_> = (0..128_u64)
        .map(|writer| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                for at in 0..20 {
                    log.append(vec![record(writer * 1000 + at)]).await.unwrap();
                    assert!(log.health().queued_records <= 64);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let statistics = log.statistics();
    assert_eq!(statistics.records, 128 * 20);
    let per_sync = statistics.records / statistics.syncs.max(1);
    println!("{per_sync} records per flush, {} rotations", statistics.rotations);
    assert!(per_sync >= 8, "{per_sync} records per flush");
    assert!(statistics.rotations > 2);
    log.close().await.unwrap();
    let report = checked(home.path());
    assert!(report.is_intact(), "{:?}", report.faults);
    assert_eq!((report.records, report.repeats), (128 * 20, 0));
}

#[tokio::test]
async fn a_full_queue_makes_tickets_wait() {
    let home = tempfile::tempdir().unwrap();
    let disk = Arc::new(crate::faults::Faults::default());
    let settings =
        LogSettings { disk: Some(Arc::clone(&disk) as _), queue_records: 1, ..settings() };
    let log = open(home.path(), settings);
    let gate = disk.hold_syncs();
    let first = log.append(vec![record(1)]);
    let mut second = log.append(vec![record(2)]);
    let dropped = log.append(vec![record(3)]);
    assert_eq!(format!("{first:?} {second:?}"), "Ticket(handed over) Ticket(waiting)");
    let polled = std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut second).poll(context))
    });
    assert!(polled.await.is_pending());
    drop(dropped);
    drop(gate);
    first.await.unwrap();
    second.await.unwrap();
    log.close().await.unwrap();
    assert_eq!(lines(home.path()), [record(1), record(2)]);
}

#[tokio::test]
async fn an_export_is_what_readers_of_cloudtrail_expect() {
    let home = tempfile::tempdir().unwrap();
    let audit = home.path().join("audit");
    let log = open(&audit, settings());
    log.append((0..7).map(record).collect()).await.unwrap();
    log.reopen().await.unwrap();
    log.append(vec![record(7)]).await.unwrap();
    let to = home.path().join("export");
    std::fs::create_dir(&to).unwrap();
    let exported = export(&audit, &to, 3).unwrap();
    assert_eq!((exported.records, exported.files), (8, 4));
    let mut records = Vec::new();
    for path in files(&to, "json") {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("111122223333_CloudTrail_eu-west-1_20260105T100731Z_"), "{name}");
        let read: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        records.extend(read["Records"].as_array().unwrap().clone());
    }
    let numbers: Vec<_> =
        records.iter().map(|record| record["requestParameters"]["number"].as_u64()).collect();
    assert_eq!(numbers, (0..8).map(Some).collect::<Vec<_>>());
    assert!(export(&audit, &to, 3).is_err(), "nothing is overwritten");
    log.close().await.unwrap();
}
