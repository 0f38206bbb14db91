//! The outbox: records that were committed with the change they are about, until the log has them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use keystead_store::{KeyRange, Store, Write};

use super::Trail;
use crate::error::{Error, Result};
use crate::event::EventId;
use crate::keyring::{Keyring, OpenError};
use crate::paths::{self, Path};
use crate::records;
use crate::service::Service;

/// How long the drain waits before it tries again what failed.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most records of a commit that takes records out of the outbox: the store's bound.
const TOGETHER: usize = 128;

/// The place and bytes of the records of one commit. They are lines of JSON, one after the other.
pub(crate) fn parcel(service: &Service, lines: &[(EventId, Vec<u8>)]) -> Option<(Path, Vec<u8>)> {
    let (first, _) = lines.first()?;
    let path = paths::outbox(service.clock.now(), first);
    let texts: Vec<&[u8]> = lines.iter().map(|(_, line)| line.as_slice()).collect();
    let bytes = records::encode_bytes(service.keyring.record_key(), &path, &texts.join(&b'\n'));
    Some((path, bytes))
}

/// How many commits' records an earlier run left behind.
///
/// # Errors
/// [`OpenError`] if one of them is damaged: it could neither be moved nor left out.
pub(crate) async fn left_behind(
    store: &dyn Store,
    keyring: &Keyring,
) -> std::result::Result<usize, OpenError> {
    let found = store.scan(KeyRange::prefix(paths::OUTBOX), usize::MAX).await?;
    for (path, value) in &found {
        records::decode_bytes(keyring.record_key(), path, &value.value)?;
    }
    Ok(found.len())
}

impl Trail {
    /// A commit with records is about to be made.
    pub(crate) fn sending(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// The commit has been tried. One that failed may stand all the same, hence the look.
    pub(crate) fn sent(&self, made: bool) {
        if !made {
            self.taken(1);
        }
        self.wake.notify_one();
    }

    fn taken(&self, commits: usize) {
        let less = |waiting: usize| Some(waiting.saturating_sub(commits));
        // The function never answers `None`.
        let _ = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

impl Service {
    /// Moves all records of the outbox to the log, in the order of their commits.
    ///
    /// # Errors
    /// KMSInternalException; what could not be moved stays.
    pub(crate) async fn drain_audit(&self) -> Result<()> {
        let Some(trail) = &self.trail else { return Ok(()) };
        let _alone = trail.draining.lock().await;
        // All at one instant, since paths tell the order to the millisecond alone; the backlog is
        // bounded.
        let mut found = self.store.scan(KeyRange::prefix(paths::OUTBOX), usize::MAX).await?;
        found.sort_by_key(|(_, value)| value.revision);
        for commits in found.chunks(TOGETHER) {
            let mut lines = Vec::with_capacity(commits.len());
            for (path, value) in commits {
                let content = records::decode_bytes(self.keyring.record_key(), path, &value.value);
                let content = content.map_err(Error::internal)?;
                lines.extend(content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
            }
            trail.log.append_once(lines).await.map_err(super::unrecorded)?;
            let gone = commits.iter().map(|(path, _)| Write::Delete(path.clone())).collect();
            self.store.commit(Vec::new(), gone).await?;
            trail.taken(commits.len());
        }
        Ok(())
    }

    /// Drains whenever there is something, for as long as the service lives.
    pub(crate) fn drain_from_now_on(self: &Arc<Self>) {
        let Some(trail) = &self.trail else { return };
        let (service, wake) = (Arc::downgrade(self), Arc::clone(&trail.wake));
        tokio::spawn(async move {
            loop {
                let Some(service) = service.upgrade() else { return };
                let outcome = service.drain_audit().await;
                let stuck = service.trail.as_ref().map(|trail| &trail.stuck);
                let was_stuck = stuck.is_some_and(|s| s.swap(outcome.is_err(), Ordering::Relaxed));
                drop(service);
                match outcome {
                    Ok(()) => wake.notified().await,
                    Err(error) => {
                        if !was_stuck {
                            let detail = error.detail();
                            tracing::error!(detail, "committed audit records wait for the log");
                        }
                        tokio::time::sleep(PATIENCE).await;
                    }
                }
            }
        });
    }
}
