//! The proofs of the road: values that exist only if a check was made. Their fields are private
//! and each has one constructor, in the function that makes the check; `act` takes
//! [`Usable`], so an operation that skips a check does not compile.

use std::ops::Deref;

use keystead_model::{Input, KeyUsageType};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::managed_keys;
use crate::operation::{Demand, Need, Operation, Resource, Target};
use crate::service::Service;
use crate::state;

/// A target that the caller may act on as the operation wants to.
pub(crate) struct Authorized<T>(T);

/// An authorized target whose state, usage and spec allow the operation now.
pub(crate) struct Usable<T>(T);

impl<T> Deref for Usable<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Step 6 of the road: may the caller do this?
///
/// Until identities and policies are evaluated, a caller is root of its own account and of nothing
/// else. Keys of other accounts do not get past `resolve`; that they cannot get past here either
/// does not depend on it.
///
/// # Errors
/// InvalidGrantTokenException, AccessDeniedException.
pub(crate) async fn authorize<O: Operation>(
    service: &Service,
    caller: &Caller,
    target: O::Target,
    input: &O::Input,
) -> Result<Authorized<O::Target>> {
    // A genuine token of a living grant adds nothing for a root, but must be one.
    for token in input.grant_tokens() {
        service.grant_of_token(token).await?;
    }
    for demand in target.demands(&O::FACTS).iter().flatten() {
        let Some(Resource::Key(key)) = &demand.resource else { continue };
        let action = || format!("kms:{}", demand.action);
        if key.record.account != caller.account() {
            return Err(Error::denied_across_accounts(&caller.arn(), &action()));
        }
        if !managed_keys::permits(&key.record, demand.action) {
            return Err(Error::denied_by_key_policy(&caller.arn(), &action(), &key.arn));
        }
    }
    Ok(Authorized(target))
}

impl<T: Target> Authorized<T> {
    /// Step 7 of the road: contradiction, then for each key its state, its usage, its spec.
    ///
    /// # Errors
    /// IncorrectKeyException, DisabledException, KMSInvalidStateException,
    /// InvalidKeyUsageException, UnsupportedOperationException.
    pub(crate) fn usable<O: Operation<Target = T>>(self) -> Result<Usable<T>> {
        self.0.contradiction()?;
        let row = state::row(O::FACTS.name);
        for demand in self.0.demands(&O::FACTS).iter().flatten() {
            if let Demand { resource: Some(Resource::Key(key)), used: true, .. } = demand {
                if let Some(row) = row {
                    state::permit(row, &key.record, &key.arn)?;
                }
                need::<O>(&key.record, &key.arn)?;
            }
        }
        Ok(Usable(self.0))
    }
}

fn need<O: Operation>(record: &crate::records::KeyRecord, arn: &str) -> Result<()> {
    let operation = O::FACTS.name.as_str();
    let usage = match O::FACTS.need {
        Need::Nothing => return Ok(()),
        Need::Encryption | Need::SymmetricEncryption => KeyUsageType::EncryptDecrypt,
        Need::Signing => KeyUsageType::SignVerify,
        Need::Mac => KeyUsageType::GenerateVerifyMac,
        Need::Agreement => KeyUsageType::KeyAgreement,
    };
    if record.usage != usage {
        return Err(Error::wrong_usage(arn, record.usage.as_str(), operation));
    }
    if O::FACTS.need == Need::SymmetricEncryption && !record.is_symmetric() {
        return Err(Error::wrong_spec(arn, record.spec.as_str(), operation));
    }
    Ok(())
}
