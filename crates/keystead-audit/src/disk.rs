//! The few things that a log asks of a file system, so that a test can let each of them fail.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

/// A file system.
pub trait Disk: Send + Sync + 'static {
    /// Makes a file that must not exist yet, for appending.
    ///
    /// # Errors
    /// Those of the system, as for every function here.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file that exists, for appending.
    ///
    /// # Errors
    /// Those of the system.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Flushes the entries of a directory to the device.
    ///
    /// # Errors
    /// Those of the system.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Which file is under a name now; `None` if there is none.
    ///
    /// # Errors
    /// Those of the system.
    fn identity(&self, path: &Path) -> io::Result<Option<Identity>>;

    /// Bytes that may still be written to the file system of a directory.
    ///
    /// # Errors
    /// Those of the system.
    fn free(&self, path: &Path) -> io::Result<u64>;
}

/// A file that is open for appending.
pub trait DiskFile: Send {
    /// Writes at the end, perhaps less than all; answers how many bytes.
    ///
    /// # Errors
    /// Those of the system.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Flushes content and length to the device.
    ///
    /// # Errors
    /// Those of the system.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file to a length, which also gives back what was reserved beyond it.
    ///
    /// # Errors
    /// Those of the system.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// Reserves space after `length` without changing the length. Answers false if the file system
    /// cannot.
    ///
    /// # Errors
    /// Those of the system; a full disk says so here.
    fn reserve(&mut self, length: u64, bytes: u64) -> io::Result<bool>;

    /// Which file it is.
    ///
    /// # Errors
    /// Those of the system.
    fn identity(&self) -> io::Result<Identity>;
}

/// Device and inode.
pub type Identity = (u64, u64);

/// The machine's own file system. Files are readable by their owner, or by their group too.
#[derive(Copy, Clone, Debug, Default)]
pub struct MachineDisk {
    /// Mode 0640 in place of 0600, for a collector that runs under another user.
    pub group_readable: bool,
}

impl MachineDisk {
    fn opened(self, options: &mut OpenOptions, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mode = if self.group_readable { 0o640 } else { 0o600 };
        let file = options.append(true).mode(mode).open(path)?;
        // The umask may have taken something away.
        file.set_permissions(Permissions::from_mode(mode))?;
        Ok(Box::new(MachineFile(file)))
    }
}

impl Disk for MachineDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.opened(OpenOptions::new().create_new(true), path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.opened(&mut OpenOptions::new(), path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn identity(&self, path: &Path) -> io::Result<Option<Identity>> {
        match fs::symlink_metadata(path) {
            Ok(found) => Ok(Some((found.dev(), found.ino()))),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn free(&self, path: &Path) -> io::Result<u64> {
        let status = statvfs(path)?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }
}

struct MachineFile(File);

impl DiskFile for MachineFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn reserve(&mut self, length: u64, bytes: u64) -> io::Result<bool> {
        match fallocate(&self.0, FallocateFlags::KEEP_SIZE, length, bytes) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn identity(&self) -> io::Result<Identity> {
        let found = self.0.metadata()?;
        Ok((found.dev(), found.ino()))
    }
}

/// Makes a directory and its missing parents, for the owner only (and its group), durably.
pub(crate) fn create_directory(path: &Path, group_readable: bool) -> io::Result<()> {
    let mode = if group_readable { 0o750 } else { 0o700 };
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists())
        .collect();
    for directory in missing.into_iter().rev() {
        DirBuilder::new().mode(mode).create(directory)?;
        fs::set_permissions(directory, Permissions::from_mode(mode))?;
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
