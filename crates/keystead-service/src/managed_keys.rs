//! AWS managed keys: `alias/aws/<service>` (behaviour.md 4.4, 9.3).
//!
//! The key of a service comes into being with the first request that names its alias, in the
//! account and Region of that request. It is a key like any other but for who manages it: its
//! policy lets the account look at it, and use it only by way of the service. No service is
//! connected here, so nobody uses one.

mod services;

use keystead_model::{CreateKeyRequest, KeyId, key_arn};
use serde_json::Map;

pub(crate) use services::ManagingService;

use crate::audit::KeyEvent;
use crate::caller::Caller;
use crate::error::Result;
use crate::ops::create_key;
use crate::paths;
use crate::records::{AliasRecord, Rotation};
use crate::rotation::DAY;
use crate::service::Service;

const PREFIX: &str = "alias/aws/";

/// Days from one rotation of an AWS managed key to the next; nobody can change it.
const PERIOD: i32 = 365;

/// The service whose AWS managed key has this alias, bound or not.
pub(crate) fn of_alias(name: &str) -> Option<&'static ManagingService> {
    services::find(name.strip_prefix(PREFIX)?)
}

/// The aliases that ListAliases shows before there is a key, ascending.
pub(crate) fn predefined() -> impl Iterator<Item = String> {
    services::SERVICES.iter().filter(|service| service.predefined).map(ManagingService::alias)
}

impl Service {
    /// Makes the AWS managed key of a service in the caller's account and Region. If another
    /// request was faster, its key is the one.
    ///
    /// # Errors
    /// KMSInternalException.
    pub(crate) async fn create_managed_key(
        &self,
        caller: &Caller,
        by: &ManagingService,
    ) -> Result<()> {
        let input =
            CreateKeyRequest { description: Some(by.description()), ..CreateKeyRequest::default() };
        // No part of the quota of keys.
        let id = KeyId::from_random(keystead_crypto::random_bytes()?, false);
        let (mut record, wrapped) = create_key::new_key(self, caller, &input, id).await?;
        let next = record.created.saturating_add(DAY * i64::from(PERIOD));
        record.managed_by = Some(by.name.to_owned());
        record.rotation = Some(Rotation { period: PERIOD, next });
        record.aliases = 1;
        let (account, region) = (record.account, &record.region);
        let mut draft = create_key::draft(self, &record, wrapped, by.policy(account, region))?;
        self.due(&mut draft, &record, next)?;
        let name = by.alias();
        let (created, unknown) = (record.created, Map::new());
        let alias = AliasRecord { target: record.id, created, updated: created, unknown };
        let path = paths::alias(account, region, &name);
        // The one guard that two first uses meet at.
        draft.absent(path.clone()).put(self, path, &alias)?;
        draft.put_raw(paths::key_alias(account, region, record.id, &name), Vec::new());
        let arn = key_arn(region, account, record.id);
        self.note_event(&mut draft, &KeyEvent::of_key("CreateKey", &record, &arn))?;
        match draft.commit(self).await {
            Err(error) if error.is_conflict() => Ok(()),
            result => result,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_the_table_are_aliases_of_managed_keys() {
        assert_eq!(of_alias("alias/aws/s3").unwrap().name, "s3");
        for name in
            ["alias/aws/foo", "alias/aws/", "alias/aws/S3", "alias/aws/s3/", "alias/s3", "s3"]
        {
            assert!(of_alias(name).is_none(), "{name}");
        }
        let shown: Vec<String> = predefined().collect();
        assert_eq!(shown.len(), 11);
        assert!(shown.is_sorted() && shown.contains(&"alias/aws/ebs".to_owned()));
    }
}
