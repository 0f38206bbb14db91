//! The proofs of the road: values that exist only if a check was made. Their fields are private
//! and each has one constructor, in the function that makes the check; `act` takes
//! [`Usable`], so an operation that skips a check does not compile.

use std::ops::Deref;

use keystead_model::{Input, KeyUsageType};

use crate::authorization::{Asked, named_alias, permit};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Demand, Need, Operation, Resource, Target};
use crate::service::Service;
use crate::state;

/// A target that the caller may act on as the operation wants to.
pub(crate) struct Authorized<T>(T);

/// An authorized target whose usage, state and spec allow the operation now.
pub(crate) struct Usable<T>(T);

impl<T> Deref for Usable<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Step 6 of the road: may the caller do this?
///
/// # Errors
/// InvalidGrantTokenException, AccessDeniedException.
pub(crate) async fn authorize<O: Operation>(
    service: &Service,
    caller: &Caller,
    target: O::Target,
    input: &O::Input,
) -> Result<Authorized<O::Target>> {
    // A token that adds nothing must still be one.
    let mut grants = Vec::new();
    for token in input.grant_tokens() {
        grants.push(service.grant_of_token(token).await?);
    }
    for demand in target.demands(&O::FACTS).iter().flatten() {
        let asked = Asked {
            caller,
            request: input,
            alias: O::key_id(input, demand.action).and_then(named_alias),
            same_key: target.same_key(),
            grants: &grants,
            wish: O::wish(input, demand.action),
        };
        permit(service, &asked, demand).await?;
    }
    Ok(Authorized(target))
}

impl<T: Target> Authorized<T> {
    /// Step 7 of the road: contradiction, then for each key its usage, its state, its spec. That
    /// usage comes before state is reported of the real service (2026).
    ///
    /// # Errors
    /// IncorrectKeyException, DisabledException, KMSInvalidStateException,
    /// InvalidKeyUsageException, UnsupportedOperationException.
    pub(crate) fn usable<O: Operation<Target = T>>(self) -> Result<Usable<T>> {
        self.0.contradiction()?;
        let row = state::row(O::FACTS.name);
        for demand in self.0.demands(&O::FACTS).iter().flatten() {
            if let Demand { resource: Some(Resource::Key(key)), used: true, .. } = demand {
                usage::<O>(&key.record, &key.arn)?;
                if let Some(row) = row {
                    state::permit(row, &key.record, &key.arn)?;
                }
                if O::FACTS.need == Need::SymmetricEncryption && !key.record.is_symmetric() {
                    return Err(Error::no_data_keys());
                }
            }
        }
        Ok(Usable(self.0))
    }
}

fn usage<O: Operation>(record: &crate::records::KeyRecord, arn: &str) -> Result<()> {
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
    Ok(())
}
