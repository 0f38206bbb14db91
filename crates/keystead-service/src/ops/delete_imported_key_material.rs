//! DeleteImportedKeyMaterial: takes imported material away, by default the current one; the same
//! material can be imported again.

use keystead_model::{
    DeleteImportedKeyMaterialRequest, DeleteImportedKeyMaterialResponse, OperationName,
};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::import;
use crate::operation::{Facts, Key, Operation, Writes};
use crate::proofs::Usable;
use crate::service::Service;
use crate::write::{Change, Draft};

pub(super) struct DeleteImportedKeyMaterial;

impl Operation for DeleteImportedKeyMaterial {
    type Input = DeleteImportedKeyMaterialRequest;
    type Output = DeleteImportedKeyMaterialResponse;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::DeleteImportedKeyMaterial);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Writes for DeleteImportedKeyMaterial {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Change<Self::Output>> {
        let mut record = key.0.record.clone();
        let id = match &input.key_material_id {
            Some(given) => Some(
                record
                    .materials
                    .iter()
                    .map(|entry| entry.id)
                    .find(|id| id.to_string() == *given)
                    .ok_or_else(|| {
                    Error::not_found(format!("Key material '{given}' does not exist"))
                })?,
            ),
            None => record.current_material(),
        };
        let mut draft = Draft::default();
        if let Some(id) = id {
            import::forget(&mut record, id);
            service.drop_materials(&mut draft, &key.0, &record, &[id])?;
        }
        Ok(draft.answering(DeleteImportedKeyMaterialResponse {
            key_id: Some(key.0.arn.clone()),
            key_material_id: id.filter(|_| record.is_symmetric()).map(|id| id.to_string()),
        }))
    }
}
