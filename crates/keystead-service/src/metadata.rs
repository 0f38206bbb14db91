//! From a key's record to its KeyMetadata. Which members are present is part of the behaviour
//! (behaviour.md 4.4): absent is absent, never null or empty.

use keystead_model::{
    ExpirationModelType, KeyManagerType, KeyMetadata, KeyUsageType, MultiRegionConfiguration,
    MultiRegionKey, MultiRegionKeyType, Region, Timestamp, key_arn,
};

use crate::records::{KeyRecord, MultiRegion};
use crate::specs;
use crate::state::State;

/// The KeyMetadata of a key.
pub(crate) fn of(record: &KeyRecord) -> KeyMetadata {
    let spec = record.spec;
    let has = |usage| record.usage == usage;
    KeyMetadata {
        aws_account_id: Some(record.account.to_string()),
        key_id: Some(record.id.to_string()),
        arn: Some(key_arn(&record.region, record.account, record.id)),
        creation_date: Some(Timestamp::from_millis(record.created)),
        enabled: Some(record.state == State::Enabled),
        description: Some(record.description.clone()),
        key_usage: Some(record.usage),
        key_state: Some(record.state.wire()),
        deletion_date: match record.state {
            State::PendingDeletion { deletion, .. } => Some(Timestamp::from_millis(deletion)),
            _ => None,
        },
        valid_to: record.valid_to().map(Timestamp::from_millis),
        expiration_model: expiration_model(record),
        origin: Some(record.origin),
        custom_key_store_id: record.custom_key_store.clone(),
        key_manager: Some(match record.managed_by {
            Some(_) => KeyManagerType::Aws,
            None => KeyManagerType::Customer,
        }),
        // The same, although the deprecated enumeration lacks the newest specs [obs 2026].
        customer_master_key_spec: Some(spec),
        key_spec: Some(spec),
        encryption_algorithms: has(KeyUsageType::EncryptDecrypt)
            .then(|| specs::encryption_algorithms(spec).to_vec()),
        signing_algorithms: has(KeyUsageType::SignVerify)
            .then(|| specs::signing_algorithms(spec).to_vec()),
        key_agreement_algorithms: has(KeyUsageType::KeyAgreement)
            .then(|| specs::key_agreement_algorithms(spec).to_vec()),
        mac_algorithms: has(KeyUsageType::GenerateVerifyMac)
            .then(|| specs::mac_algorithms(spec).to_vec()),
        multi_region: Some(record.multi_region.is_some()),
        multi_region_configuration: record.multi_region.as_ref().map(|all| related(record, all)),
        pending_deletion_window_in_days: match record.state {
            State::PendingReplicaDeletion { window } => Some(window),
            _ => None,
        },
        current_key_material_id: record
            .is_symmetric()
            .then(|| record.current_material())
            .flatten()
            .map(|id| id.to_string()),
        ..KeyMetadata::default()
    }
}

/// Told only while imported material is there.
fn expiration_model(record: &KeyRecord) -> Option<ExpirationModelType> {
    let mut imported = record.materials.iter().filter_map(|entry| entry.imported.as_ref());
    let present = imported.any(|imported| imported.present);
    present.then(|| match record.valid_to() {
        Some(_) => ExpirationModelType::KeyMaterialExpires,
        None => ExpirationModelType::KeyMaterialDoesNotExpire,
    })
}

fn related(record: &KeyRecord, all: &MultiRegion) -> MultiRegionConfiguration {
    let key_in = |region: &Region| MultiRegionKey {
        arn: Some(key_arn(region, record.account, record.id)),
        region: Some(region.to_string()),
    };
    let kind = if all.primary == record.region {
        MultiRegionKeyType::Primary
    } else {
        MultiRegionKeyType::Replica
    };
    let replicas = all.replicas.iter().filter_map(|region| region.parse().ok());
    MultiRegionConfiguration {
        multi_region_key_type: Some(kind),
        primary_key: Some(key_in(&all.primary)),
        replica_keys: Some(replicas.map(|region| key_in(&region)).collect()),
    }
}
