//! CreateGrant: lets a principal use a key for stated operations, until the grant is retired or
//! revoked. Idempotent for grants with a name.

use keystead_model::{CreateGrantRequest, CreateGrantResponse, OperationName};
use serde_json::Map;

use crate::authorization::Wish;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::grants::{self, GrantPlace};
use crate::operation::{Facts, Key, Operation, Writes};
use crate::paths;
use crate::proofs::Usable;
use crate::records::GrantRecord;
use crate::service::Service;
use crate::write::{Change, Draft};

pub(super) struct CreateGrant;

impl Operation for CreateGrant {
    type Input = CreateGrantRequest;
    type Output = CreateGrantResponse;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::CreateGrant).across_accounts();

    fn check(_: &Service, caller: &Caller, input: &Self::Input) -> Result<()> {
        grants::check_principal(&input.grantee_principal, caller)?;
        input.retiring_principal.iter().try_for_each(|arn| grants::check_principal(arn, caller))
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    fn wish<'a>(input: &'a Self::Input, _: &str) -> Wish<'a> {
        Wish::Child(input)
    }

    fn fits(key: &Usable<Key>, input: &Self::Input) -> Result<()> {
        grants::operations(&input.operations, &key.0.record)?;
        grants::constraints(input.constraints.as_ref(), &key.0.record)?;
        Ok(())
    }
}

impl Writes for CreateGrant {
    async fn act(
        service: &Service,
        caller: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Change<Self::Output>> {
        let (equals, subset) = grants::constraints(input.constraints.as_ref(), &key.0.record)?;
        let grant = GrantRecord {
            grantee: input.grantee_principal.clone(),
            retiring: input.retiring_principal.clone(),
            issuer: caller.account(),
            operations: grants::operations(&input.operations, &key.0.record)?,
            equals,
            subset,
            name: input.name.clone(),
            created: service.clock.now(),
            unknown: Map::new(),
        };
        let mut record = key.0.record.clone();
        let (account, region, key_id) = (record.account, record.region.clone(), record.id);
        let id = hex::encode(keystead_crypto::random_bytes::<32>()?);
        let mut place = GrantPlace { account, region: region.clone(), key: key_id, id };
        let mut draft = Draft::default();
        if grant.name.is_some() {
            let fingerprint = grants::fingerprint(service, &grant)?;
            let path = paths::grant_name(account, &region, key_id, &fingerprint);
            if let Some(found) = service.store.read(&path).await? {
                place.id = String::from_utf8(found.value).map_err(Error::internal)?;
                return Ok(Draft::default().answering(answer(service, &place)?));
            }
            draft.absent(path.clone()).put_raw(path, place.id.clone().into_bytes());
        }
        if record.grants >= grants::MAXIMUM {
            return Err(Error::limit_exceeded(format!(
                "{} has {} grants, which is the most a key may have.",
                key.0.arn,
                grants::MAXIMUM
            )));
        }
        record.grants += 1;
        if let Some(retiring) = &grant.retiring {
            let path = paths::retirable(&region, retiring, account, key_id, &place.id);
            draft.put_raw(path, Vec::new());
        }
        let path = paths::grantee(account, &region, key_id, &grant.grantee, &place.id);
        draft.put_raw(path, Vec::new());
        draft.absent(place.path()).put(service, place.path(), &grant)?;
        draft.replace(service, &key.0, &record)?;
        Ok(draft.answering(answer(service, &place)?))
    }
}

fn answer(service: &Service, place: &GrantPlace) -> Result<CreateGrantResponse> {
    Ok(CreateGrantResponse {
        grant_token: Some(service.grant_token(place)?),
        grant_id: Some(place.id.clone()),
    })
}
