//! SQLite as this store uses it: its format, its settings, its errors.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, Row, ffi};

use crate::{Revision, StoreError, Versioned};

/// `KSTD`, in the header of each store.
const APPLICATION_ID: u32 = 0x4b53_5444;
/// The format this release writes, and the newest it reads. Kept as SQLite's `user_version`.
const FORMAT: u32 = 1;
/// The two tables, as `sqlite_schema` repeats them.
const TABLES: [(&str, &str); 2] = [
    (
        "kv",
        "CREATE TABLE kv(key BLOB PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL) \
         STRICT, WITHOUT ROWID",
    ),
    (
        "store",
        "CREATE TABLE store(id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL, \
         scrub INTEGER NOT NULL) STRICT",
    ),
];
/// Files up to this size are checked in full at each opening.
const CHECKED_BYTES: u64 = 64 * 1024 * 1024;
/// How long to wait for another process, a backup for instance, before answering busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that may write, and what the store said at its opening.
pub(super) struct Opened {
    /// The connection.
    pub(super) connection: Connection,
    /// The newest revision.
    pub(super) revision: Revision,
    /// Whether an erasure was committed and not finished.
    pub(super) scrub: bool,
}

/// Writes an empty store into the empty file at `path`.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let [(_, kv), (_, store)] = TABLES;
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = FULL; BEGIN IMMEDIATE; {kv}; {store}; \
             INSERT INTO store VALUES (1, 0, 0); \
             PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT"
        ))
        .map_err(error)?;
    connection.close().map_err(|(_, failed)| error(failed))
}

/// Makes the file at `path` one that is written through a log.
pub(super) fn use_log(path: &Path) -> Result<(), StoreError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    log_mode(&connection)?;
    connection.close().map_err(|(_, failed)| error(failed))
}

fn log_mode(connection: &Connection) -> Result<(), StoreError> {
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(error)?;
    if mode != "wal" {
        return Err(StoreError::Io(format!("the file system permits only journal mode `{mode}`")));
    }
    Ok(())
}

/// Opens the inspected main file for writing. `main_file` is the same file.
pub(super) fn writer(
    path: &Path,
    main_file: &File,
    max_bytes: Option<u64>,
) -> Result<Opened, StoreError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Until every check has passed, closing must not move the log into the file.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(error)?;
    check_tables(&connection)?;
    let length = main_file
        .metadata()
        .map_err(|failed| StoreError::io("reading the length of the store", &failed))?
        .len();
    if length < CHECKED_BYTES {
        check_pages(&connection)?;
    }
    let (revision, scrub) = connection
        .query_row("SELECT revision, scrub FROM store WHERE id = 1", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?))
        })
        .map_err(error)?;
    let revision = to_revision(revision)?;
    log_mode(&connection)?;
    // Checkpoints are the writer thread's business (`wal_autocheckpoint`): they come after the
    // acknowledgement, not before it.
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; \
             PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864;",
        )
        .map_err(error)?;
    if let Some(bytes) = max_bytes {
        let page: u32 = pragma(&connection, "page_size")?;
        let pages = (bytes / u64::from(page.max(1))).clamp(1, u64::from(u32::MAX - 1));
        connection.execute_batch(&format!("PRAGMA max_page_count = {pages}")).map_err(error)?;
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(error)?;
    Ok(Opened { connection, revision, scrub })
}

/// Opens a store for reading.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    // Each connection stays within one thread at a time. No URI: a path is a path.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(error)?;
    connection.busy_timeout(PATIENCE).map_err(error)?;
    // The file may come from someone else's hands: what its schema says is not to be trusted.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(error)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false).map_err(error)?;
    connection.execute_batch("PRAGMA cell_size_check = ON").map_err(error)?;
    Ok(connection)
}

/// Sets how long the connection waits for others.
pub(super) fn set_patience(
    connection: &Connection,
    patience: Option<Duration>,
) -> Result<(), StoreError> {
    connection.busy_timeout(patience.unwrap_or(PATIENCE)).map_err(error)
}

