//! Token buckets: one for each group of each account in each Region that has called of late.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use keystead_model::{AccountId, Region};

use super::{Group, PerSecond};

/// Tokens are counted in thousand-millionths, so that every rate adds a whole number of them in a
/// millisecond and a fraction of a request is never lost.
const TOKEN: u64 = 1_000_000_000;

/// Locks, and the most buckets behind each. A bucket takes about 100 bytes.
const SHARDS: usize = 64;
const BUCKETS: usize = 1_024;

/// Whose bucket it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    pub(super) account: AccountId,
    pub(super) region: Region,
    pub(super) group: Group,
    /// For [`Group::CustomKeyStore`], which store.
    pub(super) key_store: Option<Box<str>>,
}

/// All buckets. One that is full is as good as none, so only full ones are dropped for room.
pub(super) struct Buckets {
    shards: Box<[Mutex<HashMap<Owner, Bucket>>]>,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// What it holds. Below zero: what a request owes that counted more than once.
    tokens: i64,
    /// When that was, milliseconds since the epoch.
    at: i64,
    rate: PerSecond,
}

impl Buckets {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new() }
    }

    /// Takes `count` tokens at the moment `now`, if there is one at least: what is missing then is
    /// owed. Answers whether there was.
    ///
    /// A bucket holds what its rate gives in a second, or one token if that is less; it starts full.
    /// An account for whose bucket there is no room has none to take: all others are in use.
    pub(super) fn take(&self, owner: Owner, rate: PerSecond, count: u32, now: i64) -> bool {
        let hash = self.hasher.hash_one(&owner);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        let Some(shard) = self.shards.get(index) else { return false };
        let mut buckets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(&owner) {
            return bucket.take(count, now);
        }
        if buckets.len() >= BUCKETS {
            buckets.retain(|_, bucket| !bucket.is_full(now));
            if buckets.len() >= BUCKETS {
                return false;
            }
        }
        let mut bucket = Bucket { tokens: rate.most(), at: now, rate };
        let taken = bucket.take(count, now);
        buckets.insert(owner, bucket);
        taken
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().map_or(0, |shard| shard.len())).sum()
    }
}

impl Bucket {
    fn take(&mut self, count: u32, now: i64) -> bool {
        self.fill(now);
        if self.tokens < TOKEN as i64 {
            return false;
        }
        self.tokens = self.tokens.saturating_sub_unsigned(u64::from(count).saturating_mul(TOKEN));
        true
    }

    fn is_full(&mut self, now: i64) -> bool {
        self.fill(now);
        self.tokens >= self.rate.most()
    }

    /// Adds what has come since. A clock that was moved back brings nothing, and counts on from
    /// where it was put.
    fn fill(&mut self, now: i64) {
        let passed = u64::try_from(now.saturating_sub(self.at)).unwrap_or_default();
        let came = passed.saturating_mul(self.rate.0);
        self.tokens = self.tokens.saturating_add_unsigned(came).min(self.rate.most());
        self.at = now;
    }
}

impl PerSecond {
    /// What a bucket of this rate holds at most.
    fn most(self) -> i64 {
        i64::try_from(self.0.saturating_mul(1_000).max(TOKEN)).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use keystead_model::OperationName;

    const ONE: i64 = 1_700_000_000_000;

    fn owner(account: u64) -> Owner {
        Owner {
            account: format!("{account:012}").parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
            group: Group::Operation(OperationName::CreateKey),
            key_store: None,
        }
    }

    fn rate(per_second: f64) -> PerSecond {
        PerSecond::new(per_second).unwrap()
    }

    #[test]
    fn a_bucket_gives_its_rate_and_no_more() {
        let buckets = Buckets::new();
        let mut passed = 0;
        // Ten seconds, a try every 10 ms: the full bucket at first, then five each second.
        for moment in (0..=10_000).step_by(10) {
            passed += i32::from(buckets.take(owner(1), rate(5.0), 1, ONE + moment));
        }
        assert_eq!(passed, 5 + 50);
    }

    #[test]
    fn a_rate_below_one_works() {
        let buckets = Buckets::new();
        let take = |moment: i64| buckets.take(owner(1), rate(0.25), 1, ONE + moment);
        assert!(take(0));
        assert!(!take(1) && !take(3_999));
        assert!(take(4_000));
        // Thirds of a millisecond's share add up to whole ones.
        let thirds = |moment: i64| buckets.take(owner(2), rate(0.1), 1, ONE + moment);
        assert!(thirds(0));
        assert!((1..10_000).all(|moment| !thirds(moment)));
        assert!(thirds(10_000));
    }

    #[test]
    fn what_is_saved_up_is_one_second_at_most() {
        let buckets = Buckets::new();
        let take = |moment: i64| buckets.take(owner(1), rate(3.0), 1, ONE + moment);
        assert!(take(0));
        let later = 86_400_000_000;
        assert!(take(later) && take(later) && take(later));
        assert!(!take(later));
    }

    #[test]
    fn a_request_may_count_more_than_once() {
        let buckets = Buckets::new();
        let take = |count, moment: i64| buckets.take(owner(1), rate(1.0), count, ONE + moment);
        assert!(take(2, 0));
        assert!(!take(1, 1_000), "one token is owed");
        assert!(take(1, 2_000));
    }

    #[test]
    fn a_clock_moved_anywhere_does_no_harm() {
        let buckets = Buckets::new();
        let take = |moment: i64| buckets.take(owner(1), rate(1.0), 1, moment);
        assert!(take(ONE));
        assert!(!take(ONE - 86_400_000), "moved back");
        assert!(!take(i64::MIN));
        assert!(take(i64::MAX), "moved forth");
        assert!(!take(i64::MAX));
        assert!(!take(0));
        assert!(take(1_000), "it runs on from where it was put");
    }

    #[test]
    fn accounts_do_not_pay_for_each_other() {
        let buckets = Buckets::new();
        assert!(buckets.take(owner(1), rate(1.0), 1, ONE));
        assert!(!buckets.take(owner(1), rate(1.0), 1, ONE));
        assert!(buckets.take(owner(2), rate(1.0), 1, ONE));
        let elsewhere = Owner { region: "eu-west-2".parse().unwrap(), ..owner(1) };
        assert!(buckets.take(elsewhere, rate(1.0), 1, ONE));
    }

    #[test]
    fn memory_is_bounded_and_only_full_buckets_go() {
        let buckets = Buckets::new();
        assert!(buckets.take(owner(0), rate(0.001), 1, ONE));
        let most = SHARDS * BUCKETS;
        let crowd = 2 * most as u64;
        let passed = (1..crowd).filter(|n| buckets.take(owner(*n), rate(1.0), 1, ONE)).count();
        // All are in use: there is room for as many as there are places, the rest must wait.
        assert_eq!(passed + 1, buckets.len());
        assert!(buckets.len() <= most && buckets.len() > most / 2);
        // A second later they are full again, but for the slow one.
        let passed =
            (crowd..crowd + 1_000).filter(|n| buckets.take(owner(*n), rate(1.0), 1, ONE + 1_000));
        assert_eq!(passed.count(), 1_000);
        assert!(!buckets.take(owner(0), rate(0.001), 1, ONE + 1_000), "it was not full");
    }
}
