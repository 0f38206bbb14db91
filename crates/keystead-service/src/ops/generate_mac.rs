//! GenerateMac: the HMAC of a message (RFC 2104), full length.

use keystead_model::{Blob, GenerateMacRequest, GenerateMacResponse, OperationName};

use crate::asymmetric::mac_fits;
use crate::caller::Caller;
use crate::error::Result;
use crate::operation::{Facts, Key, Need, Operation, Reads};
use crate::proofs::Usable;
use crate::service::Service;

pub(super) struct GenerateMac;

impl Operation for GenerateMac {
    type Input = GenerateMacRequest;
    type Output = GenerateMacResponse;
    type Target = Key;

    const FACTS: Facts = Facts::cryptographic(OperationName::GenerateMac, Need::Mac);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    fn fits(key: &Usable<Key>, input: &Self::Input) -> Result<()> {
        mac_fits(&key.0.record, input.mac_algorithm)
    }
}

impl Reads for GenerateMac {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let mac = key.key().mac_key(service).await?.generate_mac(input.message.as_slice());
        Ok(GenerateMacResponse {
            mac: Some(Blob::from(mac)),
            mac_algorithm: Some(input.mac_algorithm),
            key_id: Some(key.0.arn.clone()),
        })
    }
}
