//! The last use of each key, which GetKeyLastUsage tells.
//!
//! A request that has used a key notes that in memory: no write to the store, nothing awaited, no
//! allocation but for the first use of a key since the last sweep. The sweep, and an orderly
//! shutdown, carry the notes to the store ([`write`]). A kill loses those of the last minute.
//!
//! Notes are filed under the key's [`Place`], not in its cached entry: they outlive the entry, and
//! two entries of one key (a cached one, and that of a request that began before the key changed)
//! have one note. Nothing here grows with the number of keys in the store.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keystead_model::{AccountId, KeyId, KeyLastUsageTrackingOperation, OperationName, Region};

use crate::operation::{Demand, Operation, Resource, Target};
use crate::service::{RequestId, Service};

mod write;

pub(crate) use write::tracked_since;

/// How far a date may lie ahead before it counts as told by a clock that was set back since,
/// milliseconds. Clocks of several nodes differ by less.
const SKEW: i64 = 300_000;

const SHARDS: usize = 64;

/// Which key, among those of all times: a replica may be made anew under the id of a deleted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    pub(crate) key: KeyId,
    /// When the key was created, milliseconds since the epoch.
    pub(crate) created: i64,
}

impl Hash for Place {
    /// Key ids are random: nobody can choose one, and only related keys share one.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.key.bytes());
    }
}

/// A successful cryptographic operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Use {
    /// When, milliseconds since the epoch.
    pub(crate) moment: i64,
    pub(crate) operation: KeyLastUsageTrackingOperation,
    pub(crate) request: RequestId,
}

/// The keys that a request is about to use.
pub(crate) struct Used {
    operation: KeyLastUsageTrackingOperation,
    places: [Option<Arc<Place>>; 4],
}

impl Used {
    /// What operation `O` uses of its target; `None` if such use does not count.
    pub(crate) fn by<O: Operation>(target: &O::Target) -> Option<Self> {
        let operation = tracked(O::FACTS.name)?;
        let places = target.demands(&O::FACTS).map(|demand| match demand? {
            Demand { resource: Some(Resource::Key(key)), used: true, .. } => {
                Some(Arc::clone(&key.place))
            }
            _ => None,
        });
        Some(Self { operation, places })
    }
}

/// The operations that count. Not among them: GenerateRandom, which uses no key, and GetPublicKey.
const fn tracked(name: OperationName) -> Option<KeyLastUsageTrackingOperation> {
    use KeyLastUsageTrackingOperation as Tracked;
    Some(match name {
        OperationName::Decrypt => Tracked::Decrypt,
        OperationName::DeriveSharedSecret => Tracked::DeriveSharedSecret,
        OperationName::Encrypt => Tracked::Encrypt,
        OperationName::GenerateDataKey => Tracked::GenerateDataKey,
        OperationName::GenerateDataKeyPair => Tracked::GenerateDataKeyPair,
        OperationName::GenerateDataKeyPairWithoutPlaintext => {
            Tracked::GenerateDataKeyPairWithoutPlaintext
        }
        OperationName::GenerateDataKeyWithoutPlaintext => Tracked::GenerateDataKeyWithoutPlaintext,
        OperationName::GenerateMac => Tracked::GenerateMac,
        OperationName::ReEncrypt => Tracked::ReEncrypt,
        OperationName::Sign => Tracked::Sign,
        OperationName::Verify => Tracked::Verify,
        OperationName::VerifyMac => Tracked::VerifyMac,
        _ => return None,
    })
}

impl Service {
    /// Notes that `request` has used keys successfully.
    pub(crate) async fn note(&self, used: Used, request: RequestId) {
        let (moment, operation) = (self.clock.now(), used.operation);
        let new = Use { moment, operation, request };
        for place in used.places.iter().flatten() {
            if self.usage.note(place, new) {
                continue;
            }
            // More keys were used since the last sweep than are kept in mind: the request carries
            // the notes to the store itself, rather than that memory grows or the use is forgotten.
            // Boxed, since it is rare and would be a part of each request otherwise.
            Box::pin(self.write_and_note(place, new)).await;
        }
    }
}

/// The uses that the store does not know yet.
pub(crate) struct Usage {
    /// When this store began to track uses, milliseconds since the epoch.
    pub(crate) since: i64,
    shards: Box<[Mutex<Shard>]>,
    /// How many keys a shard takes at most.
    room: usize,
    /// Held by who carries notes to the store: one at a time.
    writing: tokio::sync::Mutex<()>,
    /// Whether the last attempt to do so made no room.
    failing: AtomicBool,
    /// Uses that were forgotten, because the store failed and memory was full.
    lost: AtomicU64,
}

type Shard = HashMap<Arc<Place>, Use>;

impl Usage {
    /// `capacity`: of how many keys a use is kept in mind at most.
    pub(crate) fn new(since: i64, capacity: usize) -> Self {
        Self {
            since,
            shards: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
            room: capacity.div_ceil(SHARDS).max(1),
            writing: tokio::sync::Mutex::new(()),
            failing: AtomicBool::new(false),
            lost: AtomicU64::new(0),
        }
    }

