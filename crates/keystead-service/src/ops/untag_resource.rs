//! UntagResource: removes tags from a key. Removing one it does not have succeeds.

use keystead_model::{Empty, OperationName, UntagResourceRequest};

use crate::caller::Caller;
use crate::error::Result;
use crate::operation::{Facts, Key, Operation, Writes};
use crate::proofs::Usable;
use crate::service::Service;
use crate::write::{Change, Draft};

pub(super) struct UntagResource;

impl Operation for UntagResource {
    type Input = UntagResourceRequest;
    type Output = Empty;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::UntagResource);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Writes for UntagResource {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Change<Empty>> {
        let mut record = key.0.record.clone();
        record.tags.retain(|(tag, _)| !input.tag_keys.contains(tag));
        let mut draft = Draft::default();
        if record.tags != key.0.record.tags {
            draft.replace(service, &key.0, &record)?;
        }
        Ok(draft.answering(Empty))
    }
}
