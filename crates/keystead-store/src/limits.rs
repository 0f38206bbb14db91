//! The bounds that every backend shares, so that none offers more than another.

use std::collections::HashSet;

use crate::{Guard, Limit, StoreError, Write};

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;
/// The longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;
/// The most guards, and the most writes, of one commit; the most keys of one erasure. etcd's
/// default (`--max-txn-ops`).
pub const MAX_OPERATIONS: usize = 128;
/// The most bytes of keys and values in one commit's writes. It leaves a commit room to travel
/// in one etcd request, which is at most 1.5 MiB by default (`--max-request-bytes`).
pub const MAX_COMMIT_BYTES: usize = 1024 * 1024 + 256 * 1024;

/// Checks a commit before anything is done for it.
pub(crate) fn check_commit(guards: &[Guard], writes: &[Write]) -> Result<(), StoreError> {
    if guards.len() > MAX_OPERATIONS || writes.len() > MAX_OPERATIONS {
        return Err(StoreError::Limit(Limit::Operations));
    }
    for guard in guards {
        check_key(guard.key())?;
    }
    let mut written = HashSet::with_capacity(writes.len());
    for write in writes {
        check_key(write.key())?;
        if matches!(write, Write::Put(_, value) if value.len() > MAX_VALUE_BYTES) {
            return Err(StoreError::Limit(Limit::ValueBytes));
        }
        if !written.insert(write.key()) {
            return Err(StoreError::Limit(Limit::DuplicateKey));
        }
    }
    if commit_bytes(writes) > MAX_COMMIT_BYTES {
        return Err(StoreError::Limit(Limit::CommitBytes));
    }
    Ok(())
}

/// Checks the keys of an erasure.
pub(crate) fn check_erasure(keys: &[Vec<u8>]) -> Result<(), StoreError> {
    if keys.len() > MAX_OPERATIONS {
        return Err(StoreError::Limit(Limit::Operations));
    }
    keys.iter().try_for_each(|key| check_key(key))
}

/// Checks that a record could have this key.
pub(crate) fn check_key(key: &[u8]) -> Result<(), StoreError> {
    match key.len() {
        0 => Err(StoreError::Limit(Limit::EmptyKey)),
        1..=MAX_KEY_BYTES => Ok(()),
        _ => Err(StoreError::Limit(Limit::KeyBytes)),
    }
}

/// The bytes of the keys and values that are written.
pub(crate) fn commit_bytes(writes: &[Write]) -> usize {
    let bytes = |write: &Write| match write {
        Write::Put(key, value) => key.len() + value.len(),
        Write::Delete(key) => key.len(),
    };
    writes.iter().map(bytes).sum()
}
