//! Verify: whether a signature is one of the key over the message; if not, an exception.

use keystead_crypto::VerifyError;
use keystead_model::{OperationName, VerifyRequest, VerifyResponse};

use crate::asymmetric::message;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Key, Need, Operation, Reads};
use crate::proofs::Usable;
use crate::service::Service;

pub(super) struct Verify;

impl Operation for Verify {
    type Input = VerifyRequest;
    type Output = VerifyResponse;
    type Target = Key;

    const FACTS: Facts = Facts::cryptographic(OperationName::Verify, Need::Signing);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    fn fits(key: &Usable<Key>, input: &Self::Input) -> Result<()> {
        let bytes = input.message.as_slice();
        message(&key.0.record, input.signing_algorithm, input.message_type, bytes).map(drop)
    }
}

impl Reads for Verify {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let bytes = input.message.as_slice().to_vec();
        let signature = input.signature.as_slice().to_vec();
        let (record, kind) = (key.0.record.clone(), input.message_type);
        let (named, public) = (input.signing_algorithm, key.key().public_key()?);
        let verified = service.private_operations.run(move || {
            let (algorithm, message) = message(&record, named, kind, &bytes)?;
            public.verify(algorithm, message, &signature).map_err(|error| match error {
                VerifyError::InvalidSignature => Error::invalid_signature(),
                other => Error::internal(other),
            })
        });
        verified.await??;
        Ok(VerifyResponse {
            key_id: Some(key.0.arn.clone()),
            signature_valid: Some(true),
            signing_algorithm: Some(named),
        })
    }
}
