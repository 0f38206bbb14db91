//! RetireGrant: ends a grant by the will of who may retire it: its retiring principal, its grantee
//! if the grant says so, or the account that issued it. Key policies do not count.

use std::sync::Arc;

use keystead_model::{Empty, OperationName, RetireGrantRequest};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::grants::{Grant, GrantPlace, check_id};
use crate::keys::KeyEntry;
use crate::operation::{Demand, Demands, Facts, Operation, Resource, Target, Writes};
use crate::proofs::Usable;
use crate::service::Service;
use crate::write::Change;

pub(super) struct RetireGrant;

/// The grant to be retired, and its key.
pub(crate) struct Retired {
    grant: Grant,
    key: Arc<KeyEntry>,
}

impl Target for Retired {
    fn demands(&self, facts: &Facts) -> Demands<'_> {
        let resource = Some(Resource::Grant { key: &self.key, grant: &self.grant });
        [Some(Demand::elsewhere(facts.name.as_str(), resource)), None, None, None]
    }
}

impl Operation for RetireGrant {
    type Input = RetireGrantRequest;
    type Output = Empty;
    type Target = Retired;

    const FACTS: Facts = Facts::management(OperationName::RetireGrant).across_accounts();

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        match (&input.grant_token, &input.key_id, &input.grant_id) {
            (Some(_), None, None) => Ok(()),
            (None, Some(_), Some(id)) => check_id(id),
            _ => Err(Error::validation(
                "Please specify either a grant token, or a key ID and a grant ID.",
            )),
        }
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Retired> {
        match (&input.grant_token, &input.key_id, &input.grant_id) {
            (Some(token), ..) => {
                let grant = service.grant_of_token(token).await?;
                if grant.place.region != *caller.region() {
                    return Err(Error::invalid_grant_token());
                }
                let key = service.keys.find(&service.keyring, grant.place.key, caller.region());
                let key = key.await?.ok_or_else(Error::invalid_grant_token)?;
                Ok(Retired { grant, key })
            }
            (None, Some(key), Some(id)) => named(service, caller, key, id).await,
            _ => Err(Error::internal("neither token nor ids")),
        }
    }
}

impl Writes for RetireGrant {
    async fn act(
        service: &Service,
        _: &Caller,
        retired: Usable<Retired>,
        _: &Self::Input,
    ) -> Result<Change<Empty>> {
        Ok(service.without_grant(&retired.grant).await?.answering(Empty))
    }
}

/// The grant by its key and id. Of another account's key, a grant that does not exist is one that
/// the caller may not retire.
async fn named(service: &Service, caller: &Caller, key: &str, id: &str) -> Result<Retired> {
    let key = service.key(caller, key, &RetireGrant::FACTS).await?;
    let record = &key.record;
    let place = GrantPlace {
        account: record.account,
        region: record.region.clone(),
        key: record.id,
        id: id.to_owned(),
    };
    let grant = service.grant(place).await?.ok_or_else(|| {
        if record.account == caller.account() {
            return Error::no_such_grant(id);
        }
        Error::denied_across_accounts(caller.principal().shown_arn(), "kms:RetireGrant")
    })?;
    Ok(Retired { grant, key })
}
