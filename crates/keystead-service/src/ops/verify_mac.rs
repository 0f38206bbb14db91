//! VerifyMac: whether an HMAC is one of the key over the message, in constant time; if not, an
//! exception.

use keystead_model::{OperationName, VerifyMacRequest, VerifyMacResponse};

use crate::asymmetric::mac_fits;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Key, Need, Operation, Reads};
use crate::proofs::Usable;
use crate::service::Service;

pub(super) struct VerifyMac;

impl Operation for VerifyMac {
    type Input = VerifyMacRequest;
    type Output = VerifyMacResponse;
    type Target = Key;

    const FACTS: Facts = Facts::cryptographic(OperationName::VerifyMac, Need::Mac);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    fn fits(key: &Usable<Key>, input: &Self::Input) -> Result<()> {
        mac_fits(&key.0.record, input.mac_algorithm)
    }
}

impl Reads for VerifyMac {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        key.key()
            .mac_key(service)
            .await?
            .verify_mac(input.message.as_slice(), input.mac.as_slice())
            .map_err(|_| Error::invalid_mac())?;
        Ok(VerifyMacResponse {
            key_id: Some(key.0.arn.clone()),
            mac_valid: Some(true),
            mac_algorithm: Some(input.mac_algorithm),
        })
    }
}
