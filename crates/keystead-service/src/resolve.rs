//! From identifiers to keys (behaviour.md 1.1 to 1.3).

use std::sync::Arc;

use keystead_crypto::{Blob, BlobHeader};
use keystead_model::{
    AccountId, AliasName, KeyId, KeyReference, KeyReferenceError, alias_arn, key_arn,
};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::keys::KeyEntry;
use crate::managed_keys;
use crate::operation::{Facts, Forms, Sealed, Told};
use crate::service::Service;

impl Service {
    /// The key that the request names.
    ///
    /// # Errors
    /// NotFoundException, InvalidArnException; AccessDeniedException for another account's.
    pub(crate) async fn key(
        &self,
        caller: &Caller,
        given: &str,
        facts: &Facts,
    ) -> Result<Arc<KeyEntry>> {
        self.key_for(caller, given, facts, facts.name.as_str()).await
    }

    /// The same, for an operation whose permission on the key has another name than its own.
    ///
    /// # Errors
    /// As [`Service::key`].
    pub(crate) async fn key_for(
        &self,
        caller: &Caller,
        given: &str,
        facts: &Facts,
        action: &str,
    ) -> Result<Arc<KeyEntry>> {
        let reference =
            KeyReference::parse(given).map_err(|error| misnamed(caller, given, error))?;
        match reference {
            KeyReference::KeyId(key) => self.own_key(caller, key).await,
            KeyReference::KeyArn { partition, region, account, key } => {
                here(caller, given, partition, region)?;
                if account == caller.account() {
                    return self.own_key(caller, key).await;
                }
                let refused = across(caller, facts, action)?;
                let found = self.present_key(caller, key).await?;
                found.filter(|entry| entry.record.account == account).ok_or_else(refused)
            }
            KeyReference::AliasName(_) | KeyReference::AliasArn { .. }
                if facts.forms == Forms::KeyOnly =>
            {
                Err(Error::alias_not_taken())
            }
            KeyReference::AliasName(name) => self.aliased_key(caller, name, action).await,
            KeyReference::AliasArn { partition, region, account, name } => {
                here(caller, given, partition, region)?;
                if account == caller.account() {
                    return self.aliased_key(caller, name, action).await;
                }
                let refused = across(caller, facts, action)?;
                let name = name.parse::<AliasName>().map_err(|_| refused())?;
                self.alias_target_in(caller, account, &name).await?.ok_or_else(refused)
            }
        }
    }

    /// A key of the caller's account and Region by its id.
    pub(crate) async fn own_key(&self, caller: &Caller, key: KeyId) -> Result<Arc<KeyEntry>> {
        let missing = || Error::no_such_key(&key_arn(caller.region(), caller.account(), key));
        self.present_key(caller, key)
            .await?
            .filter(|entry| entry.record.account == caller.account())
            .ok_or_else(missing)
    }

    /// The key of this id in the caller's Region, in whichever account, unless it is gone.
    async fn present_key(&self, caller: &Caller, key: KeyId) -> Result<Option<Arc<KeyEntry>>> {
        let now = self.clock.now();
        let found = self.keys.find(&self.keyring, key, caller.region()).await?;
        let Some(entry) = found.filter(|entry| !entry.is_gone(now)) else { return Ok(None) };
        let record = &entry.record;
        let expires = record.valid_to().is_some_and(|valid_to| valid_to <= now);
        let settles = record.settling.as_ref().is_some_and(|settling| settling.at <= now);
        let rotates = record.on_demand.as_ref().is_some_and(|rotation| rotation.completes <= now);
        if !expires && !settles && !rotates {
            return Ok(Some(entry));
        }
        // Dates count on time, swept or not.
        if settles {
            self.settle_if_due(record.account, &record.region, key).await?;
        }
        if expires {
            self.expire_if_due(record.account, &record.region, key).await?;
        }
        if rotates {
            // Related keys rotate with their primary key.
            let primary = record.multi_region.as_ref().map(|all| &all.primary);
            let region = primary.unwrap_or(&record.region);
            self.rotate_if_due(record.account, region, key).await?;
        }
        self.keys.find(&self.keyring, key, caller.region()).await
    }

    /// Of an AWS managed key that does not exist yet, the error says so, and the road makes it.
    async fn aliased_key(
        &self,
        caller: &Caller,
        name: &str,
        action: &str,
    ) -> Result<Arc<KeyEntry>> {
        let missing = || match managed_keys::of_alias(name) {
            Some(by) => Error::no_managed_key_yet(
                caller.principal().shown_arn(),
                &format!("kms:{action}"),
                by,
            ),
            None => Error::no_such_alias(&alias_arn(caller.region(), &caller.account(), name)),
        };
        let name = name.parse::<AliasName>().map_err(|_| missing())?;
        self.alias_target(caller, &name).await?.ok_or_else(missing)
    }

