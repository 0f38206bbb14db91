//! ReEncrypt: opens a ciphertext and seals its content under another key or context, the plaintext
//! never leaving the service.

use keystead_model::{
    Blob, EncryptionAlgorithmSpec, OperationName, ReEncryptRequest, ReEncryptResponse,
};

use super::decrypt::{Given, ignores_ciphertext};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Need, Operation, ReSealed};
use crate::proofs::Usable;
use crate::seal::{algorithm_fits, context, context_fits};
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

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<ReSealed> {
        let ignored = input.dry_run_modifiers.as_ref().is_some_and(|all| !all.is_empty());
        let ciphertext = input.ciphertext_blob.as_ref().filter(|_| !ignored).map(Blob::as_slice);
        let named = input.source_key_id.as_deref();
        let source =
            service.sealed(caller, named, ciphertext, &Self::FACTS, "ReEncryptFrom").await?;
        let destination =
            service.key_for(caller, &input.destination_key_id, &Self::FACTS, "ReEncryptTo").await?;
        Ok(ReSealed { source, destination })
    }

    fn fits(sealed: &Usable<ReSealed>, input: &Self::Input) -> Result<()> {
        let (source, destination) = (&sealed.source.key, &sealed.destination);
        algorithm_fits(source, input.source_encryption_algorithm)?;
        algorithm_fits(destination, input.destination_encryption_algorithm)?;
        context_fits(source, input.source_encryption_context.as_ref())?;
        context_fits(destination, input.destination_encryption_context.as_ref())
    }

    async fn act(
        service: &Service,
        _: &Caller,
        sealed: Usable<ReSealed>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        for key in [&sealed.source.key, &sealed.destination] {
            if !key.record.is_symmetric() {
                return Err(Error::unsupported(format!(
                    "ReEncrypt with KeySpec {} is not supported.",
                    key.record.spec
                )));
            }
        }
        let ciphertext = input.ciphertext_blob.as_ref().ok_or_else(Error::invalid_ciphertext)?;
        let old = context(input.source_encryption_context.as_ref())?;
        let new = context(input.destination_encryption_context.as_ref())?;
        let opened = sealed.source().open(service, ciphertext.as_slice(), &old).await?;
        let anew = sealed.destination().seal(service, opened.plaintext.expose(), &new).await?;
        Ok(ReEncryptResponse {
            ciphertext_blob: Some(Blob::from(anew.blob)),
            source_key_id: Some(sealed.source.key.arn.clone()),
            key_id: Some(sealed.destination.arn.clone()),
            source_encryption_algorithm: Some(EncryptionAlgorithmSpec::SymmetricDefault),
            destination_encryption_algorithm: Some(EncryptionAlgorithmSpec::SymmetricDefault),
            source_key_material_id: Some(opened.material.to_string()),
            destination_key_material_id: Some(anew.material.to_string()),
        })
    }
}
