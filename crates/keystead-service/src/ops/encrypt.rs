//! Encrypt: up to 4096 bytes under a KMS key.

use keystead_model::{
    Blob, EncryptRequest, EncryptResponse, EncryptionAlgorithmSpec, OperationName,
};

use crate::asymmetric::plaintext_fits;
use crate::caller::Caller;
use crate::error::Result;
use crate::operation::{Facts, Key, Need, Operation, Reads};
use crate::proofs::Usable;
use crate::seal::{algorithm_fits, context, context_fits};
use crate::service::Service;

pub(super) struct Encrypt;

impl Operation for Encrypt {
    type Input = EncryptRequest;
    type Output = EncryptResponse;
    type Target = Key;

    const FACTS: Facts = Facts::cryptographic(OperationName::Encrypt, Need::Encryption);

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        context(input.encryption_context.as_ref()).map(drop)
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    fn fits(key: &Usable<Key>, input: &Self::Input) -> Result<()> {
        algorithm_fits(&key.0, input.encryption_algorithm)?;
        context_fits(&key.0, input.encryption_context.as_ref())?;
        plaintext_fits(&key.0, input.encryption_algorithm, input.plaintext.len())
    }
}

impl Reads for Encrypt {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let plaintext = input.plaintext.as_slice();
        let algorithm = input.encryption_algorithm;
        let blob = if key.0.record.is_symmetric() {
            let context = context(input.encryption_context.as_ref())?;
            key.key().seal(service, plaintext, &context).await?.blob
        } else {
            key.key().encrypt_asymmetric(service, algorithm, plaintext).await?
        };
        Ok(EncryptResponse {
            ciphertext_blob: Some(Blob::from(blob)),
            key_id: Some(key.0.arn.clone()),
            encryption_algorithm: Some(
                algorithm.unwrap_or(EncryptionAlgorithmSpec::SymmetricDefault),
            ),
        })
    }
}
