//! ListResourceTags: the tags of a key by ascending tag key.

use keystead_model::{ListResourceTagsRequest, ListResourceTagsResponse, OperationName, Tag};

use crate::caller::Caller;
use crate::error::Result;
use crate::operation::{Facts, Key, Operation, Reads};
use crate::pagination::{List, Sizes, cut};
use crate::proofs::Usable;
use crate::service::Service;

const SIZES: Sizes = Sizes { default: 50, maximum: 50 };

pub(super) struct ListResourceTags;

impl Operation for ListResourceTags {
    type Input = ListResourceTagsRequest;
    type Output = ListResourceTagsResponse;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::ListResourceTags);

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        SIZES.check(input.limit)
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Reads for ListResourceTags {
    async fn act(
        service: &Service,
        caller: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let filter = key.0.record.id.to_string();
        let list = List { operation: Self::FACTS.name, filter: &filter, sizes: SIZES };
        let page = list.page(service, caller, input.limit, input.marker.as_deref())?;
        let mut tags: Vec<Tag> = key
            .0
            .record
            .tags
            .iter()
            .filter(|(tag, _)| page.after.as_ref().is_none_or(|last| tag > last))
            .take(page.size + 1)
            .map(|(tag, value)| Tag { tag_key: tag.clone(), tag_value: value.clone() })
            .collect();
        let truncated = cut(&mut tags, page.size);
        let next_marker = match tags.last() {
            Some(last) if truncated => Some(list.marker(service, caller, &last.tag_key)?),
            _ => None,
        };
        Ok(ListResourceTagsResponse { tags: Some(tags), next_marker, truncated: Some(truncated) })
    }
}
