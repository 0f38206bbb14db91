//! TagResource: adds tags to a key, or replaces the values of those it has.

use keystead_model::{Empty, OperationName, TagResourceRequest};

use crate::caller::Caller;
use crate::error::Result;
use crate::operation::{Facts, Key, Operation, Writes};
use crate::proofs::Usable;
use crate::service::Service;
use crate::tags;
use crate::write::{Change, Draft};

pub(super) struct TagResource;

impl Operation for TagResource {
    type Input = TagResourceRequest;
    type Output = Empty;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::TagResource);

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        tags::check(&input.tags)
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Writes for TagResource {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Change<Empty>> {
        let mut record = key.0.record.clone();
        record.tags = tags::merged(&record.tags, &input.tags);
        tags::fits(record.tags.len())?;
        let mut draft = Draft::default();
        draft.replace(service, &key.0, &record)?;
        Ok(draft.answering(Empty))
    }
}
