//! Writing records: how an operation turns a changed record into a guarded commit.

use keystead_store::{Guard, Revision, Write};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::keys::KeyEntry;
use crate::paths::{self, Path};
use crate::records::{self, KeyRecord};
use crate::service::Service;

/// A commit in the making.
#[derive(Default)]
pub(crate) struct Draft {
    guards: Vec<Guard>,
    writes: Vec<Write>,
}

impl Draft {
    /// The record must not exist yet.
    pub(crate) fn absent(&mut self, path: Path) -> &mut Self {
        self.guards.push(Guard::Absent(path));
        self
    }

    /// The record must be as it was read.
    pub(crate) fn unchanged(&mut self, path: Path, revision: Revision) -> &mut Self {
        self.guards.push(Guard::At(path, revision));
        self
    }

    /// Writes bytes that are no record: wrapped key material.
    pub(crate) fn put_raw(&mut self, path: Path, bytes: Vec<u8>) -> &mut Self {
        self.write(Write::Put(path, bytes));
        self
    }

    /// Writes a record.
    pub(crate) fn put<T: Serialize>(
        &mut self,
        service: &Service,
        path: Path,
        record: &T,
    ) -> Result<&mut Self> {
        let bytes = records::encode(service.keyring.record_key(), &path, record)
            .map_err(Error::internal)?;
        self.write(Write::Put(path, bytes));
        Ok(self)
    }

    /// Removes a record.
    pub(crate) fn delete(&mut self, path: Path) -> &mut Self {
        self.write(Write::Delete(path));
        self
    }

    /// The last word on a path counts: two notes of a key may be due at one moment, and no path can
    /// be written twice in a commit.
    fn write(&mut self, write: Write) {
        let (Write::Put(path, _) | Write::Delete(path)) = &write;
        self.writes.retain(|(Write::Put(old, _) | Write::Delete(old))| old != path);
        self.writes.push(write);
    }

    /// Replaces a key's record, provided that nobody else has since `key` was read.
    pub(crate) fn replace(
        &mut self,
        service: &Service,
        key: &KeyEntry,
        record: &KeyRecord,
    ) -> Result<&mut Self> {
        let path = paths::key(record.account, &record.region, record.id);
        self.unchanged(path.clone(), key.revision).put(service, path, record)
    }

    /// Durable when answered.
    ///
    /// # Errors
    /// A conflict, upon which the request travels its road again, or KMSInternalException.
    pub(crate) async fn commit(&mut self, service: &Service) -> Result<()> {
        let (guards, writes) = (std::mem::take(&mut self.guards), std::mem::take(&mut self.writes));
        service.store.commit(guards, writes).await?;
        // Not left to the next request, for which the material of a key just disabled or destroyed
        // would wait in memory.
        service.keys.refresh();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_write_of_a_path_counts() {
        let mut draft = Draft::default();
        draft.put_raw(b"a".to_vec(), vec![1]).delete(b"b".to_vec()).delete(b"b".to_vec());
        draft.delete(b"a".to_vec()).put_raw(b"a".to_vec(), vec![2]);
        assert_eq!(draft.writes.len(), 2);
        let Some(Write::Put(path, value)) = draft.writes.pop() else { panic!("not put") };
        assert_eq!((path, value), (b"a".to_vec(), vec![2]));
    }
}
