//! DescribeKey: the metadata of a key.

use keystead_model::{DescribeKeyRequest, DescribeKeyResponse, OperationName};

use crate::authorization::Wish;
use crate::caller::Caller;
use crate::error::Result;
use crate::metadata;
use crate::operation::{Facts, Key, Operation, Reads};
use crate::proofs::Usable;
use crate::service::Service;

pub(super) struct DescribeKey;

impl Operation for DescribeKey {
    type Input = DescribeKeyRequest;
    type Output = DescribeKeyResponse;
    type Target = Key;

    const FACTS: Facts =
        Facts::management(OperationName::DescribeKey).with_aliases().across_accounts();

    fn wish<'a>(_: &'a Self::Input, _: &str) -> Wish<'a> {
        Wish::Unconstrained
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Reads for DescribeKey {
    async fn act(
        _: &Service,
        _: &Caller,
        key: Usable<Key>,
        _: &Self::Input,
    ) -> Result<Self::Output> {
        Ok(DescribeKeyResponse { key_metadata: Some(metadata::of(&key.0.record)) })
    }
}
