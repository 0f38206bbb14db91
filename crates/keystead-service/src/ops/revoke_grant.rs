//! RevokeGrant: ends a grant by the key owner's will.

use keystead_model::{Empty, OperationName, RevokeGrantRequest};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::grants::{GrantPlace, check_id};
use crate::operation::{Facts, Key, Operation, Writes};
use crate::proofs::Usable;
use crate::service::Service;
use crate::write::Change;

pub(super) struct RevokeGrant;

impl Operation for RevokeGrant {
    type Input = RevokeGrantRequest;
    type Output = Empty;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::RevokeGrant).across_accounts();

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        check_id(&input.grant_id)
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    async fn verify(
        service: &Service,
        _: &Caller,
        key: &Usable<Key>,
        input: &Self::Input,
    ) -> Result<()> {
        service.grant(place(key, input)).await?.map(drop).ok_or_else(|| missing(input))
    }
}

impl Writes for RevokeGrant {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Change<Empty>> {
        let grant = service.grant(place(&key, input)).await?.ok_or_else(|| missing(input))?;
        Ok(service.without_grant(&grant).await?.answering(Empty))
    }
}

fn place(key: &Usable<Key>, input: &RevokeGrantRequest) -> GrantPlace {
    let record = &key.0.record;
    GrantPlace {
        account: record.account,
        region: record.region.clone(),
        key: record.id,
        id: input.grant_id.clone(),
    }
}

fn missing(input: &RevokeGrantRequest) -> Error {
    Error::no_such_grant(&input.grant_id)
}