/// Refuses what is not a store, or not of a format that this release reads.
pub(super) fn check_identity(application_id: u32, format: u32) -> Result<(), StoreError> {
    if application_id != APPLICATION_ID {
        return Err(StoreError::Foreign("an SQLite database of another program".to_owned()));
    }
    match format {
        FORMAT => Ok(()),
        found if found > FORMAT => Err(StoreError::Newer { found, supported: FORMAT }),
        found => Err(StoreError::Corrupt(format!("format {found} was never written"))),
    }
}

/// [`check_identity`], asked of SQLite.
pub(super) fn check_opened_identity(connection: &Connection) -> Result<(), StoreError> {
    check_identity(pragma(connection, "application_id")?, pragma(connection, "user_version")?)
}

/// Refuses a schema that is not exactly ours: no trigger or view may come with a file.
pub(super) fn check_tables(connection: &Connection) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare(
            "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             ORDER BY name",
        )
        .map_err(error)?;
    let found = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(error)?;
    let same = found.iter().map(|(name, sql)| (name.as_str(), sql.as_str())).eq(TABLES);
    if same {
        Ok(())
    } else {
        Err(StoreError::Corrupt("its tables are not those of a store".to_owned()))
    }
}

/// Checks the structure of every page.
pub(super) fn check_pages(connection: &Connection) -> Result<(), StoreError> {
    let verdict: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(error)?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Corrupt(verdict)) }
}

fn pragma(connection: &Connection, name: &str) -> Result<u32, StoreError> {
    let value: i64 =
        connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).map_err(error)?;
    // SQLite answers these as signed numbers of 32 bits.
    u32::try_from(value & 0xffff_ffff)
        .map_err(|_| StoreError::Corrupt(format!("{name} is out of range")))
}

/// A record from the columns `value` and `revision`, of which `value` is column `first`.
pub(super) fn record(row: &Row<'_>, first: usize) -> Result<Versioned, StoreError> {
    let value = blob(row, first)?.to_vec();
    Ok(Versioned { value, revision: to_revision(row.get(first + 1).map_err(error)?)? })
}

/// The bytes of a column.
pub(super) fn blob<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r [u8], StoreError> {
    row.get_ref(column)
        .map_err(error)?
        .as_blob()
        .map_err(|_| StoreError::Corrupt("a column holds no bytes".to_owned()))
}

/// A revision as SQLite keeps it.
pub(super) fn to_revision(number: i64) -> Result<Revision, StoreError> {
    u64::try_from(number)
        .map(Revision)
        .map_err(|_| StoreError::Corrupt("a revision is negative".to_owned()))
}

/// A revision as SQLite shall keep it.
pub(super) fn from_revision(revision: Revision) -> Result<i64, StoreError> {
    i64::try_from(revision.0)
        .map_err(|_| StoreError::Corrupt("the revisions are used up".to_owned()))
}

/// An error of SQLite. Its texts name tables, columns and files, and never a bound value.
pub(super) fn error(error: Error) -> StoreError {
    let Error::SqliteFailure(code, text) = error else {
        return match error {
            Error::QueryReturnedNoRows => StoreError::Corrupt("a row is missing".to_owned()),
            Error::InvalidColumnType(..)
            | Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::Utf8Error(..) => {
                StoreError::Corrupt("a column has an unexpected type".to_owned())
            }
            _ => StoreError::Io("the engine was used in an unexpected way".to_owned()),
        };
    };
    let text = || {
        let text = text.as_deref().unwrap_or("no text");
        format!("{text} (SQLite {})", code.extended_code)
    };
    match code.code {
        ErrorCode::DiskFull => StoreError::Full,
        // The index of the log, whose growth SQLite does not tell apart from other failures.
        _ if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE => StoreError::Full,
        ErrorCode::ReadOnly => StoreError::ReadOnly,
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy,
        ErrorCode::NotADatabase => StoreError::Foreign(text()),
        ErrorCode::DatabaseCorrupt | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch => {
            StoreError::Corrupt(text())
        }
        _ => StoreError::Io(text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_room_for_the_index_of_the_log_is_full() {
        let failed = |code| error(Error::SqliteFailure(ffi::Error::new(code), None));
        assert_eq!(failed(ffi::SQLITE_IOERR_SHMSIZE), StoreError::Full);
        assert_eq!(failed(ffi::SQLITE_FULL), StoreError::Full);
        assert!(matches!(failed(ffi::SQLITE_IOERR_SHMMAP), StoreError::Io(_)));
    }
}
