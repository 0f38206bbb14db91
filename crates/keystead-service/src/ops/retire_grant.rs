//! RetireGrant: ends a grant by the will of who may retire it: its retiring principal, its grantee
//! if the grant says so, or the account that issued it. Key policies do not count.

use keystead_model::{Empty, GrantOperation, KeyReference, OperationName, RetireGrantRequest};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::grants::{Grant, GrantPlace, check_id};
use crate::operation::{Demand, Facts, Operation, Target};
use crate::proofs::Usable;
use crate::service::Service;

pub(super) struct RetireGrant;

/// The grant to be retired. Who may is the grant's own say, so no permission is asked for.
pub(crate) struct Retired(Grant);

impl Target for Retired {
    fn demands(&self, _: &Facts) -> [Option<Demand<'_>>; 3] {
        [None, None, None]
    }
}

impl Operation for RetireGrant {
    type Input = RetireGrantRequest;
    type Output = Empty;
    type Target = Retired;

    const FACTS: Facts = Facts::management(OperationName::RetireGrant);

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
        let grant = match (&input.grant_token, &input.key_id, &input.grant_id) {
            (Some(token), ..) => service.grant_of_token(token).await?,
            (None, Some(key), Some(id)) => named(service, caller, key, id).await?,
            _ => return Err(Error::internal("neither token nor ids")),
        };
        if grant.place.region != *caller.region() {
            return Err(Error::invalid_grant_token());
        }
        if !may_retire(caller, &grant) {
            return Err(Error::denied_retiring(&caller.arn(), &grant.place.key_arn()));
        }
        Ok(Retired(grant))
    }

    async fn act(
        service: &Service,
        _: &Caller,
        retired: Usable<Retired>,
        _: &Self::Input,
    ) -> Result<Empty> {
        service.delete_grant(&retired.0).await?;
        Ok(Empty)
    }
}

/// The grant by its key and id. The key may be another account's, named by its ARN; whether that
/// key exists is told to those alone who may retire the grant.
async fn named(service: &Service, caller: &Caller, key: &str, id: &str) -> Result<Grant> {
    if let Ok(KeyReference::KeyArn { account, key, region, .. }) = KeyReference::parse(key)
        && account != caller.account()
        && region == caller.region().as_str()
    {
        let region = caller.region().clone();
        let place = GrantPlace { account, region, key, id: id.to_owned() };
        let arn = place.key_arn();
        let grant = service.grant(place).await?.filter(|grant| may_retire(caller, grant));
        return grant.ok_or_else(|| Error::denied_retiring(&caller.arn(), &arn));
    }
    let entry = service.key(caller, key, &RetireGrant::FACTS).await?;
    let record = &entry.record;
    let place = GrantPlace {
        account: record.account,
        region: record.region.clone(),
        key: record.id,
        id: id.to_owned(),
    };
    service.grant(place).await?.ok_or_else(|| Error::no_such_grant(id))
}

fn may_retire(caller: &Caller, grant: &Grant) -> bool {
    let (arn, record) = (caller.arn(), &grant.record);
    record.issuer == caller.account()
        || record.retiring.as_ref() == Some(&arn)
        || record.grantee == arn && record.operations.contains(&GrantOperation::RetireGrant)
}
