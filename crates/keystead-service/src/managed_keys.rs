//! AWS managed keys: `alias/aws/<service>` (behaviour.md 4.4, 9.3).
//!
//! The key of a service comes into being with the first request that names its alias, in the
//! account and Region of that request. It is a key like any other but for who manages it: its
//! policy lets the account look at it, and use it only by way of the service. No service is
//! connected here, so nobody uses one.

mod services;

use keystead_model::CreateKeyRequest;
use serde_json::Map;

pub(crate) use services::ManagingService;

use crate::caller::Caller;
use crate::error::Result;
use crate::ops::create_key;
use crate::paths;
use crate::records::{AliasRecord, KeyRecord, Rotation};
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

/// Whether the policy of an AWS managed key lets its account take `action` on it directly.
/// Customer managed keys are none of its business.
///
/// It says of the policy what an evaluation of the policy says, as long as there is none, and goes
/// then. What AWS manages by a service that this release does not know is closed.
pub(crate) fn permits(record: &KeyRecord, action: &str) -> bool {
    let Some(service) = &record.managed_by else { return true };
    // Listing the aliases of a key needs no permission on the key (authorization.md 8).
    action == "ListAliases" || services::find(service).is_some_and(|by| by.lets_account(action))
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
        let (mut record, wrapped) = create_key::new_key(self, caller, &input).await?;
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

    fn key(managed_by: Option<&str>) -> KeyRecord {
        let mut record = serde_json::json!({
            "account": "111122223333", "region": "eu-west-1", "created": 0, "description": "",
            "id": "1234abcd-12ab-34cd-56ef-1234567890ab", "spec": "SYMMETRIC_DEFAULT",
            "usage": "ENCRYPT_DECRYPT", "origin": "AWS_KMS", "state": {"name": "Enabled"},
        });
        if let Some(service) = managed_by {
            record["managed_by"] = service.into();
        }
        serde_json::from_value(record).unwrap()
    }

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

    #[test]
    fn a_key_that_a_customer_manages_is_left_to_its_policy() {
        assert!(permits(&key(None), "PutKeyPolicy"));
        assert!(permits(&key(None), "Encrypt"));
    }

    #[test]
    fn what_the_account_may_do_is_what_the_policy_says() {
        let s3 = key(Some("s3"));
        for action in [
            "DescribeKey",
            "GetKeyPolicy",
            "GetKeyRotationStatus",
            "GetKeyLastUsage",
            "ListGrants",
            "ListKeyPolicies",
            "ListKeyRotations",
            "ListResourceTags",
            "ListAliases",
        ] {
            assert!(permits(&s3, action), "{action}");
        }
        for action in [
            "Encrypt",
            "Decrypt",
            "ReEncryptFrom",
            "ReEncryptTo",
            "GenerateDataKey",
            "PutKeyPolicy",
            "CreateGrant",
            "RevokeGrant",
            "TagResource",
            "DisableKey",
            "get",
            "",
        ] {
            assert!(!permits(&s3, action), "{action}");
        }
        assert!(permits(&key(Some("ebs")), "RevokeGrant"));
        // ACM's policy names what may be seen, one by one; that of SES opens mail.
        assert!(permits(&key(Some("acm")), "GetKeyPolicy"));
        assert!(!permits(&key(Some("acm")), "ListResourceTags"));
        assert!(permits(&key(Some("ses")), "Decrypt"));
        assert!(!permits(&key(Some("ses")), "Encrypt"));
    }

    #[test]
    fn a_service_of_a_later_release_opens_nothing() {
        let unknown = key(Some("a service to come"));
        assert!(!permits(&unknown, "DescribeKey"));
        assert!(!permits(&unknown, "Encrypt"));
    }
}
