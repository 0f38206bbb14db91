//! A look into a store that may be open elsewhere.

use std::path::Path;

use super::connection;
use super::directory::{DATABASE, exists};
use super::readers::Statements;
use crate::{KeyRange, StoreError, Versioned};

/// Reads the first `limit` records of `range` of the store in `directory`, as they are at one
/// instant. Works while the store is open in this process or another, takes no lock that keeps
/// others out, and changes nothing. Blocks.
///
/// # Errors
/// [`StoreError::Missing`], [`StoreError::Foreign`], [`StoreError::Newer`] or
/// [`StoreError::Corrupt`] for what is in `directory`.
pub fn peek(
    directory: &Path,
    range: &KeyRange,
    limit: usize,
) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
    let database = directory.join(DATABASE);
    if !exists(&database)? {
        return Err(StoreError::Missing);
    }
    let connection = connection::reader(&database)?;
    connection::check_opened_identity(&connection)?;
    connection::check_tables(&connection)?;
    // One statement is one transaction.
    Statements::prepare(&connection)?.scan(range, limit)
}
