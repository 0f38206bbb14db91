//! GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext: a unique asymmetric key pair whose
//! private half (PKCS #8, RFC 5958) is sealed under a symmetric KMS key and, from the first, also
//! in the clear; the public half is a SubjectPublicKeyInfo (RFC 5280).

use keystead_crypto::{DataKeyPair, PairSpec};
use keystead_model::{
    Blob, DataKeyPairSpec, EncryptionContextMap, GenerateDataKeyPairRequest,
    GenerateDataKeyPairResponse, GenerateDataKeyPairWithoutPlaintextRequest,
    GenerateDataKeyPairWithoutPlaintextResponse, OperationName,
};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Key, Need, Operation, Reads};
use crate::proofs::Usable;
use crate::seal::{Ciphertext, context};
use crate::service::Service;
use crate::specs;
use crate::throttling::{Charge, Group};

pub(super) struct GenerateDataKeyPair;

impl Operation for GenerateDataKeyPair {
    type Input = GenerateDataKeyPairRequest;
    type Output = GenerateDataKeyPairResponse;
    type Target = Key;

    const FACTS: Facts =
        Facts::cryptographic(OperationName::GenerateDataKeyPair, Need::SymmetricEncryption);

    fn check(service: &Service, caller: &Caller, input: &Self::Input) -> Result<()> {
        is_open(service, caller, input.key_pair_spec)?;
        context(input.encryption_context.as_ref()).map(drop)
    }

    fn charges(input: &Self::Input) -> Vec<Charge> {
        charges(input.key_pair_spec)
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    fn fits(key: &Usable<Key>, _: &Self::Input) -> Result<()> {
        outside_key_stores(key)
    }
}

impl Reads for GenerateDataKeyPair {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let context = input.encryption_context.as_ref();
        let (pair, sealed) = generate(service, &key, input.key_pair_spec, context).await?;
        Ok(GenerateDataKeyPairResponse {
            private_key_ciphertext_blob: Some(Blob::from(sealed.blob)),
            private_key_plaintext: Some(Blob::from(pair.private_pkcs8.into_zeroizing())),
            public_key: Some(Blob::from(pair.public_spki)),
            key_id: Some(key.0.arn.clone()),
            key_pair_spec: Some(input.key_pair_spec),
            key_material_id: Some(sealed.material.to_string()),
            ..GenerateDataKeyPairResponse::default()
        })
    }
}

pub(super) struct GenerateDataKeyPairWithoutPlaintext;

impl Operation for GenerateDataKeyPairWithoutPlaintext {
    type Input = GenerateDataKeyPairWithoutPlaintextRequest;
    type Output = GenerateDataKeyPairWithoutPlaintextResponse;
    type Target = Key;

    const FACTS: Facts = Facts::cryptographic(
        OperationName::GenerateDataKeyPairWithoutPlaintext,
        Need::SymmetricEncryption,
    );

    fn check(service: &Service, caller: &Caller, input: &Self::Input) -> Result<()> {
        is_open(service, caller, input.key_pair_spec)?;
        context(input.encryption_context.as_ref()).map(drop)
    }

    fn charges(input: &Self::Input) -> Vec<Charge> {
        charges(input.key_pair_spec)
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    fn fits(key: &Usable<Key>, _: &Self::Input) -> Result<()> {
        outside_key_stores(key)
    }
}

impl Reads for GenerateDataKeyPairWithoutPlaintext {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let context = input.encryption_context.as_ref();
        let (pair, sealed) = generate(service, &key, input.key_pair_spec, context).await?;
        Ok(GenerateDataKeyPairWithoutPlaintextResponse {
            private_key_ciphertext_blob: Some(Blob::from(sealed.blob)),
            public_key: Some(Blob::from(pair.public_spki)),
            key_id: Some(key.0.arn.clone()),
            key_pair_spec: Some(input.key_pair_spec),
            key_material_id: Some(sealed.material.to_string()),
        })
    }
}

/// Each spec has a request quota, which both operations share.
fn charges(spec: DataKeyPairSpec) -> Vec<Charge> {
    vec![Charge { group: Group::DataKeyPair(spec), count: 1, region: None }]
}

async fn generate(
    service: &Service,
    key: &Usable<Key>,
    spec: DataKeyPairSpec,
    given: Option<&EncryptionContextMap>,
) -> Result<(DataKeyPair, Ciphertext)> {
    let spec = PairSpec::parse(spec.as_str())
        .ok_or_else(|| Error::unsupported(format!("KeyPairSpec {spec} is not supported.")))?;
    let pair = service.generation.pair(spec).await?;
    let sealed = key.key().seal(service, pair.private_pkcs8.expose(), &context(given)?).await?;
    Ok((pair, sealed))
}

/// SM2 pairs are for the China Regions, unless the settings open them everywhere.
fn is_open(service: &Service, caller: &Caller, spec: DataKeyPairSpec) -> Result<()> {
    if spec == DataKeyPairSpec::Sm2 && !specs::sm2_is_open(service, caller) {
        return Err(Error::not_in_this_region("KeyPairSpec", spec.as_str()));
    }
    Ok(())
}

/// Data key pairs cannot be made under a key in a custom key store [aws].
fn outside_key_stores(key: &Usable<Key>) -> Result<()> {
    match key.0.record.custom_key_store {
        Some(_) => Err(Error::unsupported_silent()),
        None => Ok(()),
    }
}