    /// Keeps a use in mind, unless a later one is known. Answers whether there was room.
    fn note(&self, place: &Arc<Place>, new: Use) -> bool {
        let Some(mut shard) = self.shard(place) else { return false };
        if let Some(old) = shard.get_mut(place) {
            if supersedes(new.moment, old.moment, new.moment) {
                *old = new;
            }
            return true;
        }
        if shard.len() >= self.room {
            return false;
        }
        shard.insert(Arc::clone(place), new);
        true
    }

    /// The use of a key that the store does not know yet.
    fn pending(&self, place: &Place) -> Option<Use> {
        self.shard(place)?.get(place).copied()
    }

    fn snapshot(&self) -> Vec<(Arc<Place>, Use)> {
        let all = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            shard.iter().map(|(place, last)| (Arc::clone(place), *last)).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(all).collect()
    }

    /// Forgets what the store has now, but for keys that were used again meanwhile.
    fn forget(&self, written: &[&(Arc<Place>, Use)]) {
        for (place, last) in written {
            if let Some(mut shard) = self.shard(place)
                && shard.get(place) == Some(last)
            {
                shard.remove(place);
            }
        }
    }

    fn shard(&self, place: &Place) -> Option<MutexGuard<'_, Shard>> {
        let number = usize::from(place.key.bytes()[0]) % SHARDS;
        self.shards.get(number).map(lock)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing in the critical sections leaves a map half changed.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a use at `new` takes the place of one at `old`: the later one counts, unless it lies so far
/// ahead of `now` that the clock must have been set back since. Otherwise a clock that once went wrong
/// would keep the last use in the future for good.
fn supersedes(new: i64, old: i64, now: i64) -> bool {
    old <= new || old > now.saturating_add(SKEW)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn place(number: u8) -> Arc<Place> {
        Arc::new(Place {
            account: "111122223333".parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
            key: KeyId::from_random([number; 16], false),
            created: 0,
        })
    }

    fn at(moment: i64, request: u8) -> Use {
        let operation = KeyLastUsageTrackingOperation::Encrypt;
        Use { moment, operation, request: RequestId([request; 16]) }
    }

    #[test]
    fn the_operations_that_count_are_those_of_the_model() {
        for name in OperationName::ALL {
            let counted = KeyLastUsageTrackingOperation::parse(name.as_str());
            assert_eq!(tracked(*name), counted, "{name:?}");
        }
    }

    #[test]
    fn the_later_use_counts() {
        let (usage, place) = (Usage::new(0, 64), place(1));
        assert!(usage.note(&place, at(1_000, 1)));
        assert!(usage.note(&place, at(999, 2)));
        assert_eq!(usage.pending(&place), Some(at(1_000, 1)));
        // Of two in one millisecond the one that came later.
        assert!(usage.note(&place, at(1_000, 3)));
        assert_eq!(usage.pending(&place), Some(at(1_000, 3)));
        // The clock was set back.
        let early = 1_000 - SKEW;
        assert!(usage.note(&place, at(early, 4)));
        assert_eq!(usage.pending(&place), Some(at(1_000, 3)));
        assert!(usage.note(&place, at(early - 1, 5)));
        assert_eq!(usage.pending(&place), Some(at(early - 1, 5)));
    }

    #[test]
    fn a_key_made_anew_has_no_use() {
        let (usage, old) = (Usage::new(0, 64), place(1));
        usage.note(&old, at(1, 1));
        let new = Arc::new(Place { created: 5, ..(*old).clone() });
        assert_eq!(usage.pending(&new), None);
    }

    #[test]
    fn memory_is_bounded() {
        let usage = Usage::new(0, SHARDS);
        let noted = (0..=255).filter(|number| usage.note(&place(*number), at(1, 1))).count();
        assert_eq!(noted, SHARDS);
        // What is known already can be noted again.
        assert!(usage.note(&usage.snapshot()[0].0, at(2, 2)));
        let all = usage.snapshot();
        usage.forget(&all.iter().collect::<Vec<_>>());
        assert!(usage.snapshot().is_empty());
    }

    #[test]
    fn what_was_used_again_is_not_forgotten() {
        let (usage, place) = (Usage::new(0, 64), place(1));
        usage.note(&place, at(1, 1));
        let written = usage.snapshot();
        usage.note(&place, at(2, 2));
        usage.forget(&written.iter().collect::<Vec<_>>());
        assert_eq!(usage.pending(&place), Some(at(2, 2)));
    }

    #[test]
    fn of_many_threads_the_latest_use_counts() {
        let (usage, place) = (Usage::new(0, 64), place(1));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (usage, place) = (&usage, &place);
                scope.spawn(move || {
                    for turn in 0..5_000 {
                        usage.note(place, at(turn * 8 + thread, 1));
                    }
                });
            }
        });
        assert_eq!(usage.pending(&place), Some(at(39_999, 1)));
    }
}
