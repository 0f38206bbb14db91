//! Sign: a signature over a message, its digest, or an ML-DSA external mu.

use keystead_crypto::{Message, SignError};
use keystead_model::{Blob, OperationName, SignRequest, SignResponse};

use crate::asymmetric::message;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Key, Need, Operation, Reads};
use crate::proofs::Usable;
use crate::service::Service;

pub(super) struct Sign;

impl Operation for Sign {
    type Input = SignRequest;
    type Output = SignResponse;
    type Target = Key;

    const FACTS: Facts = Facts::cryptographic(OperationName::Sign, Need::Signing);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    fn fits(key: &Usable<Key>, input: &Self::Input) -> Result<()> {
        let bytes = input.message.as_slice();
        message(&key.0.record, input.signing_algorithm, input.message_type, bytes).map(drop)
    }
}

impl Reads for Sign {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let bytes = input.message.as_slice().to_vec();
        let (record, kind) = (key.0.record.clone(), input.message_type);
        let named = input.signing_algorithm;
        let signed = key
            .key()
            .with_private_key(service, move |private| {
                let (algorithm, message): (_, Message<'_>) = message(&record, named, kind, &bytes)?;
                private.sign(algorithm, message).map_err(|error| match error {
                    SignError::Crypto(error) => error.into(),
                    other => Error::internal(other),
                })
            })
            .await?;
        Ok(SignResponse {
            key_id: Some(key.0.arn.clone()),
            signature: Some(Blob::from(signed?)),
            signing_algorithm: Some(named),
        })
    }
}
