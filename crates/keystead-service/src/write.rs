//! Writing records: how an operation turns a changed record into a guarded commit.

use keystead_model::{AccountId, KeyId, Region};
use keystead_store::{Guard, Revision, Write};
use serde::Serialize;

use crate::audit::{Lines, parcel};
use crate::error::{Error, Result};
use crate::event::EventId;
use crate::key_counts::Making;
use crate::keys::KeyEntry;
use crate::paths::{self, Path};
use crate::records::{self, KeyRecord};
use crate::service::Service;
use crate::sweep::bury;

/// A commit in the making.
#[derive(Default)]
pub(crate) struct Draft {
    guards: Vec<Guard>,
    writes: Vec<Write>,
    follow_ups: Vec<FollowUp>,
    /// The keys it makes, which count in their quota until it is committed and known to be.
    making: Vec<Making>,
    /// Audit records that stand or fall with the commit.
    records: Lines,
}

/// What an operation answers, and the commit that must be durable before it does.
pub(crate) struct Change<T> {
    /// Empty if nothing is to be changed.
    pub(crate) draft: Draft,
    pub(crate) answer: T,
}

/// What is done once a commit is durable. The commit stands whatever comes of it: what cannot be
/// done now is left to the sweep.
#[derive(Debug)]
pub(crate) enum FollowUp {
    /// Erase the bytes of key material that lies in graves.
    Bury,
    /// Make up for a rotation that came due.
    Rotate(AccountId, Region, KeyId),
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

    /// Something to be done after the commit.
    pub(crate) fn then(&mut self, follow_up: FollowUp) -> &mut Self {
        self.follow_ups.push(follow_up);
        self
    }

    /// Holds the place of a key in its quota until the commit is done.
    pub(crate) fn holding(&mut self, place: Making) -> &mut Self {
        self.making.push(place);
        self
    }

    /// An audit record that goes along with the commit.
    pub(crate) fn record(&mut self, line: (EventId, Vec<u8>)) -> &mut Self {
        self.records.push(line);
        self
    }

    /// The records of the request that asks for the change, before those of what it entails.
    pub(crate) fn record_first(&mut self, lines: Lines) -> &mut Self {
        self.records.splice(0..0, lines);
        self
    }

    /// Whether there is anything to commit.
    pub(crate) fn changes_something(&self) -> bool {
        !self.writes.is_empty()
    }

    /// The change, with what is answered once it is durable.
    pub(crate) fn answering<T>(self, answer: T) -> Change<T> {
        Change { draft: self, answer }
    }

    /// Durable when answered.
    ///
    /// # Errors
    /// A conflict, upon which the request travels its road again, or KMSInternalException.
    pub(crate) async fn commit(&mut self, service: &Service) -> Result<()> {
        let Self { guards, mut writes, follow_ups, making, records } = std::mem::take(self);
        if writes.is_empty() {
            return Ok(());
        }
        match (&service.trail, parcel(service, &records)) {
            (Some(trail), Some((path, bytes))) => {
                writes.push(Write::Put(path, bytes));
                trail.sending();
                let made = service.store.commit(guards, writes).await;
                trail.sent(made.is_ok());
                made?;
            }
            _ => {
                service.store.commit(guards, writes).await?;
            }
        }
        // Not left to the next request, for which the material of a key just disabled or destroyed
        // would wait in memory.
        service.keys.refresh();
        // The feed has told of the keys by now.
        drop(making);
        for follow_up in follow_ups {
            // Boxed: what follows may commit, too.
            Box::pin(follow_up.carry_out(service)).await;
        }
        Ok(())
    }
}

impl FollowUp {
    async fn carry_out(self, service: &Service) {
        match self {
            // The material is gone for every request by now. Its bytes may have to wait, for a
            // backup that reads the store for instance.
            Self::Bury => {
                let record_key = service.keyring.record_key();
                if let Err(error) = bury(service.store.as_ref(), record_key).await {
                    tracing::warn!(%error, "erasing key material is left to the next sweep");
                }
            }
            Self::Rotate(account, region, key) => {
                if let Err(error) = service.rotate_if_due(account, &region, key).await {
                    tracing::warn!(%error, "a rotation is left to the next sweep");
                }
            }
        }
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
