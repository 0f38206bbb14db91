//! A process that is killed while it writes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use keystead_store::embedded::backup;
use keystead_store::{Store, StoreError};

use super::{assert_private, create, put, reopen};

/// The directory that a child process writes into; set only for children.
const CHILD: &str = "KEYSTEAD_STORE_TEST_CHILD";

/// Not a test but the body of the child process: writes until it is killed, and says on its
/// standard output what was acknowledged.
#[test]
fn child_that_writes() {
    let Some(directory) = std::env::var_os(CHILD) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(create(Path::new(&directory)));
        let base = store.revision().0;
        let writers: Vec<_> = (0..8_u64)
            .map(|writer| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for at in 0.. {
                        let key = format!("{base}/{writer}/{at}");
                        let write = vec![put(&key, key.as_bytes()), put("latest", key.as_bytes())];
                        let revision = store.commit(vec![], write).await.unwrap();
                        // One write call per line: it is whole or not there.
                        let line = format!("\nack {key} {revision}\n");
                        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                        if at % 50 == 49 {
                            store.erase(vec![key.into_bytes()]).await.unwrap();
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

/// Under a umask that takes nothing away, so that the modes are the store's own doing.
fn spawn_child(directory: &Path) -> Child {
    Command::new("sh")
        .args(["-c", "umask 0; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
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
    let data = home.path().join("data");
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    let mut newest = 0;
    for round in 0..6 {
        let mut child = spawn_child(&data);
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut lines = Vec::new();
        let mut line = String::new();
        let mut acks = 0;
        while acks < 100 + round * 40 && output.read_line(&mut line).unwrap() > 0 {
            acks += u32::from(line.starts_with("ack "));
            lines.push(std::mem::take(&mut line));
        }
        assert_eq!(reopen(&data).err(), Some(StoreError::Locked), "another process has it open");
        assert_private(&data);
        if round % 2 == 1 {
            backup(&data, &home.path().join(format!("{round}"))).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        lines.extend(rest.split_inclusive('\n').map(str::to_owned));
        for line in lines.iter().filter(|line| line.ends_with('\n')) {
            let Some((key, revision)) =
                line.trim_end().strip_prefix("ack ").and_then(|ack| ack.split_once(' '))
            else {
                continue;
            };
            let revision: u64 = revision.parse().unwrap();
            newest = newest.max(revision);
            acknowledged.insert(key.to_owned(), revision);
        }
        assert!(acknowledged.len() > 50, "the child did not write");

        let store = reopen(&data).unwrap();
        assert!(store.revision().0 >= newest);
        for (key, revision) in &acknowledged {
            let found = store.read(key.as_bytes()).await.unwrap();
            let at: u64 = key.rsplit('/').next().unwrap().parse().unwrap();
            match found {
                Some(found) => {
                    assert_eq!(found.value, key.as_bytes());
                    assert_eq!(found.revision.0, *revision);
                }
                // These are erased after they were acknowledged.
                None => assert_eq!(at % 50, 49, "{key} at {revision} was acknowledged and is lost"),
            }
        }
        let latest = store.read(b"latest").await.unwrap().unwrap();
        let twin = store.read(&latest.value).await.unwrap();
        // Both halves of the latest commit are there, or its record was erased since.
        assert!(twin.is_none_or(|twin| twin.revision == latest.revision));
        store.close().await.unwrap();
    }
}
