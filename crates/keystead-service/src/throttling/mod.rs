//! Request quotas (behaviour.md 7.2): how often an account may call, by group of operations, in each
//! Region. Off unless it is set.
//!
//! The account of the caller pays, whosever key it uses. A request counts however it ends, a dry run
//! too, but not one that is refused for its rate. Where the operation tells the group, the request
//! counts before its body is looked at. Where KeyPairSpec tells, it counts once the body is
//! understood; where the spec of the key tells, once the key is found; and a request that fails
//! before that counts in the group that [`groups::of`] names. None of it is repeated for a request
//! that travels its road again.

mod buckets;
mod groups;

use std::collections::BTreeMap;

use keystead_model::{OperationName, Region};

use self::buckets::{Buckets, Owner};
use self::groups::Found;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Demand, Operation, Resource, Target};
use crate::service::Service;

pub use self::groups::Group;

/// A number of requests per second: from 0.001 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerSecond(
    /// In millionths of a request per second.
    u64,
);

impl PerSecond {
    /// The rate, to the millionth. `None`: out of range.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the range the number is whole, positive and far below 2^53"
    )]
    pub fn new(requests: f64) -> Option<Self> {
        (0.001..=1_000_000.0).contains(&requests).then(|| Self((requests * 1e6).round() as u64))
    }

    const fn whole(requests: u32) -> Self {
        Self(requests as u64 * 1_000_000)
    }

    const fn thousandths(requests: u32) -> Self {
        Self(requests as u64 * 1_000)
    }
}

/// What is set for a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rate {
    /// No limit.
    #[default]
    Off,
    /// AWS's default, which depends on the Region for some groups.
    Aws,
    /// This one, in every Region.
    Limit(PerSecond),
}

/// The request quotas as they are set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates {
    /// For the groups that are not named.
    pub others: Rate,
    /// By group.
    pub groups: BTreeMap<Group, Rate>,
}

impl Rates {
    fn of(&self, group: Group, region: &Region) -> Option<PerSecond> {
        match self.groups.get(&group).copied().unwrap_or(self.others) {
            Rate::Off => None,
            Rate::Aws => Some(group.aws(region)),
            Rate::Limit(rate) => Some(rate),
        }
    }
}

/// Counts requests.
pub(crate) struct Throttling {
    rates: Rates,
    buckets: Buckets,
}

/// What a request counts for besides what its operation's name tells: a group, and how often.
pub(crate) struct Charge {
    pub(crate) group: Group,
    pub(crate) count: u32,
    /// `None`: the Region of the request.
    pub(crate) region: Option<Region>,
}

impl Throttling {
    /// `None` if no rate is limited.
    pub(crate) fn new(rates: Rates) -> Option<Self> {
        let limits = |rate: &Rate| *rate != Rate::Off;
        let any = limits(&rates.others) || rates.groups.values().any(limits);
        any.then(|| Self { rates, buckets: Buckets::new() })
    }

    fn take(&self, owner: Owner, count: u32, now: i64) -> Result<()> {
        let Some(rate) = self.rates.of(owner.group, &owner.region) else { return Ok(()) };
        if self.buckets.take(owner, rate, count, now) { Ok(()) } else { Err(Error::throttled()) }
    }
}

/// What one request has been counted for, and has still to be.
pub(crate) struct Toll<'s> {
    /// `None`: nothing is counted.
    counting: Option<Counting<'s>>,
}

struct Counting<'s> {
    service: &'s Service,
    throttling: &'s Throttling,
    operation: OperationName,
    /// Its group is not known yet; should it stay unknown, it is this.
    undecided: Option<Group>,
    /// The key has been found before, on a road travelled again.
    found: bool,
}

impl<'s> Toll<'s> {
    /// Counts a request by the name of its operation.
    ///
    /// # Errors
    /// ThrottlingException, as of every step here.
    pub(crate) fn begin(
        service: &'s Service,
        caller: &Caller,
        operation: OperationName,
    ) -> Result<Self> {
        let Some(throttling) = &service.throttling else { return Ok(Self { counting: None }) };
        let (group, undecided) = match groups::of(operation) {
            Found::ByName(group) => (Some(group), None),
            Found::Later(group) => (None, Some(group)),
        };
        let counting = Counting { service, throttling, operation, undecided, found: false };
        if let Some(group) = group {
            counting.take(caller, group, 1)?;
        }
        Ok(Self { counting: Some(counting) })
    }

