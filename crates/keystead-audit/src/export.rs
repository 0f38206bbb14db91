//! From lines to files with a `Records` array, which readers of CloudTrail's own files expect.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::chain::LONGEST_DIGEST;
use crate::lines::Lines;
use crate::{LONGEST_RECORD, names};

/// Writes the records of a log, which may be in use, as files `{"Records":[…]}` into a directory,
/// each of at most `most_records`. The objects are those of the log, byte for byte.
///
/// Nothing is verified: [`verify()`](crate::verify()) does that. Lines after the acknowledged end of a
/// segment that a failing disk made the log give up are left out, and so is a torn last line.
///
/// # Errors
/// [`ExportError`]; existing files are not overwritten.
pub fn export(from: &Path, to: &Path, most_records: u64) -> Result<Exported, ExportError> {
    let (data, chains) = names::segments(from)?;
    let most_records = most_records.max(1);
    let mut exported = Exported::default();
    let ends = acknowledged_ends(from, &chains)?;
    for segment in data {
        let file = File::open(names::data(from, segment))?;
        let end = ends.iter().find(|(number, _)| *number == segment).map(|(_, end)| *end);
        let mut lines = Lines::new(BufReader::with_capacity(1 << 18, file), 0, LONGEST_RECORD);
        let mut open: Option<Open> = None;
        while let Some(line) = lines.next()? {
            if !line.whole || end.is_some_and(|end| line.offset >= end) {
                break;
            }
            let Some(text) = line.text.filter(|text| is_object(text)) else {
                return Err(ExportError::NotARecord { segment, offset: line.offset });
            };
            let mut file = match open.take().filter(|open| open.records < most_records) {
                Some(file) => file,
                None => {
                    exported.files += 1;
                    Open::create(to, exported.files, segment, text)?
                }
            };
            file.add(text)?;
            exported.records += 1;
            if file.records == most_records {
                file.finish()?;
            } else {
                open = Some(file);
            }
        }
        if let Some(file) = open {
            file.finish()?;
        }
    }
    Ok(exported)
}

/// What an export wrote.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Exported {
    /// Records.
    pub records: u64,
    /// Files.
    pub files: u64,
}

/// An export ended early; what it wrote before stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A file could not be read or written.
    #[error("the audit log cannot be exported: {0}")]
    Io(#[from] io::Error),
    /// A line of the log is no JSON object.
    #[error("segment {segment} has no record at byte {offset}")]
    NotARecord {
        /// The segment.
        segment: u64,
        /// Offset of the line.
        offset: u64,
    },
}

/// A file being written.
struct Open {
    file: BufWriter<File>,
    path: PathBuf,
    records: u64,
}

impl Open {
    /// Named as CloudTrail names its files, of what their first record says.
    fn create(to: &Path, number: u64, segment: u64, first: &[u8]) -> Result<Self, ExportError> {
        let named: Named = serde_json::from_slice(first).unwrap_or_default();
        let part = |text: &str| -> String {
            text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(32).collect()
        };
        let time: String = part(&named.time).chars().filter(|c| *c != '-').collect();
        let (account, region) = (part(&named.account), part(&named.region));
        let name = format!("{account}_CloudTrail_{region}_{time}_{segment:010}-{number:06}.json");
        let path = to.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let mut file = BufWriter::with_capacity(1 << 17, file);
        file.write_all(b"{\"Records\":[")?;
        Ok(Self { file, path, records: 0 })
    }

    fn add(&mut self, record: &[u8]) -> io::Result<()> {
        if self.records > 0 {
            self.file.write_all(b",")?;
        }
        self.records += 1;
        self.file.write_all(record)
    }

    fn finish(mut self) -> Result<(), ExportError> {
        self.file.write_all(b"]}\n")?;
        let file = self.file.into_inner().map_err(|error| error.into_error())?;
        file.sync_all()?;
        tracing::debug!(path = %self.path.display(), records = self.records, "exported");
        Ok(())
    }
}

#[derive(Default, Deserialize)]
struct Named {
    #[serde(rename = "recipientAccountId", default)]
    account: String,
    #[serde(rename = "awsRegion", default)]
    region: String,
    #[serde(rename = "eventTime", default)]
    time: String,
}

fn is_object(text: &[u8]) -> bool {
    text.first() == Some(&b'{') && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

/// Where segments end of which the chain says so.
fn acknowledged_ends(from: &Path, chains: &[u64]) -> Result<Vec<(u64, u64)>, ExportError> {
    let mut ends = Vec::new();
    for number in chains {
        let file = File::open(names::chain(from, *number))?;
        let mut lines = Lines::new(BufReader::with_capacity(1 << 17, file), 0, LONGEST_DIGEST);
        while let Some(line) = lines.next()? {
            let digest = line.text.and_then(|text| crate::chain::parse(text).ok());
            if let Some(digest) = digest
                && digest.end.is_some()
            {
                ends.push((digest.span.segment, digest.span.to));
            }
        }
    }
    Ok(ends)
}
