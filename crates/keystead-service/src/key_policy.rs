//! Key policies: the checks of CreateKey and PutKeyPolicy (behaviour.md 9.2).

use keystead_identity::{Directory, Existence};
use keystead_policy::{AwsPrincipal, KeyPolicyError, Policy, default_key_policy};

use crate::authorization::could_put_policy;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::records::KeyRecord;
use crate::service::Service;

/// The only name a key policy has.
pub(crate) const NAME: &str = "default";

/// The policy of a key that was created without one.
pub(crate) fn default(caller: &Caller) -> String {
    default_key_policy(caller.region().partition().as_str(), caller.account().as_str())
}

/// Checks a policy by itself, and that its principals exist as far as that is known: they are of the
/// caller's partition, and in an account of the identity file they are there.
///
/// # Errors
/// LimitExceededException, MalformedPolicyDocumentException, InvalidArnException.
pub(crate) fn check(service: &Service, text: &str, caller: &Caller) -> Result<()> {
    service.settings.quotas.check_policy(text)?;
    let policy = parse(text)?;
    policy.validate_as_key_policy().map_err(|error| match error {
        KeyPolicyError::InvalidArn { .. } => Error::invalid_arn_in_policy(),
        malformed => Error::malformed_policy(malformed.message().to_owned()),
    })?;
    // Identities do not cross partitions: such a principal is one that does not exist.
    let here = caller.region().partition().as_str();
    let elsewhere = |partition: &str| partition != here;
    let directory = service.gate.directory();
    let absent = |principal: &AwsPrincipal| {
        principal.partition().is_some_and(elsewhere)
            || directory.as_deref().is_some_and(|directory| is_absent(directory, principal))
    };
    if policy.principals().any(absent) {
        return Err(Error::malformed_policy(
            "Policy contains a statement with one or more invalid principals.",
        ));
    }
    Ok(())
}

/// Whether identities say that a principal is not there. Of accounts that they do not have they say
/// nothing.
pub(crate) fn is_absent(directory: &Directory, principal: &AwsPrincipal) -> bool {
    let existence = match principal {
        AwsPrincipal::Everyone => return false,
        AwsPrincipal::Account { account, partition } => match partition {
            Some(partition) => {
                directory.principal_exists(&format!("arn:{partition}:iam::{account}:root"))
            }
            None => directory.principal_exists(account),
        },
        AwsPrincipal::Arn { arn, .. } => directory.principal_exists(arn),
        AwsPrincipal::UniqueId(id) => directory.principal_exists(id),
        AwsPrincipal::Impossible(_) | AwsPrincipal::Malformed(_) => Existence::Missing,
    };
    existence == Existence::Missing
}

/// The lockout safety check: the caller must be able to replace the policy of the key later.
///
/// # Errors
/// MalformedPolicyDocumentException.
pub(crate) fn check_lockout(
    service: &Service,
    caller: &Caller,
    text: &str,
    record: &KeyRecord,
) -> Result<()> {
    if could_put_policy(service, caller, &parse(text)?, record) {
        return Ok(());
    }
    Err(Error::malformed_policy(
        "The new key policy will not allow you to update the key policy in the future.",
    ))
}

fn parse(text: &str) -> Result<Policy> {
    Policy::parse(text).map_err(|error| Error::malformed_policy(error.message().to_owned()))
}
