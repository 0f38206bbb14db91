//! What a commit does within its transaction.

use rusqlite::{Connection, OptionalExtension, Statement};

use super::connection::{blob, error, from_revision, to_revision};
use super::erasure::Windows;
use crate::{Change, ChangeKind, Guard, Revision, StoreError, Write};

/// The statements of the writing connection, prepared once.
pub(super) struct Statements<'c> {
    revision: Statement<'c>,
    value: Statement<'c>,
    put: Statement<'c>,
    delete: Statement<'c>,
    finish: Statement<'c>,
}

impl<'c> Statements<'c> {
    /// Prepares them.
    pub(super) fn prepare(connection: &'c Connection) -> Result<Self, StoreError> {
        let prepare = |sql| connection.prepare(sql).map_err(error);
        Ok(Self {
            revision: prepare("SELECT revision FROM kv WHERE key = ?1")?,
            value: prepare("SELECT value FROM kv WHERE key = ?1")?,
            put: prepare(
                "INSERT INTO kv VALUES (?1, ?2, ?3) ON CONFLICT (key) \
                 DO UPDATE SET value = excluded.value, revision = excluded.revision",
            )?,
            delete: prepare("DELETE FROM kv WHERE key = ?1")?,
            finish: prepare("UPDATE store SET revision = ?1, scrub = max(scrub, ?2) WHERE id = 1")?,
        })
    }

    /// Whether all guards hold, seen with what the transaction has written so far.
    pub(super) fn hold(&mut self, guards: &[Guard]) -> Result<bool, StoreError> {
        for guard in guards {
            let found = self
                .revision
                .query_row([guard.key()], |row| row.get::<_, i64>(0))
                .optional()
                .map_err(error)?;
            if !guard.holds(found.map(to_revision).transpose()?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes, and answers what changed. Collects the values of deleted records in `erased`.
    pub(super) fn perform(
        &mut self,
        writes: &[Write],
        revision: Revision,
        mut erased: Option<&mut Windows>,
    ) -> Result<Vec<Change>, StoreError> {
        let number = from_revision(revision)?;
        let mut changes = Vec::with_capacity(writes.len());
        for write in writes {
            let key = write.key();
            let kind = match write {
                Write::Put(_, value) => {
                    self.put.execute((key, value.as_slice(), number)).map_err(error)?;
                    ChangeKind::Put(value.as_slice().into())
                }
                Write::Delete(_) => {
                    if let Some(erased) = &mut erased {
                        let mut rows = self.value.query([key]).map_err(error)?;
                        if let Some(row) = rows.next().map_err(error)? {
                            erased.add(blob(row, 0)?);
                        }
                    }
                    if self.delete.execute([key]).map_err(error)? == 0 {
                        continue;
                    }
                    ChangeKind::Delete
                }
            };
            changes.push(Change { key: key.into(), revision, kind });
        }
        Ok(changes)
    }

    /// Keeps the newest revision, and the mark that an erasure has to be finished.
    pub(super) fn finish(&mut self, revision: Revision, scrub: bool) -> Result<(), StoreError> {
        self.finish.execute((from_revision(revision)?, scrub)).map_err(error)?;
        Ok(())
    }
}
