//! DeleteAlias: removes an alias; its key stays.

use keystead_model::{DeleteAliasRequest, Empty, OperationName, alias_arn};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Aliased, Facts, Operation, Writes};
use crate::proofs::Usable;
use crate::service::Service;
use crate::write::{Change, Draft};
use crate::{aliases, paths};

pub(super) struct DeleteAlias;

impl Operation for DeleteAlias {
    type Input = DeleteAliasRequest;
    type Output = Empty;
    type Target = Aliased;

    const FACTS: Facts = Facts::management(OperationName::DeleteAlias);

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        aliases::name(&input.alias_name).map(drop)
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Aliased> {
        let name = aliases::name(&input.alias_name)?;
        let missing =
            || Error::no_such_alias(&alias_arn(caller.region(), &caller.account(), name.as_str()));
        let present = service.alias_target(caller, &name).await?.ok_or_else(missing)?;
        Ok(Aliased { name, present: Some(present), target: None })
    }
}

impl Writes for DeleteAlias {
    async fn act(
        service: &Service,
        caller: &Caller,
        alias: Usable<Aliased>,
        _: &Self::Input,
    ) -> Result<Change<Empty>> {
        let (account, region, name) = (caller.account(), caller.region(), alias.name.as_str());
        let Some(key) = &alias.present else { return Err(Error::internal("no target")) };
        let path = paths::alias(account, region, name);
        let found = service.store.read(&path).await?.ok_or_else(Error::conflict)?;
        let mut record = key.record.clone();
        record.aliases = record.aliases.saturating_sub(1);
        let mut draft = Draft::default();
        draft.unchanged(path.clone(), found.revision).delete(path);
        draft.delete(paths::key_alias(account, region, record.id, name));
        draft.replace(service, key, &record)?;
        Ok(draft.answering(Empty))
    }
}
