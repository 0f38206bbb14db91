//! DeriveSharedSecret: ECDH with a peer's public key; the raw x coordinate, padded to the field
//! (SP 800-56A, 5.7.1.2).

use keystead_crypto::{AgreeError, PublicKey};
use keystead_model::{Blob, DeriveSharedSecretRequest, DeriveSharedSecretResponse, OperationName};

use crate::asymmetric::spec;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Key, Need, Operation, Reads};
use crate::proofs::Usable;
use crate::service::Service;

pub(super) struct DeriveSharedSecret;

impl Operation for DeriveSharedSecret {
    type Input = DeriveSharedSecretRequest;
    type Output = DeriveSharedSecretResponse;
    type Target = Key;

    const FACTS: Facts = Facts::cryptographic(OperationName::DeriveSharedSecret, Need::Agreement);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    /// A peer key that cannot be used is told before the DryRun answer.
    fn fits(key: &Usable<Key>, input: &Self::Input) -> Result<()> {
        PublicKey::from_spki(spec(key.0.record.spec)?, input.public_key.as_slice())
            .map(drop)
            .map_err(|_| Error::invalid_peer_key())
    }
}

impl Reads for DeriveSharedSecret {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let peer = input.public_key.as_slice().to_vec();
        let agreed = key
            .key()
            .with_private_key(service, move |private| private.agree(&peer))
            .await?
            .map_err(|error| match error {
                AgreeError::PeerKey => Error::invalid_peer_key(),
                other => Error::internal(other),
            })?;
        Ok(DeriveSharedSecretResponse {
            key_id: Some(key.0.arn.clone()),
            shared_secret: Some(Blob::from(agreed.into_zeroizing())),
            key_agreement_algorithm: Some(input.key_agreement_algorithm),
            key_origin: Some(key.0.record.origin),
            ..DeriveSharedSecretResponse::default()
        })
    }
}
