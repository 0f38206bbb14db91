//! Encrypt: up to 4096 bytes under a KMS key.

use keystead_model::{
    Blob, EncryptRequest, EncryptResponse, EncryptionAlgorithmSpec, OperationName,
};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Key, Need, Operation};
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
        context_fits(&key.0, input.encryption_context.as_ref())
    }

    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        if !key.0.record.is_symmetric() {
            return Err(Error::unsupported(format!(
                "Encrypt with KeySpec {} is not supported.",
                key.0.record.spec
            )));
        }
        let context = context(input.encryption_context.as_ref())?;
        let sealed = key.key().seal(service, input.plaintext.as_slice(), &context).await?;
        Ok(EncryptResponse {
            ciphertext_blob: Some(Blob::from(sealed.blob)),
            key_id: Some(key.0.arn.clone()),
            encryption_algorithm: Some(EncryptionAlgorithmSpec::SymmetricDefault),
        })
    }
}
