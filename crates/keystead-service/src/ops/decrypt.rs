//! Decrypt: opens a ciphertext of Encrypt, ReEncrypt or the GenerateDataKey family.

use keystead_model::{
    Blob, DecryptRequest, DecryptResponse, DryRunModifierType, EncryptionAlgorithmSpec,
    OperationName,
};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Need, Operation, Reads, Sealed};
use crate::proofs::Usable;
use crate::seal::{context, context_fits, opens};
use crate::service::Service;

pub(super) struct Decrypt;

impl Operation for Decrypt {
    type Input = DecryptRequest;
    type Output = DecryptResponse;
    type Target = Sealed;

    const FACTS: Facts = Facts::cryptographic(OperationName::Decrypt, Need::Encryption);

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        let given = Given {
            ciphertext: input.ciphertext_blob.is_some(),
            key: input.key_id.is_some(),
            key_path: "keyId",
        };
        ignores_ciphertext(input.dry_run, input.dry_run_modifiers.as_deref(), &given)?;
        context(input.encryption_context.as_ref()).map(drop)
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Sealed> {
        let ignored = input.dry_run_modifiers.as_ref().is_some_and(|all| !all.is_empty());
        let ciphertext = input.ciphertext_blob.as_ref().filter(|_| !ignored).map(Blob::as_slice);
        let named = input.key_id.as_deref();
        service.sealed(caller, named, ciphertext, &Self::FACTS, "Decrypt").await
    }

    fn fits(sealed: &Usable<Sealed>, input: &Self::Input) -> Result<()> {
        let ignored = input.dry_run_modifiers.as_ref().is_some_and(|all| !all.is_empty());
        let ciphertext = input.ciphertext_blob.is_some() && !ignored;
        opens(&sealed.key, input.encryption_algorithm, ciphertext)?;
        context_fits(&sealed.key, input.encryption_context.as_ref())
    }
}

impl Reads for Decrypt {
    async fn act(
        service: &Service,
        _: &Caller,
        sealed: Usable<Sealed>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let ciphertext = input.ciphertext_blob.as_ref().ok_or_else(Error::invalid_ciphertext)?;
        if !sealed.key.record.is_symmetric() {
            let algorithm = input.encryption_algorithm;
            let plaintext =
                sealed.key().decrypt_asymmetric(service, algorithm, ciphertext.as_slice()).await?;
            return Ok(DecryptResponse {
                key_id: Some(sealed.key.arn.clone()),
                plaintext: Some(Blob::from(plaintext.into_zeroizing())),
                encryption_algorithm: algorithm,
                ..DecryptResponse::default()
            });
        }
        let context = context(input.encryption_context.as_ref())?;
        let opened = sealed.key().open(service, ciphertext.as_slice(), &context).await?;
        Ok(DecryptResponse {
            key_id: Some(sealed.key.arn.clone()),
            plaintext: Some(Blob::from(opened.plaintext.into_zeroizing())),
            encryption_algorithm: Some(EncryptionAlgorithmSpec::SymmetricDefault),
            key_material_id: Some(opened.material.to_string()),
            ..DecryptResponse::default()
        })
    }
}

/// What a request that opens a ciphertext has brought along.
pub(super) struct Given {
    pub(super) ciphertext: bool,
    pub(super) key: bool,
    /// The path of the key member in error texts.
    pub(super) key_path: &'static str,
}

/// Whether the ciphertext is to be ignored, and whether that is allowed (behaviour.md 4.2).
///
/// # Errors
/// ValidationException.
pub(super) fn ignores_ciphertext(
    dry_run: Option<bool>,
    modifiers: Option<&[DryRunModifierType]>,
    given: &Given,
) -> Result<bool> {
    let ignores = modifiers.is_some_and(|all| all.contains(&DryRunModifierType::IgnoreCiphertext));
    if ignores && dry_run != Some(true) {
        return Err(Error::validation("DryRunModifiers can be used only with DryRun."));
    }
    let missing = match (ignores, given.ciphertext, given.key) {
        (false, false, _) => "ciphertextBlob",
        (true, _, false) => given.key_path,
        _ => return Ok(ignores),
    };
    Err(Error::validation(format!(
        "1 validation error detected: Value null at '{missing}' failed to satisfy constraint: \
         Member must not be null"
    )))
}
