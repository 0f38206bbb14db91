//! ReEncrypt: opens a ciphertext and seals its content under another key or context, the plaintext
//! never leaving the service.

use keystead_model::{
    Blob, EncryptionAlgorithmSpec, OperationName, ReEncryptRequest, ReEncryptResponse,
};

use super::decrypt::{Given, ignores_ciphertext};
use crate::asymmetric::plaintext_fits;
use crate::authorization::Wish;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Need, Operation, ReSealed, Reads};
use crate::proofs::Usable;
use crate::seal::{algorithm_fits, context, context_fits, opens};
use crate::service::Service;

pub(super) struct ReEncrypt;

impl Operation for ReEncrypt {
    type Input = ReEncryptRequest;
    type Output = ReEncryptResponse;
    type Target = ReSealed;

    const FACTS: Facts = Facts::cryptographic(OperationName::ReEncrypt, Need::Encryption);

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        let given = Given {
            ciphertext: input.ciphertext_blob.is_some(),
            key: input.source_key_id.is_some(),
            key_path: "sourceKeyId",
        };
        ignores_ciphertext(input.dry_run, input.dry_run_modifiers.as_deref(), &given)?;
        context(input.source_encryption_context.as_ref())?;
        context(input.destination_encryption_context.as_ref()).map(drop)
    }

    fn key_id<'a>(input: &'a Self::Input, action: &str) -> Option<&'a str> {
        match action {
            "ReEncryptFrom" => input.source_key_id.as_deref(),
            _ => Some(&input.destination_key_id),
        }
    }

    fn wish<'a>(input: &'a Self::Input, action: &str) -> Wish<'a> {
        Wish::Use(match action {
            "ReEncryptFrom" => input.source_encryption_context.as_ref(),
            _ => input.destination_encryption_context.as_ref(),
        })
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<ReSealed> {
        let ignored = input.dry_run_modifiers.as_ref().is_some_and(|all| !all.is_empty());
        let ciphertext = input.ciphertext_blob.as_ref().filter(|_| !ignored).map(Blob::as_slice);
        let named = input.source_key_id.as_deref();
        let source = service.sealed(caller, named, ciphertext, &Self::FACTS, "ReEncryptFrom").await;
        let destination =
            service.key_for(caller, &input.destination_key_id, &Self::FACTS, "ReEncryptTo").await;
        // Whether one of them is another account's and exists must not show in how the other fails.
        // First what is wrong without regard to other accounts; then refusals, in their order.
        match (source, destination) {
            (Err(error), _) | (_, Err(error)) if !error.is_refusal() => Err(error),
            (Err(refused), _) => Err(refused),
            (Ok(source), destination) => Ok(ReSealed { source, destination: destination.ok() }),
        }
    }

    fn fits(sealed: &Usable<ReSealed>, input: &Self::Input) -> Result<()> {
        let (source, destination) = (&sealed.source.key, sealed.destination()?);
        let destination = destination.entry();
        let ignored = input.dry_run_modifiers.as_ref().is_some_and(|all| !all.is_empty());
        let ciphertext = input.ciphertext_blob.is_some() && !ignored;
        opens(source, input.source_encryption_algorithm, ciphertext)?;
        algorithm_fits(destination, input.destination_encryption_algorithm)?;
        context_fits(source, input.source_encryption_context.as_ref())?;
        context_fits(destination, input.destination_encryption_context.as_ref())
    }
}

impl Reads for ReEncrypt {
    async fn act(
        service: &Service,
        _: &Caller,
        sealed: Usable<ReSealed>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let ciphertext = input.ciphertext_blob.as_ref().ok_or_else(Error::invalid_ciphertext)?;
        let source = &sealed.source.key;
        let to_key = sealed.destination()?;
        let destination = to_key.entry();
        let (from, to) =
            (input.source_encryption_algorithm, input.destination_encryption_algorithm);
        let (plaintext, source_material) = if source.record.is_symmetric() {
            let context = context(input.source_encryption_context.as_ref())?;
            let opened = sealed.source().open(service, ciphertext.as_slice(), &context).await?;
            (opened.plaintext, Some(opened.material))
        } else {
            let key = sealed.source();
            (key.decrypt_asymmetric(service, from, ciphertext.as_slice()).await?, None)
        };
        // Only now is it known whether the destination can hold it.
        plaintext_fits(destination, to, plaintext.len())?;
        let (blob, destination_material) = if destination.record.is_symmetric() {
            let context = context(input.destination_encryption_context.as_ref())?;
            let anew = to_key.seal(service, plaintext.expose(), &context).await?;
            (anew.blob, Some(anew.material))
        } else {
            (to_key.encrypt_asymmetric(service, to, plaintext.expose()).await?, None)
        };
        let symmetric = EncryptionAlgorithmSpec::SymmetricDefault;
        Ok(ReEncryptResponse {
            ciphertext_blob: Some(Blob::from(blob)),
            source_key_id: Some(source.arn.clone()),
            key_id: Some(destination.arn.clone()),
            source_encryption_algorithm: Some(from.unwrap_or(symmetric)),
            destination_encryption_algorithm: Some(to.unwrap_or(symmetric)),
            source_key_material_id: source_material.map(|id| id.to_string()),
            destination_key_material_id: destination_material.map(|id| id.to_string()),
        })
    }
}
