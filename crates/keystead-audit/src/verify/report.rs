//! What a verification answers.

use std::fmt;

use crate::Anchor;

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
