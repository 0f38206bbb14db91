//! Resource quotas (behaviour.md 7.1): how much an account may have in a Region, and a key of its
//! own. Those that AWS raises on request are settings; 50 tags, 25 rotations on demand and 10 grant
//! tokens are fixed and stand where they are checked.
//!
//! Keys are counted in [`crate::key_counts`]; aliases and grants are counted in the record of their
//! key, which each of their changes replaces under a guard.

use keystead_model::{AccountId, KeyId, Region};
use keystead_store::KeyRange;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::key_counts::Making;
use crate::paths;
use crate::service::Service;

/// The resource quotas that can be set; AWS's numbers by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Keys of an account in one Region, in any state; each related multi-Region key counts.
    pub keys: u32,
    /// Aliases that point to one key.
    pub aliases_per_key: u32,
    /// Grants on one key.
    pub grants_per_key: u32,
    /// The length of a key policy, bytes of UTF-8.
    pub policy_bytes: u32,
    /// Custom key stores of an account in one Region.
    pub custom_key_stores: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            keys: 100_000,
            aliases_per_key: 50,
            grants_per_key: 50_000,
            policy_bytes: 32_768,
            custom_key_stores: 10,
        }
    }
}

impl Quotas {
    /// The name and complaint of the first quota that cannot be kept.
    ///
    /// Nothing grows without bound by a quota: counting keys takes memory for each of them, and the
    /// API model takes no policy over 131,072 characters.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        let bounds = [
            ("keys", self.keys, 0, 10_000_000),
            ("aliases_per_key", self.aliases_per_key, 0, 10_000),
            ("grants_per_key", self.grants_per_key, 0, 1_000_000),
            ("policy_bytes", self.policy_bytes, 1, 131_072),
            ("custom_key_stores", self.custom_key_stores, 0, 10_000),
        ];
        let odd =
            bounds.into_iter().find(|(_, value, least, most)| !(*least..=*most).contains(value));
        odd.map(|(name, _, least, most)| (name, format!("must be from {least} to {most}")))
    }

    /// Refuses one alias more than a key may have; else how many it has then.
    ///
    /// # Errors
    /// LimitExceededException; the text is ours.
    pub(crate) fn one_more_alias(&self, present: u32, arn: &str) -> Result<u32> {
        one_more(present, self.aliases_per_key, || format!("{arn} has all the aliases"))
    }

    /// Refuses one grant more than a key may have; else how many it has then.
    ///
    /// # Errors
    /// LimitExceededException; the text is ours.
    pub(crate) fn one_more_grant(&self, present: u32, arn: &str) -> Result<u32> {
        one_more(present, self.grants_per_key, || format!("{arn} has all the grants"))
    }

    /// Refuses one custom key store more than an account may have in a Region.
    ///
    /// # Errors
    /// LimitExceededException; the text is ours.
    pub(crate) fn one_more_key_store(&self, present: u32, region: &Region) -> Result<u32> {
        let whose = || format!("Your account has all the custom key stores in {region}");
        one_more(present, self.custom_key_stores, whose)
    }

    /// Refuses a key policy that is too long.
    ///
    /// # Errors
    /// LimitExceededException; the text is ours.
    pub(crate) fn check_policy(&self, text: &str) -> Result<()> {
        let most = usize::try_from(self.policy_bytes).map_err(Error::internal)?;
        if text.len() > most {
            return Err(Error::limit_exceeded(format!(
                "The key policy must not be longer than {most} bytes."
            )));
        }
        Ok(())
    }
}

fn one_more(present: u32, quota: u32, whose: impl Fn() -> String) -> Result<u32> {
    if present >= quota {
        return Err(Error::limit_exceeded(format!(
            "{} that its quota of {quota} allows.",
            whose()
        )));
    }
    Ok(present + 1)
}

impl Service {
    /// A place for one key more of an account in a Region. It is held for as long as the key is
    /// being made, so that however many are made at once, their number never passes the quota.
    ///
    /// # Errors
    /// LimitExceededException, the text is ours; KMSInternalException.
    pub(crate) async fn place_for_key(
        &self,
        account: AccountId,
        region: &Region,
        id: KeyId,
    ) -> Result<Making> {
        let quota = usize::try_from(self.settings.quotas.keys).map_err(Error::internal)?;
        let counts = self.keys.counts();
        let place = counts.place(account, region);
        // A feed that has missed changes says so now and not when the keys have just been counted.
        self.keys.refresh();
        loop {
            counts.count(&place, self.store.as_ref(), account, region).await?;
            // What was deleted before this request began makes room for it.
            self.keys.refresh();
            if let Some(making) = counts.make(&place, id, quota) {
                return Ok(making);
            }
            if place.is_counted() {
                break;
            }
        }
        // AWS managed keys are no part of the quota. They are the ones that the predefined aliases
        // point to, few, and looked for only where they decide.
        let managed = KeyRange::prefix(paths::alias(account, region, "alias/aws/"));
        let managed = self.store.scan(managed, MANAGED).await?.len();
        if let Some(making) = counts.make(&place, id, quota.saturating_add(managed)) {
            return Ok(making);
        }
        Err(Error::limit_exceeded(format!(
            "Your account has all the keys in {region} that its quota of {quota} allows."
        )))
    }
}

/// More predefined aliases than AWS has services.
const MANAGED: usize = 1_000;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn aws_numbers_stand_by_default_and_can_be_kept() {
        let quotas = Quotas::default();
        assert_eq!(quotas.fault(), None);
        assert_eq!((quotas.keys, quotas.aliases_per_key), (100_000, 50));
        assert_eq!((quotas.grants_per_key, quotas.policy_bytes), (50_000, 32_768));
        assert_eq!(quotas.custom_key_stores, 10);
    }

    #[test]
    fn the_last_one_allowed_is_allowed() {
        let quotas = Quotas { aliases_per_key: 2, grants_per_key: 1, ..Quotas::default() };
        assert_eq!(quotas.one_more_alias(1, "k").unwrap(), 2);
        let refusal = quotas.one_more_alias(2, "k").unwrap_err();
        assert_eq!(refusal.type_name(), "LimitExceededException");
        assert_eq!(refusal.message(), Some("k has all the aliases that its quota of 2 allows."));
        assert_eq!(quotas.one_more_grant(0, "k").unwrap(), 1);
        assert!(quotas.one_more_grant(1, "k").is_err());
        assert!(quotas.one_more_grant(u32::MAX, "k").is_err(), "a lowered quota");
        let region = "eu-west-1".parse().unwrap();
        assert_eq!(quotas.one_more_key_store(9, &region).unwrap(), 10);
        assert!(quotas.one_more_key_store(10, &region).is_err());
    }

    #[test]
    fn a_policy_is_measured_in_bytes() {
        let quotas = Quotas { policy_bytes: 4, ..Quotas::default() };
        assert!(quotas.check_policy("éé").is_ok());
        assert!(quotas.check_policy("ééx").is_err());
    }

    #[test]
    fn quotas_that_cannot_be_kept_are_named() {
        let most = Quotas { policy_bytes: 131_072, keys: 0, ..Quotas::default() };
        assert_eq!(most.fault(), None);
        let odd = Quotas { policy_bytes: 131_073, ..most };
        assert_eq!(odd.fault(), Some(("policy_bytes", "must be from 1 to 131072".to_owned())));
        let odd = Quotas { keys: 10_000_001, ..most };
        assert_eq!(odd.fault().unwrap().0, "keys");
    }
}