    /// Counts it by what its body says.
    pub(crate) fn decoded<O: Operation>(
        &mut self,
        caller: &Caller,
        input: &O::Input,
    ) -> Result<()> {
        let Some(counting) = &mut self.counting else { return Ok(()) };
        for charge in O::charges(input) {
            counting.undecided = None;
            let region = charge.region.unwrap_or_else(|| caller.region().clone());
            let account = caller.account();
            let owner = Owner { account, region, group: charge.group, key_store: None };
            counting.throttling.take(owner, charge.count, counting.service.clock.now())?;
        }
        Ok(())
    }

    /// Counts it by the keys it uses: once in each of their groups, and in the custom key stores
    /// they live in.
    pub(crate) fn resolved<T: Target>(
        &mut self,
        caller: &Caller,
        target: &T,
        facts: &crate::operation::Facts,
    ) -> Result<()> {
        let Some(counting) = &mut self.counting else { return Ok(()) };
        if std::mem::replace(&mut counting.found, true) {
            return Ok(());
        }
        let demands = target.demands(facts);
        let keys = demands.iter().flatten().filter_map(|demand| match demand {
            Demand { resource: Some(Resource::Key(key)), .. } => Some(&key.record),
            _ => None,
        });
        let keys: Vec<_> = keys.collect();
        if groups::is_by_key(counting.operation) {
            let mut groups: Vec<_> = keys.iter().map(|key| Group::of_key(key.spec)).collect();
            groups.dedup();
            for group in groups {
                counting.undecided = None;
                counting.take(caller, group, 1)?;
            }
        }
        if groups::counts_for_key_store(counting.operation) {
            for key in keys {
                let Some(store) = &key.custom_key_store else { continue };
                let owner = Owner {
                    account: key.account,
                    region: key.region.clone(),
                    group: Group::CustomKeyStore,
                    key_store: Some(store.as_str().into()),
                };
                counting.throttling.take(owner, 1, counting.service.clock.now())?;
            }
        }
        Ok(())
    }

    /// Counts a request that came to its end with its group unknown.
    pub(crate) fn end(self, caller: &Caller) -> Result<()> {
        match self.counting {
            Some(counting) => match counting.undecided {
                Some(group) => counting.take(caller, group, 1),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }
}

impl Counting<'_> {
    fn take(&self, caller: &Caller, group: Group, count: u32) -> Result<()> {
        let (account, region) = (caller.account(), caller.region().clone());
        let owner = Owner { account, region, group, key_store: None };
        self.throttling.take(owner, count, self.service.clock.now())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn rates_out_of_range_are_none() {
        for odd in [0.0, -1.0, 0.0009, 1_000_001.0, f64::NAN, f64::INFINITY] {
            assert_eq!(PerSecond::new(odd), None, "{odd}");
        }
        assert_eq!(PerSecond::new(0.25), Some(PerSecond::thousandths(250)));
        assert_eq!(PerSecond::new(1e6), Some(PerSecond::whole(1_000_000)));
    }

    #[test]
    fn a_named_group_comes_before_the_others() {
        let region = "us-east-1".parse().unwrap();
        let two = PerSecond::whole(2);
        let groups = BTreeMap::from([(Group::Rsa, Rate::Limit(two)), (Group::Ecc, Rate::Off)]);
        let rates = Rates { others: Rate::Aws, groups };
        assert_eq!(rates.of(Group::Rsa, &region), Some(two));
        assert_eq!(rates.of(Group::Ecc, &region), None);
        assert_eq!(rates.of(Group::Symmetric, &region), Some(PerSecond::whole(100_000)));
        assert!(Throttling::new(rates).is_some());
    }

    #[test]
    fn nothing_is_counted_where_nothing_is_limited() {
        assert!(Throttling::new(Rates::default()).is_none());
        let groups = BTreeMap::from([(Group::Rsa, Rate::Off)]);
        assert!(Throttling::new(Rates { others: Rate::Off, groups }).is_none());
    }
}
