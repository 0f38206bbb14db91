//! What an earlier writer has left: where its chain ends, and what no digest covers.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Seek, SeekFrom};
use std::path::Path;

use super::{LogError, Recovery};
use crate::chain::{self, Digest, End, Invalid, LONGEST_DIGEST, Reason, Span};
use crate::disk::Disk;
use crate::lines::Lines;
use crate::record::event_id_of;
use crate::{Anchor, LONGEST_RECORD, names};

/// Where the next writer goes on.
pub(super) struct Found {
    pub(super) head: Anchor,
    /// The number of the next segment.
    pub(super) next: u64,
    /// What has to be signed before anything else, with the ends of segments.
    pub(super) due: VecDeque<(Span, Option<End>)>,
    /// Event ids at the end of the log, oldest first.
    pub(super) events: Vec<String>,
    pub(super) recovery: Recovery,
}

/// Looks through a directory whose lock is held, and cuts off torn lines.
pub(super) fn look(
    disk: &dyn Disk,
    directory: &Path,
    keys: &[Vec<u8>],
    most_leaves: usize,
    most_events: usize,
) -> Result<Found, LogError> {
    let failed = |error| LogError::io("reading the log", &error);
    let (data, chains) = names::segments(directory).map_err(failed)?;
    let last = data.iter().chain(&chains).max().copied().unwrap_or(0);
    let mut found = Found {
        head: Anchor::START,
        next: last + 1,
        due: VecDeque::new(),
        events: Vec::new(),
        recovery: Recovery::default(),
    };
    let latest = found.latest_digest(disk, directory, &chains, keys)?;
    let mut open = Vec::new();
    if let Some(digest) = &latest {
        found.head = digest.anchor;
        if digest.end.is_none() {
            let span = &digest.span;
            open.push(Span::after(span.segment, span.to, span.first + span.records()));
        }
    }
    let covered = latest.map_or(0, |digest| digest.span.segment);
    open.extend(data.iter().filter(|number| **number > covered).map(|n| Span::after(*n, 0, 0)));
    for start in open {
        found.adopt(disk, directory, start, most_leaves)?;
    }
    found.events = latest_events(directory, &data, most_events).map_err(failed)?;
    Ok(found)
}

impl Found {
    /// The last genuine digest of the chain, and the end of its file without a torn line.
    fn latest_digest(
        &mut self,
        disk: &dyn Disk,
        directory: &Path,
        chains: &[u64],
        keys: &[Vec<u8>],
    ) -> Result<Option<Digest>, LogError> {
        let failed = |error| LogError::io("reading digests", &error);
        let mut unknown = false;
        for number in chains.iter().rev() {
            let path = names::chain(directory, *number);
            let file = File::open(&path).map_err(failed)?;
            let mut lines = Lines::new(BufReader::with_capacity(1 << 17, file), 0, LONGEST_DIGEST);
            let mut latest = None;
            let mut bad = 0;
            while let Some(line) = lines.next().map_err(failed)? {
                if !line.whole {
                    self.recovery.cut += line.length;
                    cut(disk, &path, line.offset)?;
                    break;
                }
                match chain::read(line.text.unwrap_or_default(), keys) {
                    Ok(digest) => latest = Some(digest),
                    Err(invalid) => {
                        bad += 1;
                        unknown |= invalid == Invalid::UnknownKey;
                    }
                }
            }
            if bad > 0 {
                self.damage(format!("{bad} lines of segment {number}'s chain are not genuine"));
            }
            if latest.is_some() {
                return Ok(latest);
            }
        }
        // Beginning a second chain over the same records would take the value from the first.
        if unknown { Err(LogError::UnknownKey) } else { Ok(None) }
    }

    /// Takes over the records of a segment that no digest covers, and ends it.
    fn adopt(
        &mut self,
        disk: &dyn Disk,
        directory: &Path,
        start: Span,
        most_leaves: usize,
    ) -> Result<(), LogError> {
        let failed = |error| LogError::io("reading records", &error);
        let path = names::data(directory, start.segment);
        let number = start.segment;
        let covered = start.from > 0;
        let mut end = End { reason: Reason::Recovered, next: None, cut: None };
        let mut span = start;
        match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.damage(format!("the records of segment {number} are gone"));
            }
            Err(error) => return Err(failed(error)),
            Ok(mut file) => {
                let length = file.metadata().map_err(failed)?.len();
                if length < span.from {
                    self.damage(format!("signed records of segment {number} are gone"));
                }
                let from = span.from.min(length);
                file.seek(SeekFrom::Start(from)).map_err(failed)?;
                let reader = BufReader::with_capacity(1 << 17, file);
                let mut lines = Lines::new(reader, from, LONGEST_RECORD);
                while let Some(line) = lines.next().map_err(failed)? {
                    if !line.whole {
                        end.cut = Some(line.length);
                        self.recovery.cut += line.length;
                        cut(disk, &path, line.offset)?;
                        break;
                    }
                    self.recovery.adopted += 1;
                    span.push_line(&line);
                    if span.records() >= most_leaves as u64 {
                        let next = Span::after(number, span.to, span.first + span.records());
                        self.due.push_back((std::mem::replace(&mut span, next), None));
                    }
                }
            }
        }
        if covered || span.first + span.records() > 0 || end.cut.is_some() {
            self.due.push_back((span, Some(end)));
        }
        Ok(())
    }

    fn damage(&mut self, what: String) {
        tracing::error!(%what, "the audit log is damaged");
        self.recovery.damage.push(what);
    }
}

fn cut(disk: &dyn Disk, path: &Path, length: u64) -> Result<(), LogError> {
    disk.open(path)
        .and_then(|mut file| {
            file.cut(length)?;
            file.sync()
        })
        .map_err(|error| LogError::io("cutting off a torn line", &error))
}

/// Event ids at the end of the last two segments with records, as far as a bounded look goes.
fn latest_events(directory: &Path, data: &[u64], most: usize) -> io::Result<Vec<String>> {
    const LOOK: u64 = 16 << 20;
    let mut events = VecDeque::new();
    let mut paths: Vec<_> = data
        .iter()
        .rev()
        .map(|number| names::data(directory, *number))
        .filter(|path| path.metadata().is_ok_and(|found| found.len() > 0))
        .take(2)
        .collect();
    paths.reverse();
    for path in paths {
        let mut file = File::open(path)?;
        let from = file.metadata()?.len().saturating_sub(LOOK);
        file.seek(SeekFrom::Start(from))?;
        // The first line may be the rest of one; its id is as good.
        let mut lines = Lines::new(BufReader::with_capacity(1 << 17, file), from, LONGEST_RECORD);
        while let Some(line) = lines.next()? {
            let Some(id) = line.text.and_then(event_id_of) else { continue };
            if events.len() >= most {
                events.pop_front();
            }
            events.push_back(String::from_utf8_lossy(id).into_owned());
        }
    }
    events.truncate(most);
    Ok(events.into())
}
