//! Copies of a store: online, consistent, and without any key.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::connection::{self, error};
use super::directory::{self, DATABASE, Directory, exists, private_file};
use crate::StoreError;

/// Writes a copy of the store in `directory`, as it is at one instant, into the new file
/// `destination`. Works while the store is open in this process or another. Blocks.
///
/// The copy holds live records alone, has mode 0600, and is checked and flushed when this answers.
/// It needs no key, and is worth as much care as the store: an erased value is still in the copies
/// that were made before.
///
/// # Errors
/// [`StoreError::Exists`] if there is something at `destination` other than the empty file that a
/// killed backup leaves; [`StoreError::Missing`],
/// [`StoreError::Foreign`], [`StoreError::Newer`] or [`StoreError::Corrupt`] for the store.
pub fn backup(directory: &Path, destination: &Path) -> Result<(), StoreError> {
    let source = directory.join(DATABASE);
    if !exists(&source)? {
        return Err(StoreError::Missing);
    }
    // The name is taken first, by an empty file, and the copy gets it when it is whole.
    let taken = take_name(destination)?;
    let mut partial = destination.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let copied = discard(&partial).and_then(|()| copy(&source, &partial)).and_then(|()| {
        fs::rename(&partial, destination)
            .map_err(|error| StoreError::io("renaming the backup", &error))
    });
    if copied.is_err() {
        let _ = discard(&partial);
        let _ = fs::remove_file(destination);
    }
    drop(taken);
    copied?;
    directory::sync_directory(parent(destination))
}

/// Makes a store in `directory` from the backup `file`. Blocks.
///
/// # Errors
/// [`StoreError::Exists`] if there is a store in `directory`; [`StoreError::Foreign`],
/// [`StoreError::Newer`] or [`StoreError::Corrupt`] if the backup is not a whole one of a format
/// that this release reads. Nothing is left in `directory` then.
pub fn restore(file: &Path, directory: &Path) -> Result<(), StoreError> {
    for suffix in ["-wal", "-journal"] {
        let mut beside = file.as_os_str().to_owned();
        beside.push(suffix);
        if exists(Path::new(&beside))? {
            // A file of a live store, without which it may lack its latest commits.
            return Err(StoreError::Foreign(format!("no backup: a `{suffix}` lies beside it")));
        }
    }
    let mut backup =
        File::open(file).map_err(|error| StoreError::io("opening the backup", &error))?;
    directory::inspect(&backup, false)?;
    let database = directory.join(DATABASE);
    if exists(&database)? {
        return Err(StoreError::Exists(database.display().to_string()));
    }
    let claimed = Directory::claim(directory, true)?;
    if claimed.has_store()? {
        return Err(StoreError::Exists(database.display().to_string()));
    }
    claimed.install(|path| {
        OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut copy| std::io::copy(&mut backup, &mut copy))
            .map_err(|error| StoreError::io("copying the backup", &error))?;
        check(path)
    })
}

/// Makes the empty file that keeps others from the name, and locks it. An empty file that nobody has
/// locked was left by a backup that was killed, and is taken over.
fn take_name(destination: &Path) -> Result<File, StoreError> {
    let creating = |error: std::io::Error| StoreError::io("creating the backup", &error);
    let exists = || StoreError::Exists(destination.display().to_string());
    let taken = match private_file(OpenOptions::new().create_new(true), destination) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(destination).map_err(creating)?;
            if !found.is_file() || found.len() > 0 {
                return Err(exists());
            }
            OpenOptions::new().read(true).write(true).open(destination).map_err(creating)?
        }
        created => created.map_err(creating)?,
    };
    taken.try_lock().map_err(|_| exists())?;
    // Between the look and the lock another backup may have finished under this name.
    let (held, named) = (taken.metadata().map_err(creating)?, fs::symlink_metadata(destination));
    if named.is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino())) {
        Ok(taken)
    } else {
        Err(exists())
    }
}

/// Removes an unfinished copy.
fn discard(partial: &Path) -> Result<(), StoreError> {
    for suffix in ["-journal", "-wal", "-shm", ""] {
        let mut file = partial.as_os_str().to_owned();
        file.push(suffix);
        match fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("removing an unfinished backup", &error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn copy(source: &Path, partial: &Path) -> Result<(), StoreError> {
    let connection = connection::reader(source)?;
    connection::check_opened_identity(&connection)?;
    connection::check_tables(&connection)?;
    private_file(OpenOptions::new().create_new(true), partial)
        .map_err(|error| StoreError::io("creating the backup", &error))?;
    let name = partial
        .to_str()
        .ok_or_else(|| StoreError::Io("the path of the backup is not UTF-8".to_owned()))?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(error)?;
    check(partial)?;
    directory::sync_file(partial)
}

/// Checks a copy that nobody else has open.
fn check(path: &Path) -> Result<(), StoreError> {
    let file = File::open(path).map_err(|error| StoreError::io("opening the copy", &error))?;
    directory::inspect(&file, false)?;
    let connection = connection::reader(path)?;
    connection::check_tables(&connection)?;
    connection::check_pages(&connection)
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}
