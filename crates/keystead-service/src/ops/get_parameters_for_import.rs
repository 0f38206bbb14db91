//! GetParametersForImport: a fresh wrapping key and the token that ImportKeyMaterial wants with
//! what was wrapped, both good for 24 hours. Nothing of it is stored: the token carries it, sealed.

use keystead_crypto::{WrappingKey, check_wrapping, generate_wrapping_key};
use keystead_model::{
    Blob, GetParametersForImportRequest, GetParametersForImportResponse, OperationName, Timestamp,
    WrappingKeySpec,
};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::import::{TOKEN_LIFE, Token, algorithm, kind, wrapping_spec};
use crate::operation::{Facts, Key, Operation, Reads};
use crate::proofs::Usable;
use crate::service::Service;
use crate::specs;

pub(super) struct GetParametersForImport;

impl Operation for GetParametersForImport {
    type Input = GetParametersForImportRequest;
    type Output = GetParametersForImportResponse;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::GetParametersForImport);

    fn check(service: &Service, caller: &Caller, input: &Self::Input) -> Result<()> {
        algorithm(input.wrapping_algorithm)?;
        if input.wrapping_key_spec == WrappingKeySpec::Sm2 && !specs::sm2_is_open(service, caller) {
            return Err(Error::not_in_this_region("WrappingKeySpec", "SM2"));
        }
        Ok(())
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    fn fits(key: &Usable<Key>, input: &Self::Input) -> Result<()> {
        let spec = key.0.record.spec;
        check_wrapping(
            wrapping_spec(input.wrapping_key_spec)?,
            algorithm(input.wrapping_algorithm)?,
            kind(spec)?,
        )
        .map_err(|_| {
            // [obs 2023]
            Error::validation(format!(
                "Wrapping algorithm {} and wrapping key spec {} cannot be used to import a {spec} \
                 key.",
                input.wrapping_algorithm, input.wrapping_key_spec
            ))
        })
    }
}

impl Reads for GetParametersForImport {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let spec = wrapping_spec(input.wrapping_key_spec)?;
        let pkcs8 = service.generation.run(move || generate_wrapping_key(spec)).await??;
        let wrapping = WrappingKey::from_pkcs8(spec, pkcs8.expose())
            .map_err(|_| Error::internal("a new wrapping key that cannot be read"))?;
        let expires = service.clock.now().saturating_add(TOKEN_LIFE);
        let token = Token {
            key: key.0.record.id.to_string(),
            algorithm: input.wrapping_algorithm.as_str().to_owned(),
            spec: input.wrapping_key_spec.as_str().to_owned(),
            expires,
        };
        Ok(GetParametersForImportResponse {
            key_id: Some(key.0.arn.clone()),
            import_token: Some(Blob::from(service.import_token(&key.0, &token, &pkcs8)?)),
            public_key: Some(Blob::from(wrapping.public_spki())),
            parameters_valid_to: Some(Timestamp::from_millis(expires)),
        })
    }
}
