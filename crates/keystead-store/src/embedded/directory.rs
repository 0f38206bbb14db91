//! The store's directory: its lock, its permissions, and what can be told of a file before SQLite
//! touches it.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{connection, log};
use crate::StoreError;

/// A directory that this process holds the lock of.
pub(super) struct Directory {
    path: PathBuf,
    /// Held for as long as it is open.
    lock: File,
}

impl Directory {
    /// Locks the directory, after making it if it is missing and `create` is set.
    ///
    /// The lock comes before any look at the store's file. POSIX locks belong to a process, and
    /// closing *any* descriptor of a file drops all of the process's locks on it: looking at a file
    /// that another handle of this process has open would take SQLite's locks away from it.
    pub(super) fn claim(path: &Path, create: bool) -> Result<Self, StoreError> {
        if !path.is_dir() {
            if !create {
                return Err(StoreError::Missing);
            }
            create_directory(path)?;
        }
        if !create && !exists(&path.join(DATABASE))? {
            return Err(StoreError::Missing);
        }
        let lock = private_file(OpenOptions::new().create(true), &path.join(LOCK))
            .map_err(|error| StoreError::io("opening the lock file", &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked),
            Err(TryLockError::Error(error)) => Err(StoreError::io("locking the directory", &error)),
        }
    }

