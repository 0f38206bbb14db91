//! Whoever can write to the directory, and what a verification says about it.

use std::fs;

use keystead_audit::{Anchor, Fault, VerifySettings, verify};

use super::*;

/// A log of two segments, 40 records each, a digest for each ten.
async fn trail() -> (tempfile::TempDir, PathBuf, Anchor) {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("audit");
    let log = open(&directory, LogSettings { digest_records: 10, ..settings() });
    log.append((0..40).map(record).collect()).await.unwrap();
    log.reopen().await.unwrap();
    log.append((40..80).map(record).collect()).await.unwrap();
    log.close().await.unwrap();
    let head = log.head();
    let report = checked(&directory);
    assert!(report.is_intact() && report.closed);
    assert_eq!((report.records, report.digests, report.head), (80, 10, Some(head)));
    (home, directory, head)
}

type Lines = Vec<Vec<u8>>;

/// Changes the lines of a file and answers what a verification then finds.
fn tamper(directory: &Path, name: &str, change: impl FnOnce(&mut Lines)) -> Vec<Fault> {
    let path = directory.join(name);
    let text = fs::read(&path).unwrap();
    let mut lines: Lines =
        text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    change(&mut lines);
    fs::write(&path, lines.concat()).unwrap();
    let report = checked(directory);
    assert_eq!(report.is_intact(), report.faults.is_empty());
    report.faults
}

const FIRST: &str = "audit-0000000001.jsonl";
const SECOND: &str = "audit-0000000002.jsonl";
const FIRST_CHAIN: &str = "audit-0000000001.chain";
const SECOND_CHAIN: &str = "audit-0000000002.chain";

#[tokio::test]
async fn an_altered_record() {
    for (index, place) in [(0, 1), (14, 1), (39, 1), (12, 30)] {
        let (_home, directory, _) = trail().await;
        let faults = tamper(&directory, FIRST, |lines| lines[index][place] ^= 1);
        let [Fault::Altered { segment: 1, record, line, .. }] = faults[..] else {
            panic!("{faults:?}")
        };
        assert_eq!((record, line), (index as u64 + 1, index as u64 + 1));
    }
}

#[tokio::test]
async fn a_record_made_longer_is_one_altered_record() {
    let (_home, directory, _) = trail().await;
    let faults = tamper(&directory, FIRST, |lines| {
        let text = String::from_utf8(lines[5].clone()).unwrap();
        lines[5] = text.replace("Encrypt", "DescribeKey").into_bytes();
    });
    let event = Some(event(5).to_string());
    assert_eq!(faults, [Fault::Altered { segment: 1, record: 6, line: 6, event }]);
}

#[tokio::test]
async fn removed_records() {
    for range in [0..1, 3..4, 9..10, 5..25, 38..40, 0..40] {
        let (_home, directory, _) = trail().await;
        let removed = range.clone();
        let faults = tamper(&directory, FIRST, |lines| drop(lines.drain(range)));
        let (first, count) = (removed.start as u64 + 1, removed.len() as u64);
        assert_eq!(faults, [Fault::Removed { segment: 1, first, count }]);
    }
}

#[tokio::test]
async fn an_inserted_record() {
    for (at, number) in [(0, 1000), (7, 1000), (10, 1000), (7, 3)] {
        let (_home, directory, _) = trail().await;
        let mut forged = record(number);
        forged.push(b'\n');
        let faults = tamper(&directory, SECOND, |lines| lines.insert(at, forged));
        let event = Some(event(number).to_string());
        assert_eq!(faults, [Fault::Inserted { segment: 2, line: at as u64 + 1, event }]);
    }
}

#[tokio::test]
async fn a_record_written_twice() {
    let (_home, directory, _) = trail().await;
    let faults = tamper(&directory, FIRST, |lines| lines.insert(4, lines[3].clone()));
    let event = Some(event(3).to_string());
    assert_eq!(faults, [Fault::Inserted { segment: 1, line: 5, event }]);
}

#[tokio::test]
async fn a_reordered_record() {
    // Swapped neighbours, moved on, moved back, over the edge of a digest.
    for (from, to) in [(3, 4), (2, 8), (8, 2), (9, 10), (10, 9), (5, 25)] {
        let (_home, directory, _) = trail().await;
        let faults = tamper(&directory, FIRST, |lines| {
            let moved = lines.remove(from);
            lines.insert(to, moved);
        });
        let [Fault::Reordered { segment: 1, record, line, .. }] = faults[..] else {
            panic!("{from} to {to}: {faults:?}")
        };
        // Of two neighbours, either may be called the one that moved.
        let exact = (record, line) == (from as u64 + 1, to as u64 + 1);
        let other = from.abs_diff(to) == 1 && (record, line) == (to as u64 + 1, from as u64 + 1);
        assert!(exact || other, "{from} to {to}: {record} at {line}");
    }
}

