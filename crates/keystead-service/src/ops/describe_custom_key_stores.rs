//! DescribeCustomKeyStores: the custom key stores of the account and Region.

use keystead_model::{
    DescribeCustomKeyStoresRequest, DescribeCustomKeyStoresResponse, OperationName,
};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Nothing, Operation, Reads};
use crate::proofs::Usable;
use crate::service::Service;

pub(super) struct DescribeCustomKeyStores;

impl Operation for DescribeCustomKeyStores {
    type Input = DescribeCustomKeyStoresRequest;
    type Output = DescribeCustomKeyStoresResponse;
    type Target = Nothing;

    const FACTS: Facts = Facts::management(OperationName::DescribeCustomKeyStores);

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        if input.custom_key_store_id.is_some() && input.custom_key_store_name.is_some() {
            return Err(Error::validation(
                "Please specify either CustomKeyStoreId or CustomKeyStoreName.",
            ));
        }
        Ok(())
    }

    async fn resolve(_: &Service, _: &Caller, _: &Self::Input) -> Result<Nothing> {
        Ok(Nothing)
    }
}

impl Reads for DescribeCustomKeyStores {
    async fn act(
        _: &Service,
        _: &Caller,
        _: Usable<Nothing>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        // No store can have been created: see CreateCustomKeyStore.
        if let Some(named) =
            input.custom_key_store_id.as_ref().or(input.custom_key_store_name.as_ref())
        {
            return Err(Error::custom_key_store_not_found(named));
        }
        if let Some(marker) = &input.marker {
            return Err(Error::invalid_marker(marker));
        }
        Ok(DescribeCustomKeyStoresResponse {
            custom_key_stores: Some(Vec::new()),
            next_marker: None,
            truncated: Some(false),
        })
    }
}
