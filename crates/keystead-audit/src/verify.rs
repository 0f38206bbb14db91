//! Reads a log with the public key alone and says what does not fit.
//!
//! Streaming: one digest and, where something does not fit, a window of lines are held, beside a
//! bounded list of faults and of event ids.

mod align;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::path::Path;

use align::Aligner;

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

/// What a verification found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Records that are as they were signed.
    pub records: u64,
    /// Digests that are genuine and in their place.
    pub digests: u64,
    /// Segments with digests.
    pub segments: u64,
    /// Dates of the first and the last digest.
    pub times: Option<(String, String)>,
    /// The last digest, to be noted and given to the next verification.
    pub head: Option<Anchor>,
    /// What does not fit, in the order of the log, up to the limit.
    pub faults: Vec<Fault>,
    /// How many faults there are, records that are missing together counted one by one.
    pub fault_count: u64,
    /// Records after the last digest: written, not yet signed. Whoever can write to the directory
    /// can change them.
    pub unsigned: u64,
    /// Bytes of a torn line at the end, which a running writer or a crash leaves.
    pub torn: bool,
    /// Records that were signed only when the log was opened again after a crash.
    pub adopted: u64,
    /// Lines after the acknowledged end of segments that were given up after a failure of the disk.
    pub unacknowledged: u64,
    /// Records whose event id was there before, as an outbox leaves that is drained again.
    pub repeats: u64,
    /// The first of their event ids.
    pub repeated_events: Vec<String>,
    /// Whether the last thing in the log is that it was closed.
    pub closed: bool,
}

impl Report {
    /// Whether nothing was removed, altered, inserted or reordered among what is signed.
    pub fn is_intact(&self) -> bool {
        self.fault_count == 0
    }
}

/// Something that does not fit. Records and lines of a segment are counted from 1.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// Another line stands where this record was signed.
    Altered {
        /// The segment.
        segment: u64,
        /// The record that was signed.
        record: u64,
        /// The line that stands there.
        line: u64,
        /// The event id of that line.
        event: Option<String>,
    },
    /// Records that were signed are not there.
    Removed {
        /// The segment.
        segment: u64,
        /// The first of them.
        first: u64,
        /// How many.
        count: u64,
    },
    /// A line that was not signed stands among those that were.
    Inserted {
        /// The segment.
        segment: u64,
        /// The line.
        line: u64,
        /// Its event id.
        event: Option<String>,
    },
    /// A record stands at another place than where it was signed.
    Reordered {
        /// The segment.
        segment: u64,
        /// The record that was signed.
        record: u64,
        /// The line where it stands.
        line: u64,
        /// Its event id.
        event: Option<String>,
    },
    /// The file with the records of a segment is missing.
    SegmentMissing {
        /// The segment.
        segment: u64,
    },
    /// A segment that the chain says was begun is missing.
    SuccessorMissing {
        /// The segment that should be there.
        segment: u64,
    },
    /// Lines after the signed end of a segment.
    AfterEnd {
        /// The segment.
        segment: u64,
        /// How many.
        lines: u64,
    },
    /// Records between digests, or a whole file of them, of which no digest speaks.
    Uncovered {
        /// The segment.
        segment: u64,
        /// How many.
        lines: u64,
    },
    /// A line of a chain file is no genuine digest.
    DigestInvalid {
        /// The segment whose chain file it is in.
        segment: u64,
        /// The line.
        line: u64,
        /// Why.
        reason: String,
    },
    /// Digests are missing from the chain.
    DigestsMissing {
        /// Number of the first.
        first: u64,
        /// Number of the last.
        last: u64,
    },
    /// A digest does not continue the one before, or stands at the wrong place.
    DigestMisplaced {
        /// The segment whose chain file it is in.
        segment: u64,
        /// Number of the digest.
        sequence: u64,
    },
    /// The digest that was expected is not in the chain: its end was taken away, or it is another
    /// chain.
    AnchorMissing {
        /// Number of that digest.
        sequence: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = |event: &Option<String>| {
            event.as_ref().map(|event| format!(", eventID {event}")).unwrap_or_default()
        };
        match self {
            Self::Altered { segment, record, line, event } => write!(
                f,
                "segment {segment}: record {record} was altered or replaced (line {line}{})",
                id(event)
            ),
            Self::Removed { segment, first, count: 1 } => {
                write!(f, "segment {segment}: record {first} was removed")
            }
            Self::Removed { segment, first, count } => {
                let last = first + count - 1;
                write!(f, "segment {segment}: records {first} to {last} were removed")
            }
            Self::Inserted { segment, line, event } => {
                write!(f, "segment {segment}: line {line} was inserted{}", id(event))
            }
            Self::Reordered { segment, record, line, event } => write!(
                f,
                "segment {segment}: record {record} was moved to line {line}{}",
                id(event)
            ),
            Self::SegmentMissing { segment } => {
                write!(f, "segment {segment}: the file with its records is missing")
            }
            Self::SuccessorMissing { segment } => {
                write!(f, "segment {segment}: was begun, and is missing")
            }
            Self::AfterEnd { segment, lines } => {
                write!(f, "segment {segment}: {lines} lines after its signed end")
            }
            Self::Uncovered { segment, lines } => {
                write!(f, "segment {segment}: {lines} lines of which no digest speaks")
            }
            Self::DigestInvalid { segment, line, reason } => {
                write!(f, "chain of segment {segment}: line {line}: {reason}")
            }
            Self::DigestsMissing { first, last } if first == last => {
                write!(f, "digest {first} is missing")
            }
            Self::DigestsMissing { first, last } => {
                write!(f, "digests {first} to {last} are missing")
            }
            Self::DigestMisplaced { segment, sequence } => write!(
                f,
                "chain of segment {segment}: digest {sequence} does not continue the one before"
            ),
            Self::AnchorMissing { sequence } => {
                write!(
                    f,
                    "the expected digest {sequence} is not in the chain: its end was taken away"
                )
            }
        }
    }
}

