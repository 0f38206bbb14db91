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
    /// Lines that were read ahead.
    ahead: VecDeque<Found>,
    ended: bool,
}

/// A line that was found.
pub(super) struct Found {
    leaf: Leaf,
    /// Number of the line in its file; the first is 1.
    line: u64,
    pub(super) event: Option<String>,
    pub(super) whole: bool,
    /// Whether it was recognized as a record that belongs elsewhere.
    taken: bool,
}

impl<R: BufRead> Aligner<R> {
    pub(super) fn new(segment: u64, lines: Lines<R>) -> Self {
        Self { segment, lines, ahead: VecDeque::new(), ended: false }
    }

    /// Takes the lines that the leaves of a digest stand for. `first`: the records before them.
    pub(super) fn expect(
        &mut self,
        first: u64,
        leaves: &[u8],
        seen: &mut Seen,
        line: &mut u64,
    ) -> io::Result<()> {
        let (leaves, _) = leaves.as_chunks::<32>();
        let mut at = 0;
        // Those that were found further on, ahead of their turn.
        let mut early = vec![false; leaves.len()];
        while let Some(leaf) = leaves.get(at) {
            if early.get(at) == Some(&true) {
                at += 1;
                continue;
            }
            if self.ahead.is_empty() {
                match self.read(line)? {
                    Some(found) if found.leaf == *leaf => {
                        seen.record(found.event);
                        at += 1;
                        continue;
                    }
                    Some(found) => self.ahead.push_back(found),
                    None => {}
                }
            }
            self.fill(line)?;
            self.resolve(first, leaves, &mut at, &mut early, seen);
        }
        Ok(())
    }

    /// One step where a line may not be the expected one.
    fn resolve(
        &mut self,
        first: u64,
        leaves: &[Leaf],
        at: &mut usize,
        early: &mut [bool],
        seen: &mut Seen,
    ) {
        let segment = self.segment;
        let Some(leaf) = leaves.get(*at) else { return };
        let record = |at: usize| first + at as u64 + 1;
        while self.ahead.front().is_some_and(|found| found.taken) {
            self.ahead.pop_front();
        }
        let Some(front) = self.ahead.front() else {
            if !self.ended {
                return;
            }
            seen.fault(Fault::Removed { segment, first: record(*at), count: 1 }, Some(*leaf));
            *at += 1;
            return;
        };
        if front.leaf == *leaf {
            seen.record(self.ahead.pop_front().and_then(|found| found.event));
            *at += 1;
            return;
        }
        // How far on the expected record is among the lines, and this line among the records.
        let record_at = self.ahead.iter().position(|found| !found.taken && found.leaf == *leaf);
        let line_at = leaves
            .iter()
            .zip(early.iter())
            .skip(*at)
            .position(|(leaf, early)| !early && *leaf == front.leaf);
        let (line, event) = (front.line, front.event.clone());
        match (record_at, line_at) {
            (None, None) => {
                seen.fault(Fault::Altered { segment, record: record(*at), line, event }, None);
                self.ahead.pop_front();
                *at += 1;
            }
            (Some(_), None) => {
                let leaf = front.leaf;
                seen.fault(Fault::Inserted { segment, line, event }, Some(leaf));
                self.ahead.pop_front();
            }
            (None, Some(_)) => {
                let fault = Fault::Removed { segment, first: record(*at), count: 1 };
                seen.fault(fault, Some(*leaf));
                *at += 1;
            }
            // Both are there: the one that is further from its place is the one that was moved.
            (Some(on), Some(back)) if on >= back => {
                if let Some(moved) = self.ahead.get_mut(on) {
                    moved.taken = true;
                    let (line, event) = (moved.line, moved.event.clone());
                    seen.record(event.clone());
                    let record = record(*at);
                    seen.fault(Fault::Reordered { segment, record, line, event }, None);
                }
                *at += 1;
            }
            (Some(_), Some(back)) => {
                let place = *at + back;
                if let Some(early) = early.get_mut(place) {
                    *early = true;
                }
                seen.record(event.clone());
                let record = record(place);
                seen.fault(Fault::Reordered { segment, record, line, event }, None);
                self.ahead.pop_front();
            }
        }
    }

    /// Takes lines that no digest speaks of, at most `most`; answers how many there were.
    pub(super) fn skip(&mut self, most: u64, line: &mut u64) -> io::Result<Vec<Found>> {
        let mut skipped = Vec::new();
        while (skipped.len() as u64) < most.min(WINDOW as u64) {
            let found = match self.ahead.pop_front() {
                Some(found) if found.taken => continue,
                Some(found) => Some(found),
                None => self.read(line)?,
            };
            match found {
                Some(found) => skipped.push(found),
                None => break,
            }
        }
        Ok(skipped)
    }

    fn fill(&mut self, line: &mut u64) -> io::Result<()> {
        while self.ahead.len() < WINDOW {
            match self.read(line)? {
                Some(found) => self.ahead.push_back(found),
                None => break,
            }
        }
        Ok(())
    }

    fn read(&mut self, number: &mut u64) -> io::Result<Option<Found>> {
        if self.ended {
            return Ok(None);
        }
        let Some(line) = self.lines.next()? else {
            self.ended = true;
            return Ok(None);
        };
        *number += 1;
        let event = line.text.and_then(event_id_of);
        let event = event.map(|id| String::from_utf8_lossy(id).into_owned());
        // A record without its newline is not the record that was signed.
        let leaf = if line.whole { line.leaf } else { [0; 32] };
        Ok(Some(Found { leaf, line: *number, event, whole: line.whole, taken: false }))
    }
}

/// Lines that are held to find out what happened.
const WINDOW: usize = 4096;
