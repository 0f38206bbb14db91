//! A process that is killed while it writes.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::process::{Child, Command, Stdio};

use super::*;

/// The directory that a child process writes into; set only for children.
const CHILD: &str = "KEYSTEAD_AUDIT_TEST_CHILD";

/// Not a test but the body of the child process: writes until it is killed, and says on its standard
/// output what was acknowledged.
#[test]
fn child_that_writes() {
    let Some(directory) = std::env::var_os(CHILD) else { return };
    let base: u64 = std::process::id().into();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let settings = LogSettings {
            rotate_bytes: 60_000,
            digest_interval: Duration::from_millis(1),
            ..settings()
        };
        let log = Arc::new(open(Path::new(&directory), settings));
        let writers: Vec<_> = (0..8_u64)
            .map(|writer| {
                let log = Arc::clone(&log);
                tokio::spawn(async move {
                    for at in 0.. {
                        let number = (base << 32) + (writer << 24) + at;
                        log.append(vec![record(number)]).await.unwrap();
                        // One write call per line: it is whole or not there.
                        let line = format!("\nack {number}\n");
                        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

fn spawn_child(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_that_writes", "--nocapture", "--test-threads=1"])
        .env(CHILD, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_kill() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("audit");
    let mut acknowledged = BTreeSet::new();
    for round in 0..6 {
        let mut child = spawn_child(&directory);
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        let wanted = 200 + round * 90;
        let mut acks = 0;
        let mut line = String::new();
        while acks < wanted && output.read_line(&mut line).unwrap() > 0 {
            acks += usize::from(line.starts_with("ack "));
            text.push_str(&line);
            line.clear();
        }
        // While it is being written.
        let report = checked(&directory);
        assert!(report.is_intact(), "{:?}", report.faults);
        child.kill().unwrap();
        child.wait().unwrap();
        output.read_to_string(&mut text).unwrap();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            if let Some(number) = line.trim_end().strip_prefix("ack ") {
                acknowledged.insert(number.parse::<u64>().unwrap());
            }
        }
        // Before and after the end is mended.
        let report = checked(&directory);
        assert!(report.is_intact(), "{:?}", report.faults);
        if round % 2 == 0 {
            let log = open(&directory, settings());
            assert!(log.recovery().damage.is_empty());
            log.close().await.unwrap();
            let report = checked(&directory);
            assert!(report.is_intact() && !report.torn, "{:?}", report.faults);
            assert_eq!(report.unsigned, 0);
        }
    }
    open(&directory, settings()).close().await.unwrap();
    assert!(acknowledged.len() > 1000, "the children did not write");
    let found: BTreeSet<Vec<u8>> = lines(&directory).into_iter().collect();
    for number in &acknowledged {
        assert!(found.contains(&record(*number)), "{number} was acknowledged and is lost");
    }
    let report = checked(&directory);
    assert!(report.is_intact(), "{:?}", report.faults);
    assert_eq!(report.records, lines(&directory).len() as u64);
    assert_eq!(report.repeats, 0);
}