/// What has been found so far.
struct Seen {
    report: Report,
    most_faults: usize,
    /// Hashes of records that are missing, or of lines too many, with the index of their fault.
    removed: HashMap<Leaf, usize>,
    inserted: HashMap<Leaf, usize>,
    most_events: usize,
    events: HashSet<[u8; 36]>,
    order: VecDeque<[u8; 36]>,
}

impl Seen {
    fn new(settings: &VerifySettings) -> Self {
        Self {
            report: Report::default(),
            most_faults: settings.most_faults,
            removed: HashMap::new(),
            inserted: HashMap::new(),
            most_events: settings.remembered_events,
            events: HashSet::new(),
            order: VecDeque::new(),
        }
    }

    /// Counts a record that is as it was signed.
    fn record(&mut self, event: Option<String>) {
        self.report.records += 1;
        let id = event.as_deref().and_then(|event| <[u8; 36]>::try_from(event.as_bytes()).ok());
        let Some(id) = id.filter(|_| self.most_events > 0) else { return };
        if !self.events.insert(id) {
            self.report.repeats += 1;
            if self.report.repeated_events.len() < LISTED_REPEATS {
                self.report.repeated_events.extend(event);
            }
            return;
        }
        if self.order.len() >= self.most_events
            && let Some(oldest) = self.order.pop_front()
        {
            self.events.remove(&oldest);
        }
        self.order.push_back(id);
    }

    /// Notes a fault. `leaf`: the hash of the record or line that it is about, by which a record
    /// that is missing here and too many there is known to have been moved.
    fn fault(&mut self, fault: Fault, leaf: Option<Leaf>) {
        self.report.fault_count += 1;
        if let Some(leaf) = leaf
            && self.moved(&fault, leaf)
        {
            return;
        }
        if let Fault::Removed { segment, first, .. } = fault
            && let Some(Fault::Removed { segment: same, first: from, count }) =
                self.report.faults.last_mut()
            && *same == segment
            && *from + *count == first
        {
            *count += 1;
            return;
        }
        if self.report.faults.len() < self.most_faults {
            self.report.faults.push(fault);
        }
    }

    /// Turns a removal and an insertion of the same record into one move.
    fn moved(&mut self, fault: &Fault, leaf: Leaf) -> bool {
        let listed = self.report.faults.len();
        match fault {
            Fault::Removed { segment, first, .. } => {
                if let Some(index) = self.inserted.remove(&leaf)
                    && let Some(slot) = self.report.faults.get_mut(index)
                    && let Fault::Inserted { segment: there, line, event } = slot
                    && there == segment
                {
                    *slot = Fault::Reordered {
                        segment: *segment,
                        record: *first,
                        line: *line,
                        event: event.take(),
                    };
                    self.report.fault_count -= 1;
                    return true;
                }
                let joins = matches!(self.report.faults.last(),
                    Some(Fault::Removed { segment: same, first: from, count })
                        if same == segment && from + count == *first);
                if listed < self.most_faults && !joins {
                    self.removed.insert(leaf, listed);
                }
            }
            Fault::Inserted { segment, line, event } => {
                if let Some(index) = self.removed.remove(&leaf)
                    && let Some(slot) = self.report.faults.get_mut(index)
                    && let Fault::Removed { segment: there, first, count: 1 } = slot
                    && there == segment
                {
                    *slot = Fault::Reordered {
                        segment: *segment,
                        record: *first,
                        line: *line,
                        event: event.clone(),
                    };
                    self.report.fault_count -= 1;
                    return true;
                }
                if listed < self.most_faults {
                    self.inserted.insert(leaf, listed);
                }
            }
            _ => {}
        }
        false
    }
}

const LISTED_REPEATS: usize = 100;

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
