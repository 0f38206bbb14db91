//! A segment: a file of records and a file of digests.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::LogError;
use super::directory::check;
use crate::chain::LONGEST_DIGEST;
use crate::disk::{Disk, DiskFile, Identity};
use crate::names;

/// The segment that is being written.
pub(super) struct Segment {
    pub(super) number: u64,
    data: Place,
    chain: Place,
}

/// A file, where it is, and how much of it counts.
struct Place {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    identity: Identity,
    /// Bytes that were acknowledged; what is beyond was not.
    length: u64,
    /// Offset up to which space is reserved; `None` if the file system cannot.
    reserved: Option<u64>,
}

impl Segment {
    /// Makes the files of the first free number from `number` on, with space for `reserve` bytes.
    pub(super) fn create(
        disk: &dyn Disk,
        directory: &Path,
        number: u64,
        reserve: u64,
    ) -> Result<Self, LogError> {
        let failed = |error| LogError::io("creating a segment", &error);
        let mut number = number;
        let (data, chain) = loop {
            let data = match Place::create(disk, names::data(directory, number)) {
                Ok(data) => data,
                // Left behind by an attempt that could not remove it again.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    number += 1;
                    continue;
                }
                Err(error) => return Err(failed(error)),
            };
            match Place::create(disk, names::chain(directory, number)) {
                Ok(chain) => break (data, chain),
                Err(error) => {
                    let _ = fs::remove_file(&data.path);
                    if error.kind() != ErrorKind::AlreadyExists {
                        return Err(failed(error));
                    }
                    number += 1;
                }
            }
        };
        let mut segment = Self { number, data, chain };
        let ready = disk
            .sync_directory(directory)
            .map_err(|error| LogError::io("flushing the directory", &error))
            .and_then(|()| segment.reserve(disk, directory, reserve));
        match ready {
            Ok(()) => Ok(segment),
            Err(error) => {
                segment.remove();
                Err(error)
            }
        }
    }

    /// Removes the files. Only for a segment of which nothing was acknowledged.
    pub(super) fn remove(self) {
        // Without content they do no harm if they stay.
        let _ = fs::remove_file(&self.data.path);
        let _ = fs::remove_file(&self.chain.path);
    }

    /// Bytes of acknowledged records.
    pub(super) fn length(&self) -> u64 {
        self.data.length
    }

    /// Whether neither file has content.
    pub(super) fn is_empty(&self) -> bool {
        self.data.length == 0 && self.chain.length == 0
    }

    /// Reserves space for `bytes` more of records, and for their digests, if less than half of that
    /// is left.
    pub(super) fn reserve(
        &mut self,
        disk: &dyn Disk,
        directory: &Path,
        bytes: u64,
    ) -> Result<(), LogError> {
        let failed = |error| LogError::io("reserving space", &error);
        // A leaf in base64 takes 44 bytes, and a record more than 300.
        let data = self.data.reserve(bytes).map_err(failed)?;
        let chain = self.chain.reserve(bytes / 6 + LONGEST_DIGEST as u64).map_err(failed)?;
        if data && chain {
            return Ok(());
        }
        let free = disk.free(directory).map_err(failed)?;
        if free < bytes + bytes / 6 {
            return Err(failed(ErrorKind::StorageFull.into()));
        }
        Ok(())
    }

    /// Writes records after the acknowledged ones.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        self.data.write(bytes).map_err(|error| LogError::io("writing records", &error))
    }

    /// Flushes the records.
    pub(super) fn sync(&mut self) -> Result<(), LogError> {
        self.data.file.sync().map_err(|error| LogError::io("flushing records", &error))
    }

    /// Counts what was written as acknowledged.
    pub(super) fn acknowledge(&mut self, bytes: usize) {
        self.data.length += bytes as u64;
    }

    /// Writes digests and flushes them.
    pub(super) fn write_digests(&mut self, lines: &[u8]) -> Result<(), LogError> {
        self.chain.write(lines).map_err(|error| LogError::io("writing digests", &error))?;
        self.chain.file.sync().map_err(|error| LogError::io("flushing digests", &error))?;
        self.chain.length += lines.len() as u64;
        Ok(())
    }

    /// Refuses when a file is no longer under its name.
    pub(super) fn check(&self, disk: &dyn Disk) -> Result<(), LogError> {
        check(disk, &self.data.path, self.data.identity)?;
        check(disk, &self.chain.path, self.chain.identity)
    }

    /// Cuts off whatever was not acknowledged, and gives back reserved space. After a failure this
    /// may fail too; then what is left over stays.
    pub(super) fn release(mut self) {
        let _ = self.data.file.cut(self.data.length);
        let _ = self.chain.file.cut(self.chain.length);
    }
}

impl Place {
    fn create(disk: &dyn Disk, path: PathBuf) -> io::Result<Self> {
        let file = disk.create(&path)?;
        let identity = file.identity()?;
        Ok(Self { file, path, identity, length: 0, reserved: Some(0) })
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<bool> {
        let Some(reserved) = self.reserved else { return Ok(false) };
        if reserved > self.length + bytes / 2 {
            return Ok(true);
        }
        let can = self.file.reserve(self.length, bytes)?;
        self.reserved = can.then_some(self.length + bytes);
        Ok(can)
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.append(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
