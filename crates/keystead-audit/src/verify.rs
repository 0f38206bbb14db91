//! Reads a log with the public key alone and says what does not fit.
//!
//! Streaming: one digest and, where something does not fit, a window of lines are held, beside a
//! bounded list of faults and of event ids.

mod align;
mod report;
mod seen;

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::path::Path;

use align::Aligner;
pub use report::{Fault, Report};
use seen::Seen;

use crate::chain::{self, Digest, LONGEST_DIGEST, Leaf, Reason, leaf};
use crate::lines::Lines;
use crate::{Anchor, LONGEST_RECORD, names};

/// What a verification is told beside the keys.
#[derive(Clone, Debug)]
pub struct VerifySettings {
    /// The digest before the first one in the directory, if older segments have been moved away.
    pub start: Option<Anchor>,
    /// A digest that was noted earlier (printed by a verification, or taken from a running server)
    /// and must be in the chain. Without one, an end that was taken away at a digest is not seen.
    pub expect: Option<Anchor>,
    /// Faults that are listed [1,000]; all are counted.
    pub most_faults: usize,
    /// Records back to which a repeated event id is found [262,144].
    pub remembered_events: usize,
}

impl Default for VerifySettings {
    fn default() -> Self {
        Self { start: None, expect: None, most_faults: 1000, remembered_events: 1 << 18 }
    }
}

/// Verifies a log that may be in use. `public_keys`: every key that signed any of its digests, 32
/// bytes each.
///
/// # Errors
/// [`VerifyError`] if there is nothing to verify or it cannot be read. What does not fit is no
/// error but in the report.
pub fn verify(
    directory: &Path,
    public_keys: &[Vec<u8>],
    settings: &VerifySettings,
) -> Result<Report, VerifyError> {
    let (data, chains) = names::segments(directory)?;
    if data.is_empty() && chains.is_empty() {
        return Err(VerifyError::Empty);
    }
    let start = settings.start.unwrap_or(Anchor::START);
    let mut verification = Verification {
        directory,
        settings,
        seen: Seen::new(settings),
        head: start,
        anchored: settings.expect.is_none() || settings.expect == settings.start,
        late: 0,
        latest: VecDeque::new(),
        open: None,
        visited: HashSet::new(),
        last_end: None,
    };
    for number in &chains {
        verification.chain(*number, public_keys, chains.last() == Some(number))?;
    }
    verification.finish(&data)
}

/// Nothing could be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The directory holds no segment.
    #[error("there is no audit log in the directory")]
    Empty,
    /// A file could not be read.
    #[error("the audit log cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// A digest that was lately seen, for those that a failing disk made the writer sign again.
struct Known {
    sequence: u64,
    previous: [u8; 32],
    /// The segment whose chain file it is in.
    chain: u64,
    segment: u64,
    first: u64,
    leaves: Leaf,
}

/// The segment whose records are being compared.
struct Open {
    segment: u64,
    /// `None` if its file is missing.
    aligner: Option<Aligner<BufReader<File>>>,
    /// Records that digests have spoken of, or that were passed over.
    records: u64,
    end: Option<Reason>,
}

struct Verification<'v> {
    directory: &'v Path,
    settings: &'v VerifySettings,
    seen: Seen,
    head: Anchor,
    /// Whether the expected digest was seen.
    anchored: bool,
    /// Records signed in the chain of a later segment than their own, since the last end of one.
    late: u64,
    latest: VecDeque<Known>,
    open: Option<Open>,
    visited: HashSet<u64>,
    last_end: Option<(Reason, Option<u64>)>,
}