    /// The key that an alias of the caller's account and Region points to, if both exist.
    pub(crate) async fn alias_target(
        &self,
        caller: &Caller,
        name: &AliasName,
    ) -> Result<Option<Arc<KeyEntry>>> {
        self.alias_target_in(caller, caller.account(), name).await
    }

    async fn alias_target_in(
        &self,
        caller: &Caller,
        account: AccountId,
        name: &AliasName,
    ) -> Result<Option<Arc<KeyEntry>>> {
        let region = caller.region();
        let target = self.keys.alias(&self.keyring, account, region, name.as_str()).await?;
        match target {
            Some(key) => self.present_key(caller, key).await,
            None => Ok(None),
        }
    }

    /// The key to open a ciphertext with: the one named, else the one the ciphertext names.
    ///
    /// # Errors
    /// As [`Service::key`]; InvalidCiphertextException or AccessDeniedException without a name.
    pub(crate) async fn sealed(
        &self,
        caller: &Caller,
        named: Option<&str>,
        ciphertext: Option<&[u8]>,
        facts: &Facts,
        action: &str,
    ) -> Result<Sealed> {
        let header = ciphertext.and_then(|bytes| Blob::parse(bytes).ok()).map(|blob| blob.header());
        let of_ciphertext = header.map(|header| {
            let BlobHeader { key_id, multi_region, .. } = header;
            KeyId::from_parts(key_id, multi_region)
        });
        if let Some(named) = named {
            let result = self.key_for(caller, named, facts, action).await;
            return match (result, of_ciphertext) {
                // The bare id of another account's key will do where the ciphertext says the same.
                (Err(error), Some(key)) if error.is_not_found() && named.parse() == Ok(key) => {
                    let found = self.present_key(caller, key).await?.ok_or(error)?;
                    Ok(Sealed { key: found, header, told: Told::Missing })
                }
                (result, _) => result.map(|key| Sealed { key, header, told: Told::Named }),
            };
        }
        let key = of_ciphertext.ok_or_else(Error::invalid_ciphertext)?;
        // Unknown, elsewhere and someone else's are one answer.
        let key = self.present_key(caller, key).await?.ok_or_else(|| {
            let arn = caller.principal().shown_arn();
            Error::denied_ciphertext(arn, &format!("kms:{action}"))
        })?;
        Ok(Sealed { key, header, told: Told::OfCiphertext })
    }
}

/// What a text that names no key is answered with.
fn misnamed(caller: &Caller, given: &str, error: KeyReferenceError<'_>) -> Error {
    match error {
        KeyReferenceError::InvalidKeyId => Error::invalid_key_id(given),
        KeyReferenceError::InvalidArn => Error::invalid_arn(given),
        KeyReferenceError::InvalidKeyIdInArn { region, .. }
        | KeyReferenceError::Capitals { region: Some(region), .. }
            if region != caller.region().as_str() =>
        {
            Error::other_region(region)
        }
        KeyReferenceError::InvalidKeyIdInArn { key, .. } => Error::invalid_key_id_in_arn(key),
        KeyReferenceError::Capitals { region: Some(_), .. } => Error::no_such_key(given),
        KeyReferenceError::Capitals { region: None, key } => {
            let (region, account) = (caller.region(), caller.account());
            Error::no_such_key(&format!(
                "arn:{}:kms:{region}:{account}:key/{key}",
                region.partition()
            ))
        }
    }
}

fn here(caller: &Caller, given: &str, partition: &str, region: &str) -> Result<()> {
    if region != caller.region().as_str() {
        return Err(Error::other_region(region));
    }
    if partition != caller.region().partition().as_str() {
        return Err(Error::invalid_arn(given));
    }
    Ok(())
}

/// The refusal of another account's key, the same whether it exists or not; at once where the
/// operation does not cross accounts.
fn across<'a>(
    caller: &'a Caller,
    facts: &Facts,
    action: &'a str,
) -> Result<impl Fn() -> Error + Copy + use<'a>> {
    let refused = move || {
        Error::denied_across_accounts(caller.principal().shown_arn(), &format!("kms:{action}"))
    };
    if facts.crosses_accounts { Ok(refused) } else { Err(refused()) }
}
