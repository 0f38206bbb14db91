//! ListKeyRotations: the completed rotations of a symmetric key, oldest first, and on request the
//! first key material too.

use keystead_model::{
    ExpirationModelType, ImportState, IncludeKeyMaterial, KeyMaterialState,
    ListKeyRotationsRequest, ListKeyRotationsResponse, OperationName, RotationsListEntry,
    Timestamp,
};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Key, Operation, Reads};
use crate::pagination::{List, Sizes, cut};
use crate::proofs::Usable;
use crate::records::MaterialEntry;
use crate::rotation::is_rotatable;
use crate::service::Service;

const SIZES: Sizes = Sizes { default: 100, maximum: 1_000 };

pub(super) struct ListKeyRotations;

impl Operation for ListKeyRotations {
    type Input = ListKeyRotationsRequest;
    type Output = ListKeyRotationsResponse;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::ListKeyRotations);

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        SIZES.check(input.limit)
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    fn fits(key: &Usable<Key>, _: &Self::Input) -> Result<()> {
        is_rotatable(&key.0)
    }
}

impl Reads for ListKeyRotations {
    async fn act(
        service: &Service,
        caller: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let record = &key.0.record;
        let all = input.include_key_material == Some(IncludeKeyMaterial::AllKeyMaterial);
        let filter = format!("{}/{all}", record.id);
        let list = List { operation: Self::FACTS.name, filter: &filter, sizes: SIZES };
        let page = list.page(service, caller, input.limit, input.marker.as_deref())?;
        // Materials are only ever added at the end, so a position stays what it was.
        let skip = match &page.after {
            Some(last) => last.parse::<usize>().map_err(Error::internal)? + 1,
            None => 0,
        };
        let listed = |(_, entry): &(usize, &MaterialEntry)| all || entry.rotated.is_some();
        let mut found: Vec<(usize, &MaterialEntry)> = record
            .materials
            .iter()
            .enumerate()
            .skip(skip)
            .filter(listed)
            .take(page.size + 1)
            .collect();
        let truncated = cut(&mut found, page.size);
        let next_marker = match found.last() {
            Some((last, _)) if truncated => {
                Some(list.marker(service, caller, &last.to_string())?)
            }
            _ => None,
        };
        let everywhere = record.multi_region.is_none()
            || service.is_imported_everywhere(record).await?
                && record
                    .materials
                    .iter()
                    .filter_map(|entry| entry.imported.as_ref())
                    .all(|imported| imported.present || !imported.pending);
        let entry = |(_, entry): (usize, &MaterialEntry)| RotationsListEntry {
            key_id: Some(record.id.to_string()),
            key_material_id: Some(entry.id.to_string()),
            key_material_state: Some(match (&entry.imported, entry.current) {
                (Some(imported), _) if imported.pending && everywhere => {
                    KeyMaterialState::PendingRotation
                }
                (Some(imported), _) if imported.pending => {
                    KeyMaterialState::PendingMultiRegionImportAndRotation
                }
                (_, true) => KeyMaterialState::Current,
                (_, false) => KeyMaterialState::NonCurrent,
            }),
            import_state: entry.imported.as_ref().map(|imported| match imported.present {
                true => ImportState::Imported,
                false => ImportState::PendingImport,
            }),
            expiration_model: entry.imported.as_ref().filter(|imported| imported.present).map(
                |imported| match imported.valid_to {
                    Some(_) => ExpirationModelType::KeyMaterialExpires,
                    None => ExpirationModelType::KeyMaterialDoesNotExpire,
                },
            ),
            valid_to: entry
                .imported
                .as_ref()
                .and_then(|imported| imported.valid_to)
                .map(Timestamp::from_millis),
            key_material_description: entry
                .imported
                .as_ref()
                .and_then(|imported| imported.description.clone()),
            rotation_date: entry.rotated.as_ref().map(|r| Timestamp::from_millis(r.date)),
            rotation_type: entry.rotated.as_ref().map(|r| r.kind),
        };
        Ok(ListKeyRotationsResponse {
            rotations: Some(found.into_iter().map(entry).collect()),
            next_marker,
            truncated: Some(truncated),
        })
    }
}