impl Verification<'_> {
    /// Reads the chain file of a segment.
    fn chain(&mut self, number: u64, keys: &[Vec<u8>], last: bool) -> Result<(), VerifyError> {
        let file = File::open(names::chain(self.directory, number))?;
        let mut lines = Lines::new(BufReader::with_capacity(1 << 18, file), 0, LONGEST_DIGEST);
        let mut count = 0;
        while let Some(line) = lines.next()? {
            count += 1;
            if !line.whole && last {
                self.seen.report.torn = true;
                break;
            }
            let read = match line.text.filter(|_| line.whole) {
                Some(text) => chain::read(text, keys).map_err(|invalid| invalid.to_string()),
                None => Err("not a line of the length of a digest".to_owned()),
            };
            match read {
                Ok(digest) => self.digest(number, digest)?,
                Err(reason) => {
                    let fault = Fault::DigestInvalid { segment: number, line: count, reason };
                    self.seen.fault(fault, None);
                }
            }
        }
        Ok(())
    }

    /// Takes the next genuine digest.
    fn digest(&mut self, chain: u64, digest: Digest) -> Result<(), VerifyError> {
        let sequence = digest.anchor.sequence;
        let continues = digest.previous == self.head.hash && sequence == self.head.sequence + 1;
        let leaves = leaf(&digest.span.leaves);
        // A disk that failed may give back a digest that it refused; the writer has signed anew what
        // it covers, into a later file.
        let again = self.latest.iter_mut().find(|known| {
            known.sequence == sequence
                && known.chain < chain
                && known.segment == digest.span.segment
                && known.first == digest.span.first
                && known.leaves == leaves
                && (continues
                    || sequence <= self.head.sequence && known.previous == digest.previous)
        });
        if let Some(known) = again {
            known.previous = digest.previous;
            self.accept(chain, digest);
            return Ok(());
        }
        if sequence <= self.head.sequence {
            self.seen.fault(Fault::DigestMisplaced { segment: chain, sequence }, None);
            return Ok(());
        }
        if sequence > self.head.sequence + 1 {
            let first = self.head.sequence + 1;
            self.seen.fault(Fault::DigestsMissing { first, last: sequence - 1 }, None);
        } else if !continues {
            self.seen.fault(Fault::DigestMisplaced { segment: chain, sequence }, None);
        }
        self.cover(chain, &digest)?;
        if self.latest.len() >= KNOWN {
            self.latest.pop_front();
        }
        self.latest.push_back(Known {
            sequence,
            previous: digest.previous,
            chain,
            segment: digest.span.segment,
            first: digest.span.first,
            leaves,
        });
        self.accept(chain, digest);
        Ok(())
    }

    fn accept(&mut self, chain: u64, digest: Digest) {
        self.head = digest.anchor;
        self.anchored |= self.settings.expect == Some(digest.anchor);
        let report = &mut self.seen.report;
        report.digests += 1;
        let reason = digest.end.as_ref().map(|end| end.reason);
        if chain != digest.span.segment {
            self.late += digest.span.records();
        }
        if let Some(reason) = reason {
            let late = std::mem::take(&mut self.late);
            report.adopted += if reason == Reason::Recovered { late } else { 0 };
        }
        report.times = match report.times.take() {
            None => Some((digest.time.clone(), digest.time)),
            Some((first, _)) => Some((first, digest.time)),
        };
        self.last_end = digest.end.map(|end| (end.reason, end.next));
        if let Some(open) = &mut self.open
            && open.segment == digest.span.segment
        {
            open.end = reason;
        }
    }

    /// Compares the records that a digest covers.
    fn cover(&mut self, chain: u64, digest: &Digest) -> Result<(), VerifyError> {
        let span = &digest.span;
        if self.open.as_ref().is_none_or(|open| open.segment != span.segment) {
            self.leave(false)?;
            if !self.visited.insert(span.segment) {
                let sequence = digest.anchor.sequence;
                self.seen.fault(Fault::DigestMisplaced { segment: chain, sequence }, None);
                return Ok(());
            }
            self.enter(span.segment)?;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let Some(aligner) = &mut open.aligner else {
            open.records = span.first + span.records();
            return Ok(());
        };
        // Of what digests that are missing covered, only the number is known.
        let mut passed = 0;
        if open.records < span.first {
            aligner.settle(&mut self.seen)?;
        }
        while open.records < span.first {
            let skipped = aligner.skip(span.first - open.records)?.len() as u64;
            if skipped == 0 {
                break;
            }
            open.records += skipped;
            passed += skipped;
        }
        if passed > 0 {
            let fault = Fault::Uncovered { segment: span.segment, lines: passed };
            self.seen.fault(fault, None);
        }
        aligner.expect(span.first, &span.leaves, &mut self.seen)?;
        open.records = span.first + span.records();
        Ok(())
    }

    fn enter(&mut self, segment: u64) -> Result<(), VerifyError> {
        let aligner = match File::open(names::data(self.directory, segment)) {
            Ok(file) => {
                let reader = BufReader::with_capacity(1 << 18, file);
                Some(Aligner::new(segment, Lines::new(reader, 0, LONGEST_RECORD)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.seen.fault(Fault::SegmentMissing { segment }, None);
                None
            }
            Err(error) => return Err(error.into()),
        };
        self.seen.report.segments += 1;
        self.open = Some(Open { segment, aligner, records: 0, end: None });
        Ok(())
    }

    /// Looks at what is left in the present segment. `last`: no digest comes after.
    fn leave(&mut self, last: bool) -> Result<(), VerifyError> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let Some(aligner) = &mut open.aligner else { return Ok(()) };
        let (lines, torn) = {
            aligner.settle(&mut self.seen)?;
            rest(aligner)?
        };
        let segment = open.segment;
        match open.end {
            _ if lines == 0 && !torn => {}
            None if last => {
                self.seen.report.unsigned += lines;
                self.seen.report.torn |= torn;
            }
            // Not acknowledged, and cut off only if the failing disk let it be.
            Some(Reason::Abandoned) => {
                self.seen.report.unacknowledged += lines + u64::from(torn);
            }
            None => {
                let lines = lines + u64::from(torn);
                self.seen.fault(Fault::Uncovered { segment, lines }, None);
            }
            Some(_) => {
                let lines = lines + u64::from(torn);
                self.seen.fault(Fault::AfterEnd { segment, lines }, None);
            }
        }
        Ok(())
    }

    fn finish(mut self, data: &[u64]) -> Result<Report, VerifyError> {
        let last_covered = self.open.as_ref().map_or(0, |open| open.segment);
        self.leave(true)?;
        // Files with records of which no digest speaks: at the end they are yet to be signed.
        for segment in data.iter().filter(|number| !self.visited.contains(number)) {
            let file = File::open(names::data(self.directory, *segment))?;
            let reader = BufReader::with_capacity(1 << 18, file);
            let mut aligner = Aligner::new(*segment, Lines::new(reader, 0, LONGEST_RECORD));
            let (lines, torn) = rest(&mut aligner)?;
            if *segment > last_covered {
                self.seen.report.unsigned += lines;
                self.seen.report.torn |= torn;
            } else if lines > 0 || torn {
                self.seen.fault(Fault::Uncovered { segment: *segment, lines }, None);
            }
        }
        if let Some((_, Some(next))) = self.last_end
            // Asked now, since a running writer may have made it in the meantime.
            && !(names::data(self.directory, next).exists()
                && names::chain(self.directory, next).exists())
        {
            self.seen.fault(Fault::SuccessorMissing { segment: next }, None);
        }
        if let Some(expected) = self.settings.expect.filter(|_| !self.anchored) {
            self.seen.fault(Fault::AnchorMissing { sequence: expected.sequence }, None);
        }
        let mut report = self.seen.report;
        report.head = (report.digests > 0).then_some(self.head);
        report.closed = matches!(self.last_end, Some((Reason::Closed, _))) && report.unsigned == 0;
        Ok(report)
    }
}

/// Counts the lines that are left, and says whether the last one is torn.
fn rest(aligner: &mut Aligner<BufReader<File>>) -> Result<(u64, bool), VerifyError> {
    let (mut lines, mut torn) = (0, false);
    loop {
        let skipped = aligner.skip(u64::MAX)?;
        if skipped.is_empty() {
            return Ok((lines, torn));
        }
        for found in skipped {
            torn |= !found.whole;
            lines += u64::from(found.whole);
        }
    }
}

/// Digests that are remembered to recognize those that were signed again.
const KNOWN: usize = 64;
