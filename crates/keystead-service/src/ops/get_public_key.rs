//! GetPublicKey: the public half of an asymmetric key, SubjectPublicKeyInfo (RFC 5280).

use keystead_model::{Blob, GetPublicKeyRequest, GetPublicKeyResponse, OperationName};

use crate::asymmetric::public_key_bytes;
use crate::authorization::Wish;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::metadata;
use crate::operation::{Facts, Key, Operation, Reads};
use crate::proofs::Usable;
use crate::service::Service;
use crate::specs;

pub(super) struct GetPublicKey;

impl Operation for GetPublicKey {
    type Input = GetPublicKeyRequest;
    type Output = GetPublicKeyResponse;
    type Target = Key;

    const FACTS: Facts =
        Facts::management(OperationName::GetPublicKey).with_aliases().across_accounts();

    fn wish<'a>(_: &'a Self::Input, _: &str) -> Wish<'a> {
        Wish::Unconstrained
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    fn fits(key: &Usable<Key>, _: &Self::Input) -> Result<()> {
        let record = &key.0.record;
        if record.is_symmetric() || !specs::mac_algorithms(record.spec).is_empty() {
            return Err(Error::unsupported_silent());
        }
        Ok(())
    }
}

impl Reads for GetPublicKey {
    async fn act(
        _: &Service,
        _: &Caller,
        key: Usable<Key>,
        _: &Self::Input,
    ) -> Result<Self::Output> {
        let metadata = metadata::of(&key.0.record);
        Ok(GetPublicKeyResponse {
            key_id: Some(key.0.arn.clone()),
            public_key: Some(Blob::from(public_key_bytes(&key.0)?)),
            customer_master_key_spec: metadata.customer_master_key_spec,
            key_spec: metadata.key_spec,
            key_usage: metadata.key_usage,
            encryption_algorithms: metadata.encryption_algorithms,
            signing_algorithms: metadata.signing_algorithms,
            key_agreement_algorithms: metadata.key_agreement_algorithms,
        })
    }
}