    /// The store's main file.
    pub(super) fn store_path(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Whether there is a main file, of whatever content.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it is gone and its log is still there: SQLite would delete the
    /// log, and with it what may be the only copy of the latest commits.
    pub(super) fn has_store(&self) -> Result<bool, StoreError> {
        if exists(&self.store_path())? {
            return Ok(true);
        }
        if exists(&self.path.join(LOG))? {
            return Err(StoreError::Corrupt(format!("there is `{LOG}` but no `{DATABASE}`")));
        }
        Ok(false)
    }

    /// Makes an empty store under a temporary name and renames it when it is whole, so that a file
    /// with the store's name is never half a store.
    pub(super) fn create_store(&self) -> Result<(), StoreError> {
        self.install(connection::create)
    }

    /// Lets `fill` write a store under a temporary name, then gives it its name, durably.
    pub(super) fn install(
        &self,
        fill: impl FnOnce(&Path) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let new = self.path.join(NEW);
        self.discard_new()?;
        private_file(OpenOptions::new().create_new(true), &new)
            .map_err(|error| StoreError::io("creating the store's file", &error))?;
        let installed = fill(&new).and_then(|()| {
            // Here and not at the first opening: the change of mode goes through a rollback
            // journal, which a kill would leave beside a store that is in use.
            connection::use_log(&new)?;
            sync_file(&new)?;
            fs::rename(&new, self.store_path())
                .map_err(|error| StoreError::io("renaming the new store", &error))
        });
        if installed.is_err() {
            let _ = self.discard_new();
        }
        installed?;
        sync_directory(&self.path)
    }

    /// Removes what a creation that did not finish has left.
    fn discard_new(&self) -> Result<(), StoreError> {
        let besides = ["-journal", "-wal", "-shm"].map(|suffix| format!("{NEW}{suffix}"));
        for name in besides.into_iter().chain([NEW.to_owned()]) {
            match fs::remove_file(self.path.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(StoreError::io("removing an unfinished store", &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Refuses a main file that is not a whole store of a known format. Writes nothing.
    ///
    /// The answered handle must live longer than every SQLite connection of this process to the
    /// file (see [`Directory::claim`]).
    pub(super) fn inspect(&self) -> Result<File, StoreError> {
        if exists(&self.path.join(JOURNAL))? {
            // We never leave a rollback journal; SQLite would play it into the store.
            return Err(StoreError::Foreign(format!("there is `{JOURNAL}` beside it")));
        }
        let file = File::open(self.store_path())
            .map_err(|error| StoreError::io("opening the store's file", &error))?;
        let has_log = match fs::metadata(self.path.join(LOG)) {
            Ok(log) => log.len() > 0,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(StoreError::io("looking for the log", &error)),
        };
        let page = inspect(&file, has_log)?;
        log::inspect(&self.path.join(LOG), page)?;
        Ok(file)
    }

    /// Notes which files the open store consists of. `main_file` is its main file; the log exists
    /// once SQLite has read the store.
    pub(super) fn places(&self, main_file: &File) -> Result<Places, StoreError> {
        let noting = |error: std::io::Error| StoreError::io("noting the store's files", &error);
        let place = |name: &'static str, metadata: std::io::Result<Metadata>| {
            let metadata = metadata.map_err(noting)?;
            Ok((name, self.path.join(name), (metadata.dev(), metadata.ino())))
        };
        Ok(Places([
            place(DATABASE, main_file.metadata())?,
            place(LOG, fs::metadata(self.path.join(LOG)))?,
            place(LOCK, self.lock.metadata())?,
        ]))
    }
}

/// Where the files of an open store are, and which files they are.
pub(super) struct Places([(&'static str, PathBuf, (u64, u64)); 3]);

impl Places {
    /// Refuses when a file is no longer under its name. The open handles would still take writes,
    /// durably, into files that no later opening finds; and without its lock the store may have
    /// another writer already.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        for (name, path, identity) in &self.0 {
            let same = match fs::metadata(path) {
                Ok(found) => (found.dev(), found.ino()) == *identity,
                Err(error) if error.kind() == ErrorKind::NotFound => false,
                Err(error) => return Err(StoreError::io("looking for the store's files", &error)),
            };
            if !same {
                return Err(StoreError::Io(format!(
                    "`{name}` was moved, removed or replaced while the store is open"
                )));
            }
        }
        Ok(())
    }
}

/// The name of the store's main file.
pub(super) const DATABASE: &str = "keystead.db";
const LOG: &str = "keystead.db-wal";
const JOURNAL: &str = "keystead.db-journal";
const NEW: &str = "keystead.db.new";
const LOCK: &str = "lock";

/// Checks the header of a database file: <https://www.sqlite.org/fileformat2.html#the_database_header>.
///
/// `has_log`: commits in the log have yet to be moved into the file, so its length tells nothing.
/// Answers the page size.
pub(super) fn inspect(file: &File, has_log: bool) -> Result<u32, StoreError> {
    let failed = |error: std::io::Error| StoreError::io("reading the store's header", &error);
    let length = file.metadata().map_err(failed)?.len();
    let mut header = [0; HEADER];
    let mut read = 0;
    while let Some(rest) = header.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, read as u64).map_err(failed)? {
            0 => break,
            count => read += count,
        }
    }
    if read < HEADER {
        let begun = &header[..read.min(MAGIC.len())];
        return Err(if MAGIC.starts_with(begun) {
            StoreError::Corrupt(format!("the file has {length} bytes, less than a header"))
        } else {
            StoreError::Foreign("no SQLite header".to_owned())
        });
    }
    if !header.starts_with(MAGIC) {
        return Err(StoreError::Foreign("no SQLite header".to_owned()));
    }
    let word = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    connection::check_identity(word(68), word(60))?;
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size if size >= 512 && size.is_power_of_two() => u32::from(size),
        size => return Err(StoreError::Corrupt(format!("a page size of {size} bytes"))),
    };
    // The count of pages is valid only if the last writer knew of it.
    let pages_valid = word(24) == word(92);
    let expected = u64::from(word(28)) * u64::from(page);
    if !has_log && (length % u64::from(page) != 0 || (pages_valid && length < expected)) {
        return Err(StoreError::Corrupt(format!(
            "the file has {length} bytes where its header says {expected}"
        )));
    }
    Ok(page)
}

const HEADER: usize = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Opens a file for writing that only its owner may read, whatever the umask.
pub(super) fn private_file(options: &mut OpenOptions, path: &Path) -> std::io::Result<File> {
    let file = options.read(true).write(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Flushes a file's content to the device.
pub(super) fn sync_file(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| StoreError::io("flushing a file", &error))
}

/// Flushes a directory's entries to the device.
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| StoreError::io("flushing a directory", &error))
}

/// Whether there is something under this name, a dangling link included.
pub(super) fn exists(path: &Path) -> Result<bool, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("looking for a file", &error)),
    }
}

/// Makes a directory and its missing parents, for the owner only, durably.
fn create_directory(path: &Path) -> Result<(), StoreError> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists())
        .collect();
    for directory in missing.into_iter().rev() {
        DirBuilder::new()
            .mode(0o700)
            .create(directory)
            .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(0o700)))
            .map_err(|error| StoreError::io("creating the directory", &error))?;
        sync_directory(directory.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(())
}
