//! UpdateAlias: points an alias to another key of the same kind.

use keystead_model::{Empty, KeySpec, OperationName, UpdateAliasRequest, alias_arn};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Aliased, Facts, Operation, Writes};
use crate::proofs::Usable;
use crate::records::{self, AliasRecord, KeyRecord};
use crate::service::Service;
use crate::write::{Change, Draft};
use crate::{aliases, paths};

pub(super) struct UpdateAlias;

impl Operation for UpdateAlias {
    type Input = UpdateAliasRequest;
    type Output = Empty;
    type Target = Aliased;

    const FACTS: Facts = Facts::management(OperationName::UpdateAlias);

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        aliases::name(&input.alias_name)?;
        aliases::target(&input.target_key_id)
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Aliased> {
        let name = aliases::name(&input.alias_name)?;
        let missing =
            || Error::no_such_alias(&alias_arn(caller.region(), &caller.account(), name.as_str()));
        let present = service.alias_target(caller, &name).await?.ok_or_else(missing)?;
        let target = service.key(caller, &input.target_key_id, &Self::FACTS).await?;
        Ok(Aliased { name, present: Some(present), target: Some(target) })
    }

    /// The new key must be of the present one's kind and usage, so that what was written against
    /// the alias goes on working.
    fn fits(alias: &Usable<Aliased>, _: &Self::Input) -> Result<()> {
        let (Some(present), Some(target)) = (&alias.present, &alias.target) else {
            return Err(Error::internal("no target"));
        };
        let (present, target) = (&present.record, &target.record);
        if kind(present) != kind(target) || present.usage != target.usage {
            return Err(Error::validation(format!(
                "Alias {} cannot be moved from a key with KeySpec {} and KeyUsage {} to a key \
                 with KeySpec {} and KeyUsage {}.",
                alias.name.as_str(),
                present.spec,
                present.usage,
                target.spec,
                target.usage
            )));
        }
        Ok(())
    }
}

impl Writes for UpdateAlias {
    async fn act(
        service: &Service,
        caller: &Caller,
        alias: Usable<Aliased>,
        _: &Self::Input,
    ) -> Result<Change<Empty>> {
        let (account, region, name) = (caller.account(), caller.region(), alias.name.as_str());
        let (Some(present), Some(target)) = (&alias.present, &alias.target) else {
            return Err(Error::internal("no target"));
        };
        let path = paths::alias(account, region, name);
        let found = service.store.read(&path).await?.ok_or_else(Error::conflict)?;
        let mut entry: AliasRecord =
            records::decode(service.keyring.record_key(), &path, &found.value)
                .map_err(Error::internal)?;
        if entry.target != present.record.id {
            return Err(Error::conflict());
        }
        entry.target = target.record.id;
        entry.updated = service.clock.now();
        let mut draft = Draft::default();
        draft.unchanged(path.clone(), found.revision).put(service, path, &entry)?;
        if present.record.id != target.record.id {
            let (mut old, mut new) = (present.record.clone(), target.record.clone());
            old.aliases = old.aliases.saturating_sub(1);
            new.aliases = service.settings.quotas.one_more_alias(new.aliases, &target.arn)?;
            draft.delete(paths::key_alias(account, region, old.id, name));
            draft.put_raw(paths::key_alias(account, region, new.id, name), Vec::new());
            draft.replace(service, present, &old)?.replace(service, target, &new)?;
        }
        Ok(draft.answering(Empty))
    }
}

#[derive(PartialEq)]
enum Kind {
    Symmetric,
    Hmac,
    Asymmetric,
}

fn kind(record: &KeyRecord) -> Kind {
    match record.spec {
        KeySpec::SymmetricDefault => Kind::Symmetric,
        KeySpec::Hmac224 | KeySpec::Hmac256 | KeySpec::Hmac384 | KeySpec::Hmac512 => Kind::Hmac,
        _ => Kind::Asymmetric,
    }
}