#[tokio::test]
async fn a_record_moved_to_another_segment() {
    let (_home, directory, _) = trail().await;
    let mut moved = Vec::new();
    tamper(&directory, FIRST, |lines| moved = lines.remove(4));
    let faults = tamper(&directory, SECOND, |lines| lines.insert(4, moved));
    let event = Some(event(4).to_string());
    assert_eq!(
        faults,
        [
            Fault::Removed { segment: 1, first: 5, count: 1 },
            Fault::Inserted { segment: 2, line: 5, event },
        ]
    );
}

#[tokio::test]
async fn a_truncated_file() {
    // At a line, within a line, and only the last newline.
    let (_home, directory, _) = trail().await;
    let faults = tamper(&directory, SECOND, |lines| lines.truncate(35));
    assert_eq!(faults, [Fault::Removed { segment: 2, first: 36, count: 5 }]);

    for keep in [10, record(79).len()] {
        let (_home, directory, _) = trail().await;
        let faults = tamper(&directory, SECOND, |lines| lines[39].truncate(keep));
        let [Fault::Altered { segment: 2, record: 40, line: 40, .. }] = faults[..] else {
            panic!("{faults:?}")
        };
    }
}

#[tokio::test]
async fn records_after_the_end() {
    let (_home, directory, _) = trail().await;
    let mut forged = record(1000);
    forged.push(b'\n');
    let faults = tamper(&directory, FIRST, |lines| lines.push(forged.clone()));
    assert_eq!(faults, [Fault::AfterEnd { segment: 1, lines: 1 }]);
    let faults = tamper(&directory, SECOND, |lines| lines.push(forged));
    assert_eq!(faults[1..], [Fault::AfterEnd { segment: 2, lines: 1 }]);
}

#[tokio::test]
async fn a_removed_file() {
    let (_home, directory, _) = trail().await;
    fs::remove_file(directory.join(FIRST)).unwrap();
    assert_eq!(checked(&directory).faults, [Fault::SegmentMissing { segment: 1 }]);

    // Its digests too.
    fs::remove_file(directory.join(FIRST_CHAIN)).unwrap();
    assert_eq!(checked(&directory).faults, [Fault::DigestsMissing { first: 1, last: 5 }]);

    // The last segment as a whole.
    let (_home, directory, _) = trail().await;
    fs::remove_file(directory.join(SECOND)).unwrap();
    fs::remove_file(directory.join(SECOND_CHAIN)).unwrap();
    assert_eq!(checked(&directory).faults, [Fault::SuccessorMissing { segment: 2 }]);

    // Digests alone.
    let (_home, directory, _) = trail().await;
    fs::remove_file(directory.join(FIRST_CHAIN)).unwrap();
    assert_eq!(
        checked(&directory).faults,
        [Fault::DigestsMissing { first: 1, last: 5 }, Fault::Uncovered { segment: 1, lines: 40 },]
    );
}

#[tokio::test]
async fn an_added_file() {
    let (_home, directory, _) = trail().await;
    fs::rename(directory.join(SECOND), directory.join("audit-0000000003.jsonl")).unwrap();
    fs::rename(directory.join(SECOND_CHAIN), directory.join("audit-0000000003.chain")).unwrap();
    fs::write(directory.join(SECOND), [record(1000), b"\n".to_vec()].concat()).unwrap();
    assert_eq!(
        checked(&directory).faults,
        [
            Fault::Altered { segment: 2, record: 1, line: 1, event: Some(event(1000).to_string()) },
            Fault::Removed { segment: 2, first: 2, count: 39 },
        ]
    );

    // A file between two segments, of which no digest ever spoke.
    let home = tempfile::tempdir().unwrap();
    for round in 0..2 {
        let log = open(home.path(), settings());
        log.append(vec![record(round)]).await.unwrap();
        log.close().await.unwrap();
        if round == 0 {
            fs::write(home.path().join("audit-0000000005.chain"), []).unwrap();
        }
    }
    assert!(checked(home.path()).is_intact());
    fs::write(home.path().join("audit-0000000004.jsonl"), b"{}\n").unwrap();
    assert_eq!(checked(home.path()).faults, [Fault::Uncovered { segment: 4, lines: 1 }]);
}

#[tokio::test]
async fn an_altered_digest() {
    let (_home, directory, _) = trail().await;
    let faults = tamper(&directory, FIRST_CHAIN, |lines| {
        let text = String::from_utf8(lines[1].clone()).unwrap();
        lines[1] = text.replace("\"records\":10", "\"records\":11").into_bytes();
    });
    let [Fault::DigestInvalid { segment: 1, line: 2, .. }, ref rest @ ..] = faults[..] else {
        panic!("{faults:?}")
    };
    assert_eq!(
        rest,
        [Fault::DigestsMissing { first: 2, last: 2 }, Fault::Uncovered { segment: 1, lines: 10 },]
    );
    // By somebody else's key, too.
    let (_home, directory, _) = trail().await;
    let report = verify(&directory, &[vec![1; 32]], &VerifySettings::default()).unwrap();
    assert!(!report.is_intact());
    assert_eq!((report.records, report.digests), (0, 0));
}

