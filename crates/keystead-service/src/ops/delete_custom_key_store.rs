//! DeleteCustomKeyStore: removes a disconnected custom key store without keys.

use keystead_model::{DeleteCustomKeyStoreRequest, DeleteCustomKeyStoreResponse, OperationName};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Nothing, Operation, Writes};
use crate::proofs::Usable;
use crate::service::Service;
use crate::write::Change;

pub(super) struct DeleteCustomKeyStore;

impl Operation for DeleteCustomKeyStore {
    type Input = DeleteCustomKeyStoreRequest;
    type Output = DeleteCustomKeyStoreResponse;
    type Target = Nothing;

    const FACTS: Facts = Facts::management(OperationName::DeleteCustomKeyStore);

    async fn resolve(_: &Service, _: &Caller, _: &Self::Input) -> Result<Nothing> {
        Ok(Nothing)
    }
}

impl Writes for DeleteCustomKeyStore {
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
