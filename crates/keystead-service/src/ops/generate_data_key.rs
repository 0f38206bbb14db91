//! GenerateDataKey and GenerateDataKeyWithoutPlaintext: a random data key, sealed under a KMS key
//! and, from the first, also in the clear.

use keystead_crypto::Secret;
use keystead_model::{
    Blob, DataKeySpec, EncryptionContextMap, GenerateDataKeyRequest, GenerateDataKeyResponse,
    GenerateDataKeyWithoutPlaintextRequest, GenerateDataKeyWithoutPlaintextResponse, OperationName,
};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Key, Need, Operation, Reads};
use crate::proofs::Usable;
use crate::seal::{Ciphertext, context};
use crate::service::Service;

pub(super) struct GenerateDataKey;

impl Operation for GenerateDataKey {
    type Input = GenerateDataKeyRequest;
    type Output = GenerateDataKeyResponse;
    type Target = Key;

    const FACTS: Facts =
        Facts::cryptographic(OperationName::GenerateDataKey, Need::SymmetricEncryption);

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        length(input.key_spec, input.number_of_bytes)?;
        context(input.encryption_context.as_ref()).map(drop)
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Reads for GenerateDataKey {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let length = length(input.key_spec, input.number_of_bytes)?;
        let context = input.encryption_context.as_ref();
        let (data_key, sealed) = generate(service, &key, length, context).await?;
        Ok(GenerateDataKeyResponse {
            ciphertext_blob: Some(Blob::from(sealed.blob)),
            plaintext: Some(Blob::from(data_key.into_zeroizing())),
            key_id: Some(key.0.arn.clone()),
            key_material_id: Some(sealed.material.to_string()),
            ..GenerateDataKeyResponse::default()
        })
    }
}

pub(super) struct GenerateDataKeyWithoutPlaintext;

impl Operation for GenerateDataKeyWithoutPlaintext {
    type Input = GenerateDataKeyWithoutPlaintextRequest;
    type Output = GenerateDataKeyWithoutPlaintextResponse;
    type Target = Key;

    const FACTS: Facts = Facts::cryptographic(
        OperationName::GenerateDataKeyWithoutPlaintext,
        Need::SymmetricEncryption,
    );

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        length(input.key_spec, input.number_of_bytes)?;
        context(input.encryption_context.as_ref()).map(drop)
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Reads for GenerateDataKeyWithoutPlaintext {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let length = length(input.key_spec, input.number_of_bytes)?;
        let context = input.encryption_context.as_ref();
        let (_, sealed) = generate(service, &key, length, context).await?;
        Ok(GenerateDataKeyWithoutPlaintextResponse {
            ciphertext_blob: Some(Blob::from(sealed.blob)),
            key_id: Some(key.0.arn.clone()),
            key_material_id: Some(sealed.material.to_string()),
        })
    }
}

async fn generate(
    service: &Service,
    key: &Usable<Key>,
    length: usize,
    given: Option<&EncryptionContextMap>,
) -> Result<(Secret, Ciphertext)> {
    let data_key = Secret::random(length)?;
    let sealed = key.key().seal(service, data_key.expose(), &context(given)?).await?;
    Ok((data_key, sealed))
}

/// The length of the data key, bytes.
///
/// # Errors
/// ValidationException unless exactly one of the two is given.
fn length(spec: Option<DataKeySpec>, bytes: Option<i32>) -> Result<usize> {
    match (spec, bytes) {
        (Some(DataKeySpec::Aes256), None) => Ok(32),
        (Some(DataKeySpec::Aes128), None) => Ok(16),
        (None, Some(bytes)) => usize::try_from(bytes).map_err(Error::internal),
        _ => Err(Error::validation("Please specify either number of bytes or key spec.")),
    }
}
