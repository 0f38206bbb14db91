//! Copies of a store: online, consistent, and without any key.

use std::fs::{self, File, OpenOptions};
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
/// [`StoreError::Exists`] if there is something at `destination`; [`StoreError::Missing`],
/// [`StoreError::Foreign`], [`StoreError::Newer`] or [`StoreError::Corrupt`] for the store.
pub fn backup(directory: &Path, destination: &Path) -> Result<(), StoreError> {
    let source = directory.join(DATABASE);
    if !exists(&source)? {
        return Err(StoreError::Missing);
    }
    // The name is taken first, by an empty file, and the copy gets it when it is whole.
    match private_file(OpenOptions::new().create_new(true), destination) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(StoreError::Exists(destination.display().to_string()));
        }
        Err(error) => return Err(StoreError::io("creating the backup", &error)),
    }
    let mut partial = destination.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let copied = copy(&source, &partial).and_then(|()| {
        fs::rename(&partial, destination)
            .map_err(|error| StoreError::io("renaming the backup", &error))
    });
    if copied.is_err() {
        let _ = fs::remove_file(destination);
        if !matches!(copied, Err(StoreError::Exists(_))) {
            let _ = fs::remove_file(&partial);
        }
    }
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

fn copy(source: &Path, partial: &Path) -> Result<(), StoreError> {
    let connection = connection::reader(source)?;
    connection::check_opened_identity(&connection)?;
    connection::check_tables(&connection)?;
    match private_file(OpenOptions::new().create_new(true), partial) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(StoreError::Exists(partial.display().to_string()));
        }
        Err(error) => return Err(StoreError::io("creating the backup", &error)),
    }
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
