//! The names of the files of a log.

use std::io;
use std::path::{Path, PathBuf};

/// Where the records of a segment are.
pub(crate) fn data(directory: &Path, segment: u64) -> PathBuf {
    directory.join(format!("audit-{segment:010}.jsonl"))
}

/// Where the digests are that were signed while a segment was written.
pub(crate) fn chain(directory: &Path, segment: u64) -> PathBuf {
    directory.join(format!("audit-{segment:010}.chain"))
}

/// Whoever holds the lock of this file is the log's only writer.
pub(crate) fn lock(directory: &Path) -> PathBuf {
    directory.join("lock")
}

/// The numbers of the segments of which there is a file with records, or with digests, in order.
pub(crate) fn segments(directory: &Path) -> io::Result<(Vec<u64>, Vec<u64>)> {
    let (mut data, mut chains) = (Vec::new(), Vec::new());
    for entry in directory.read_dir()? {
        let name = entry?.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_prefix("audit-")) else {
            continue;
        };
        let (digits, list) = match name.split_once('.') {
            Some((digits, "jsonl")) => (digits, &mut data),
            Some((digits, "chain")) => (digits, &mut chains),
            _ => continue,
        };
        if digits.len() == 10
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(number) = digits.parse()
        {
            list.push(number);
        }
    }
    data.sort_unstable();
    chains.sort_unstable();
    Ok((data, chains))
}
