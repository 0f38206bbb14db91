//! ImportKeyMaterial: gives a key of origin EXTERNAL material of the caller's own.

use keystead_crypto::{WrappingAlgorithm, WrappingError, WrappingKey, WrappingKeySpec};
use keystead_model::{
    ExpirationModelType, ImportKeyMaterialRequest, ImportKeyMaterialResponse, ImportType,
    OperationName, Timestamp,
};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::import;
use crate::operation::{Facts, Key, Operation, Writes};
use crate::proofs::Usable;
use crate::records::Imported;
use crate::rotation::DAY;
use crate::service::Service;
use crate::write::{Change, Draft};

/// The longest life of imported material, days.
const LONGEST: i64 = 365;

pub(super) struct ImportKeyMaterial;

impl Operation for ImportKeyMaterial {
    type Input = ImportKeyMaterialRequest;
    type Output = ImportKeyMaterialResponse;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::ImportKeyMaterial);

    fn check(service: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        valid_to(input)?.map_or(Ok(()), |end| in_range(end, service.clock.now()))?;
        if input.import_type == Some(ImportType::NewKeyMaterial) && input.key_material_id.is_some()
        {
            return Err(Error::validation(
                "KeyMaterialId cannot be specified with ImportType NEW_KEY_MATERIAL.",
            ));
        }
        Ok(())
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Writes for ImportKeyMaterial {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Change<Self::Output>> {
        let opened = service.open_import_token(&key.0, input.import_token.as_slice())?;
        let spec = WrappingKeySpec::parse(&opened.token.spec);
        let algorithm = WrappingAlgorithm::parse(&opened.token.algorithm);
        let (Some(spec), Some(algorithm)) = (spec, algorithm) else {
            return Err(Error::invalid_import_token());
        };
        let wrapped = input.encrypted_key_material.as_slice().to_vec();
        let unwrapped = service
            .private_operations
            .run(move || {
                WrappingKey::from_pkcs8(spec, opened.pkcs8.expose())
                    .map_err(|_| Error::invalid_import_token())?
                    .unwrap(algorithm, &wrapped)
                    .map_err(|error| match error {
                        WrappingError::InvalidCiphertext => Error::invalid_ciphertext(),
                        // [rep 2024]
                        WrappingError::Length => Error::validation("Invalid encrypted key size."),
                        other => Error::internal(other),
                    })
            })
            .await??;
        let mut record = key.0.record.clone();
        let new = service.take_material(&record, &unwrapped)?;
        let valid_to = valid_to(input)?.map(Timestamp::as_millis);
        let description = input.key_material_description.clone();
        let imported = Imported {
            present: true,
            generation: 0,
            region: None,
            pending: false,
            valid_to,
            description,
        };
        let named = input.key_material_id.as_deref();
        let now = service.clock.now();
        import::put(&mut record, &key.0.arn, &new, input.import_type, named, imported, now)?;
        record.public_key = new.public_key.or(record.public_key);
        let mut draft = Draft::default();
        draft.put_raw(record.material_path(new.id), new.wrapped);
        if let Some(end) = valid_to {
            service.due(&mut draft, &record, end)?;
        }
        service.announce_import(&mut draft, &key.0, &record, new.id).await?;
        Ok(draft.answering(ImportKeyMaterialResponse {
            key_id: Some(key.0.arn.clone()),
            key_material_id: record.is_symmetric().then(|| new.id.to_string()),
        }))
    }
}

/// When the material is to expire, by the rules between ExpirationModel and ValidTo.
fn valid_to(input: &ImportKeyMaterialRequest) -> Result<Option<Timestamp>> {
    let model = input.expiration_model.unwrap_or(ExpirationModelType::KeyMaterialExpires);
    match (model, input.valid_to) {
        (ExpirationModelType::KeyMaterialExpires, None) => Err(Error::validation(
            "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES",
        )),
        (ExpirationModelType::KeyMaterialDoesNotExpire, Some(_)) => Err(Error::validation(
            "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE",
        )),
        (_, end) => Ok(end),
    }
}

fn in_range(end: Timestamp, now: i64) -> Result<()> {
    let end = end.as_millis();
    if end <= now {
        return Err(Error::validation("ValidTo must be in the future"));
    }
    if end > now.saturating_add(LONGEST * DAY) {
        return Err(Error::validation("ValidTo must be within 365 days from now"));
    }
    Ok(())
}
