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

    fn check(service: &Service, caller: &Caller, input: &Self::Input) -> Result<()> {
        let named = std::iter::once(&input.grantee_principal).chain(&input.retiring_principal);
        named.into_iter().try_for_each(|arn| grants::check_new_principal(service, arn, caller))
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

    /// The quota is told to a dry run, too. The grant that a name finds again is no further one.
    async fn verify(
        service: &Service,
        caller: &Caller,
        key: &Usable<Key>,
        input: &Self::Input,
    ) -> Result<()> {
        let record = &key.0.record;
        let full = service.settings.quotas.one_more_grant(record.grants, &key.0.arn);
        if full.is_err() && input.name.is_some() {
            let fingerprint = grants::fingerprint(service, &grant(service, caller, key, input)?)?;
            let path = paths::grant_name(record.account, &record.region, record.id, &fingerprint);
            if service.store.read(&path).await?.is_some() {
                return Ok(());
            }
        }
        full.map(drop)
    }
}

impl Writes for CreateGrant {
    async fn act(
        service: &Service,
        caller: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Change<Self::Output>> {
        let grant = grant(service, caller, &key, input)?;
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
        record.grants = service.settings.quotas.one_more_grant(record.grants, &key.0.arn)?;
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

/// The grant that the request asks for.
fn grant(
    service: &Service,
    caller: &Caller,
    key: &Usable<Key>,
    input: &CreateGrantRequest,
) -> Result<GrantRecord> {
    let (equals, subset) = grants::constraints(input.constraints.as_ref(), &key.0.record)?;
    Ok(GrantRecord {
        grantee: input.grantee_principal.clone(),
        retiring: input.retiring_principal.clone(),
        issuer: caller.account(),
        operations: grants::operations(&input.operations, &key.0.record)?,
        equals,
        subset,
        name: input.name.clone(),
        created: service.clock.now(),
        unknown: Map::new(),
    })
}

fn answer(service: &Service, place: &GrantPlace) -> Result<CreateGrantResponse> {
    Ok(CreateGrantResponse {
        grant_token: Some(service.grant_token(place)?),
        grant_id: Some(place.id.clone()),
    })
}
