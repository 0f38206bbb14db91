//! What is in a file beside what should be in it.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use super::{Fault, Seen};
use crate::chain::Leaf;
use crate::lines::Lines;
use crate::record::event_id_of;

/// Compares the lines of one segment with the leaves that its digests name, line by line while they
/// agree, and within a window of [`WINDOW`] lines where they do not.
pub(super) struct Aligner<R> {
    segment: u64,
    lines: Lines<R>,
    /// Number of the line that was read last.
    line: u64,
    /// Lines that were read ahead.
    ahead: VecDeque<Found>,
    ended: bool,
    /// Records that lines are yet to be found for. The latest wait for those after them, so that what
    /// happened over the edge of two digests is seen as one.
    expected: VecDeque<Expected>,
}

/// A line that was found.
pub(super) struct Found {
    leaf: Leaf,
    /// Number of the line in its file; the first is 1.
    line: u64,
    event: Option<String>,
    pub(super) whole: bool,
    /// Whether it was recognized as a record that belongs elsewhere.
    taken: bool,
}

/// A record that was signed.
struct Expected {
    leaf: Leaf,
    /// Number of the record in its segment; the first is 1.
    record: u64,
    /// Whether it was found further on, ahead of its turn.
    early: bool,
}

impl<R: BufRead> Aligner<R> {
    pub(super) fn new(segment: u64, lines: Lines<R>) -> Self {
        let (ahead, expected) = (VecDeque::new(), VecDeque::new());
        Self { segment, lines, line: 0, ahead, ended: false, expected }
    }

    /// Takes the leaves of a digest. `first`: the records before them.
    pub(super) fn expect(&mut self, first: u64, leaves: &[u8], seen: &mut Seen) -> io::Result<()> {
        let (leaves, _) = leaves.as_chunks::<32>();
        let numbered = leaves.iter().zip(first + 1..);
        self.expected.extend(numbered.map(|(leaf, record)| Expected {
            leaf: *leaf,
            record,
            early: false,
        }));
        self.compare(WINDOW, seen)
    }

    /// Finds lines for all that is expected.
    pub(super) fn settle(&mut self, seen: &mut Seen) -> io::Result<()> {
        self.compare(0, seen)
    }

    /// Finds lines for all that is expected but the last `keep` records.
    fn compare(&mut self, keep: usize, seen: &mut Seen) -> io::Result<()> {
        while self.expected.len() > keep {
            let Some(next) = self.expected.front() else { break };
            if next.early {
                self.expected.pop_front();
                continue;
            }
            let leaf = next.leaf;
            if self.ahead.is_empty() {
                match self.read()? {
                    Some(found) if found.leaf == leaf => {
                        seen.record(found.event);
                        self.expected.pop_front();
                        continue;
                    }
                    Some(found) => self.ahead.push_back(found),
                    None => {}
                }
            }
            while self.ahead.len() < WINDOW {
                match self.read()? {
                    Some(found) => self.ahead.push_back(found),
                    None => break,
                }
            }
            self.resolve(seen);
        }
        Ok(())
    }

    /// One step where a line may not be the expected one.
    fn resolve(&mut self, seen: &mut Seen) {
        let segment = self.segment;
        while self.ahead.front().is_some_and(|found| found.taken) {
            self.ahead.pop_front();
        }
        let Some(&Expected { leaf, record, .. }) = self.expected.front() else { return };
        let removed = Fault::Removed { segment, first: record, count: 1 };
        let Some(front) = self.ahead.front() else {
            // There may be more lines than were read ahead.
            if self.ended {
                seen.fault(removed, Some(leaf));
                self.expected.pop_front();
            }
            return;
        };
        if front.leaf == leaf {
            seen.record(self.ahead.pop_front().and_then(|found| found.event));
            self.expected.pop_front();
            return;
        }
        // How far on the expected record is among the lines, and this line among the records.
        let line_of_record = self.ahead.iter().position(|found| !found.taken && found.leaf == leaf);
        let record_of_line =
            self.expected.iter().position(|next| !next.early && next.leaf == front.leaf);
        let (line, event) = (front.line, front.event.clone());
        match (line_of_record, record_of_line) {
            (None, None) => {
                seen.fault(Fault::Altered { segment, record, line, event }, None);
                self.ahead.pop_front();
                self.expected.pop_front();
            }
            (Some(_), None) => {
                let leaf = front.leaf;
                seen.fault(Fault::Inserted { segment, line, event }, Some(leaf));
                self.ahead.pop_front();
            }
            (None, Some(_)) => {
                seen.fault(removed, Some(leaf));
                self.expected.pop_front();
            }
            // Both are there: the one that is further from its place is the one that was moved.
            (Some(on), Some(back)) if on >= back => {
                if let Some(moved) = self.ahead.get_mut(on) {
                    moved.taken = true;
                    let (line, event) = (moved.line, moved.event.clone());
                    seen.record(event.clone());
                    seen.fault(Fault::Reordered { segment, record, line, event }, None);
                }
                self.expected.pop_front();
            }
            (Some(_), Some(back)) => {
                if let Some(moved) = self.expected.get_mut(back) {
                    moved.early = true;
                    let record = moved.record;
                    seen.record(event.clone());
                    seen.fault(Fault::Reordered { segment, record, line, event }, None);
                }
                self.ahead.pop_front();
            }
        }
    }

    /// Takes lines that no digest speaks of, at most `most`; answers how many there were.
    pub(super) fn skip(&mut self, most: u64) -> io::Result<Vec<Found>> {
        let mut skipped = Vec::new();
        while (skipped.len() as u64) < most.min(WINDOW as u64) {
            let found = match self.ahead.pop_front() {
                Some(found) if found.taken => continue,
                Some(found) => Some(found),
                None => self.read()?,
            };
            match found {
                Some(found) => skipped.push(found),
                None => break,
            }
        }
        Ok(skipped)
    }

    fn read(&mut self) -> io::Result<Option<Found>> {
        if self.ended {
            return Ok(None);
        }
        let Some(line) = self.lines.next()? else {
            self.ended = true;
            return Ok(None);
        };
        self.line += 1;
        let event = line.text.and_then(event_id_of);
        let event = event.map(|id| String::from_utf8_lossy(id).into_owned());
        // A record without its newline is not the record that was signed.
        let leaf = if line.whole { line.leaf } else { [0; 32] };
        Ok(Some(Found { leaf, line: self.line, event, whole: line.whole, taken: false }))
    }
}

/// Lines, and records, that are held to find out what happened.
const WINDOW: usize = 4096;
