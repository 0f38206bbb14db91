//! UpdateCustomKeyStore: changes a custom key store.

use keystead_model::{OperationName, UpdateCustomKeyStoreRequest, UpdateCustomKeyStoreResponse};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Nothing, Operation, Writes};
use crate::proofs::Usable;
use crate::service::Service;
use crate::write::Change;

pub(super) struct UpdateCustomKeyStore;

impl Operation for UpdateCustomKeyStore {
    type Input = UpdateCustomKeyStoreRequest;
    type Output = UpdateCustomKeyStoreResponse;
    type Target = Nothing;

    const FACTS: Facts = Facts::management(OperationName::UpdateCustomKeyStore);

    async fn resolve(_: &Service, _: &Caller, _: &Self::Input) -> Result<Nothing> {
        Ok(Nothing)
    }
}

impl Writes for UpdateCustomKeyStore {
    async fn act(
        _: &Service,
        _: &Caller,
        _: Usable<Nothing>,
        input: &Self::Input,
    ) -> Result<Change<Self::Output>> {
        // No store can have been created: see CreateCustomKeyStore.
        Err(Error::custom_key_store_not_found(&input.custom_key_store_id))
    }
}
