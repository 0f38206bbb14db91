//! CreateAlias: gives a key of the account and Region another name.

use keystead_model::{CreateAliasRequest, Empty, OperationName, alias_arn};
use serde_json::Map;

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Aliased, Facts, Operation, Writes};
use crate::proofs::Usable;
use crate::records::AliasRecord;
use crate::service::Service;
use crate::write::{Change, Draft};
use crate::{aliases, paths};

pub(super) struct CreateAlias;

impl Operation for CreateAlias {
    type Input = CreateAliasRequest;
    type Output = Empty;
    type Target = Aliased;

    const FACTS: Facts = Facts::management(OperationName::CreateAlias);

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        aliases::name(&input.alias_name)?;
        aliases::target(&input.target_key_id)
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Aliased> {
        let name = aliases::name(&input.alias_name)?;
        let target = service.key(caller, &input.target_key_id, &Self::FACTS).await?;
        Ok(Aliased { name, present: None, target: Some(target) })
    }
}

impl Writes for CreateAlias {
    async fn act(
        service: &Service,
        caller: &Caller,
        alias: Usable<Aliased>,
        _: &Self::Input,
    ) -> Result<Change<Empty>> {
        let (account, region, name) = (caller.account(), caller.region(), alias.name.as_str());
        let Some(key) = &alias.target else { return Err(Error::internal("no target")) };
        if service.alias_target(caller, &alias.name).await?.is_some() {
            return Err(Error::alias_exists(&alias_arn(region, &account, name)));
        }
        // An alias whose key is gone goes with it, even if the sweep has not come by yet.
        if let Some(gone) = service.keys.alias(&service.keyring, account, region, name).await? {
            service.destroy(account, region, gone, service.clock.now()).await?;
        }
        let now = service.clock.now();
        let mut record = key.record.clone();
        record.aliases = service.settings.quotas.one_more_alias(record.aliases, &key.arn)?;
        let path = paths::alias(account, region, name);
        let entry =
            AliasRecord { target: record.id, created: now, updated: now, unknown: Map::new() };
        let mut draft = Draft::default();
        draft.absent(path.clone()).put(service, path, &entry)?;
        draft.put_raw(paths::key_alias(account, region, record.id, name), Vec::new());
        draft.replace(service, key, &record)?;
        Ok(draft.answering(Empty))
    }
}