#[tokio::test]
async fn digests_removed_repeated_and_reordered() {
    let (_home, directory, _) = trail().await;
    let faults = tamper(&directory, FIRST_CHAIN, |lines| drop(lines.drain(1..3)));
    assert_eq!(
        faults,
        [Fault::DigestsMissing { first: 2, last: 3 }, Fault::Uncovered { segment: 1, lines: 20 },]
    );

    let (_home, directory, _) = trail().await;
    let faults = tamper(&directory, FIRST_CHAIN, |lines| lines.push(lines[1].clone()));
    assert_eq!(faults, [Fault::DigestMisplaced { segment: 1, sequence: 2 }]);

    let (_home, directory, _) = trail().await;
    let faults = tamper(&directory, SECOND_CHAIN, |lines| lines.push(lines[1].clone()));
    assert_eq!(faults, [Fault::DigestMisplaced { segment: 2, sequence: 7 }]);

    let (_home, directory, _) = trail().await;
    let faults = tamper(&directory, FIRST_CHAIN, |lines| lines.swap(1, 2));
    assert!(faults.contains(&Fault::DigestMisplaced { segment: 1, sequence: 2 }), "{faults:?}");
}

#[tokio::test]
async fn a_segment_of_another_log_of_the_same_key() {
    let home = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| home.path().join(name));
    for (directory, from) in [(&one, 0), (&other, 100)] {
        for segment in [from, from + 10] {
            let log = open(directory, settings());
            log.append((segment..segment + 10).map(record).collect()).await.unwrap();
            log.close().await.unwrap();
        }
        assert!(checked(directory).is_intact());
    }
    for name in [SECOND, SECOND_CHAIN] {
        fs::copy(other.join(name), one.join(name)).unwrap();
    }
    let faults = checked(&one).faults;
    assert_eq!(faults, [Fault::DigestMisplaced { segment: 2, sequence: 2 }]);
}

#[tokio::test]
async fn an_end_taken_away_at_a_digest_is_seen_with_an_anchor_alone() {
    let (_home, directory, head) = trail().await;
    tamper(&directory, SECOND, |lines| lines.truncate(20));
    let faults = tamper(&directory, SECOND_CHAIN, |lines| lines.truncate(2));
    assert_eq!(faults, [], "whoever can write to the directory can go back to a digest");
    assert!(!checked(&directory).closed, "though not to a log that was closed");
    let expect = Some(head);
    let told = VerifySettings { expect, ..VerifySettings::default() };
    let report = verify(&directory, &keys(), &told).unwrap();
    assert_eq!(report.faults, [Fault::AnchorMissing { sequence: head.sequence }]);
}

#[tokio::test]
async fn what_is_not_signed_can_be_changed_and_is_counted() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path(), settings());
    log.append((0..10).map(record).collect()).await.unwrap();
    log.seal().await.unwrap();
    log.append((10..15).map(record).collect()).await.unwrap();
    let report = checked(home.path());
    assert_eq!((report.records, report.unsigned), (10, 5));
    assert_eq!(tamper(home.path(), FIRST, |lines| lines.truncate(12)), []);
    let report = checked(home.path());
    assert_eq!((report.records, report.unsigned), (10, 2));
}

#[tokio::test]
async fn faults_are_all_counted_and_some_are_listed() {
    let (_home, directory, _) = trail().await;
    tamper(&directory, FIRST, |lines| lines.iter_mut().for_each(|line| line[3] ^= 1));
    let told = VerifySettings { most_faults: 7, ..VerifySettings::default() };
    let report = verify(&directory, &keys(), &told).unwrap();
    assert_eq!((report.fault_count, report.faults.len(), report.records), (40, 7, 40));
}

/// Every change of one byte, anywhere, is found.
#[tokio::test]
async fn no_byte_can_be_changed() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path(), settings());
    log.append((0..2).map(record).collect()).await.unwrap();
    log.close().await.unwrap();
    for name in [FIRST, FIRST_CHAIN] {
        let path = home.path().join(name);
        let text = fs::read(&path).unwrap();
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            fs::write(&path, changed).unwrap();
            let report = checked(home.path());
            // The last newline of the chain is the only byte that tells nothing but "torn".
            let torn = name == FIRST_CHAIN && at + 1 == text.len();
            assert!(!report.is_intact() || torn && report.torn, "{name}: byte {at}");
        }
        fs::write(&path, text).unwrap();
    }
    assert!(checked(home.path()).is_intact());
}
