//! Telling a damaged log from one that a crash cut off.
//!
//! SQLite takes the log to end at the first frame whose checksum is wrong. After a crash that is
//! right: the last transaction was never acknowledged. But a flipped bit in the middle looks the
//! same, and would silently take all later commits away, which were acknowledged.
//!
//! The two can be told apart, since checksums are cumulative and each frame carries its own: a frame
//! can be checked against the one before it even where the chain from the start is broken. With
//! `synchronous=FULL` the frame after a commit is written only once that commit was flushed. So if
//! there is, behind the place where the log seems to end, a commit and a frame that continues it,
//! then acknowledged commits lie behind damage. The reverse is not certain: damage to the very last
//! commit, or a log cut at a commit, cannot be told from a crash.
//!
//! Format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io::{BufReader, Error, ErrorKind, Read};
use std::path::Path;

use crate::StoreError;

/// Refuses a log in which acknowledged commits lie behind damage. Writes nothing. `page` is the page
/// size of the main file.
pub(super) fn inspect(path: &Path, page: u32) -> Result<(), StoreError> {
    let log = match File::open(path) {
        Ok(log) => log,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("opening the log", &error)),
    };
    match damaged_frame(BufReader::with_capacity(256 * 1024, log), page) {
        Ok(None) => Ok(()),
        Ok(Some(frame)) => Err(StoreError::Corrupt(format!(
            "the log is damaged before frame {frame}, and acknowledged commits follow"
        ))),
        Err(error) => Err(StoreError::io("reading the log", &error)),
    }
}

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The magic number; its lowest bit is set if checksums are of big-endian words.
const MAGIC: u32 = 0x377f_0682;
const BIG: u32 = 1;

/// The number of the first frame behind damage that is a commit with a successor.
fn damaged_frame(mut log: impl Read, page: u32) -> Result<Option<u64>, Error> {
    let mut header = [0; HEADER];
    if !fill(&mut log, &mut header)? {
        return Ok(None);
    }
    let magic = word(&header, 0);
    let known = magic & !BIG == MAGIC;
    let big = if known { magic & BIG == BIG } else { cfg!(target_endian = "big") };
    let start = checksum((0, 0), &header[..24], big);
    let mut whole = known && word(&header, 8) == page && start == pair(&header, 24);
    // The salts of a damaged header may be the damage: the frames are then held against each other.
    let mut salts = whole.then(|| pair(&header, 16));
    let mut before = start;
    let mut commit_behind_damage = None;
    let mut frame = vec![0; FRAME_HEADER + page as usize];
    for number in 1_u64.. {
        if !fill(&mut log, &mut frame)? {
            break;
        }
        let (head, content) = frame.split_at(FRAME_HEADER);
        let sum = checksum(checksum(before, &head[..8], big), content, big);
        let own = pair(head, 16);
        let known_salts = *salts.get_or_insert_with(|| pair(head, 8));
        let ours = pair(head, 8) == known_salts;
        let continues = ours && sum == own;
        if whole {
            whole = continues;
        } else if continues && commit_behind_damage.is_some() {
            return Ok(commit_behind_damage);
        }
        let commit = ours && word(head, 4) != 0;
        commit_behind_damage = (!whole && commit).then_some(number);
        before = own;
    }
    Ok(None)
}

/// Fills `bytes`; `false` if the file ends before.
fn fill(log: &mut impl Read, bytes: &mut [u8]) -> Result<bool, Error> {
    match log.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn checksum((mut s0, mut s1): (u32, u32), bytes: &[u8], big: bool) -> (u32, u32) {
    let read = if big { u32::from_be_bytes } else { u32::from_le_bytes };
    for [a, b, c, d, e, f, g, h] in bytes.as_chunks::<8>().0 {
        s0 = s0.wrapping_add(read([*a, *b, *c, *d])).wrapping_add(s1);
        s1 = s1.wrapping_add(read([*e, *f, *g, *h])).wrapping_add(s0);
    }
    (s0, s1)
}

fn pair(bytes: &[u8], at: usize) -> (u32, u32) {
    (word(bytes, at), word(bytes, at + 4))
}

/// A big-endian word. Only called with places inside the headers.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::{FRAME_HEADER, HEADER, damaged_frame};

    const PAGE: usize = 4096;
    const FRAME: usize = FRAME_HEADER + PAGE;

    /// A log that SQLite wrote: of `commits` commits after the first, which makes the table.
    fn log(commits: u32) -> Vec<u8> {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("db");
        let sqlite = rusqlite::Connection::open(&path).unwrap();
        sqlite
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t(a)",
            )
            .unwrap();
        for _ in 0..commits {
            sqlite.execute_batch("INSERT INTO t VALUES (randomblob(9000))").unwrap();
        }
        std::fs::read(home.path().join("db-wal")).unwrap()
    }

    fn damaged(log: &[u8]) -> bool {
        damaged_frame(log, 4096).unwrap().is_some()
    }

    /// The offsets of the frames that are commits.
    fn commits(log: &[u8]) -> Vec<usize> {
        (HEADER..log.len()).step_by(FRAME).filter(|at| log[at + 4..at + 8] != [0; 4]).collect()
    }

    #[test]
    fn a_flip_before_an_acknowledged_commit_is_found() {
        let log = log(5);
        assert!(!damaged(&log));
        let commits = commits(&log);
        // Damage in the last commit but one may be in what vouches for the last.
        let end = commits[commits.len() - 3];
        for at in (0..end).step_by(61).chain(0..HEADER + FRAME_HEADER) {
            // The header's count of checkpoints and its own checksum decide nothing else.
            let mut flipped = log.clone();
            flipped[at] ^= 0x10;
            assert!(damaged(&flipped), "at {at}");
        }
    }

    #[test]
    fn what_a_crash_leaves_is_not_damage() {
        let log = log(4);
        let commits = commits(&log);
        for end in (0..log.len()).step_by(97).chain(commits.iter().copied()) {
            assert!(!damaged(&log[..end]), "cut at {end}");
        }
        // The last transaction may be there in any part.
        let last = commits[commits.len() - 2] + FRAME;
        for at in (last..log.len()).step_by(37) {
            let mut torn = log.clone();
            torn[at] ^= 1;
            assert!(!damaged(&torn), "torn at {at}");
            torn[last..at].fill(0);
            assert!(!damaged(&torn), "zeros up to {at}");
        }
    }

    #[test]
    fn what_an_earlier_round_left_is_not_damage() {
        // The log began anew, over a longer one with other salts.
        let (old, new) = (log(5), log(1));
        let mut begun = old.clone();
        begun[..new.len()].copy_from_slice(&new);
        assert!(!damaged(&begun));
        // The header alone was written, or the file was made longer and nothing was written.
        begun = old;
        begun[..HEADER].copy_from_slice(&new[..HEADER]);
        assert!(!damaged(&begun));
        assert!(!damaged(&vec![0; HEADER + 9 * FRAME]));
    }

    #[test]
    fn a_failed_transaction_under_the_next_ones_is_not_damage() {
        let log = log(3);
        let commits = commits(&log);
        // The flush of the third failed. The fourth, shorter, was written over its beginning, and
        // torn: behind it lies the rest of the third, whose checksums do not continue it.
        let third = commits[1] + FRAME;
        let mut other = log;
        other[third + 4..third + 8].copy_from_slice(&[0, 0, 0, 9]);
        other[third + 16..third + FRAME_HEADER].copy_from_slice(&[7; 8]);
        other[third + FRAME_HEADER] ^= 1;
        assert!(!damaged(&other[..commits[2] + FRAME]));
    }
}
