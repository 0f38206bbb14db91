//! GenerateRandom: random bytes, no key involved.

use keystead_crypto::Secret;
use keystead_model::{Blob, GenerateRandomRequest, GenerateRandomResponse, OperationName};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Need, Nothing, Operation, Reads};
use crate::proofs::Usable;
use crate::service::Service;

pub(super) struct GenerateRandom;

impl Operation for GenerateRandom {
    type Input = GenerateRandomRequest;
    type Output = GenerateRandomResponse;
    type Target = Nothing;

    const FACTS: Facts = Facts::cryptographic(OperationName::GenerateRandom, Need::Nothing);

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        if input.number_of_bytes.is_none() {
            return Err(Error::validation("NumberOfBytes is required."));
        }
        // No custom key store can exist yet.
        match &input.custom_key_store_id {
            Some(store) => Err(Error::custom_key_store_not_found(store)),
            None => Ok(()),
        }
    }

    async fn resolve(_: &Service, _: &Caller, _: &Self::Input) -> Result<Nothing> {
        Ok(Nothing)
    }
}

impl Reads for GenerateRandom {
    async fn act(
        _: &Service,
        _: &Caller,
        _: Usable<Nothing>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let length =
            usize::try_from(input.number_of_bytes.unwrap_or_default()).map_err(Error::internal)?;
        let random = Secret::random(length)?;
        Ok(GenerateRandomResponse {
            plaintext: Some(Blob::from(random.into_zeroizing())),
            ..GenerateRandomResponse::default()
        })
    }
}
