//! The operations, one file each, and the one table that lists them all.
//!
//! Dispatch, the list of what is built, and the contract tests come from [`TABLE`]; to add an
//! operation, write its file and its row.

use keystead_model::OperationName;

use crate::caller::Caller;
use crate::operation::{Facts, Reads, Writes};
use crate::road::{Reading, Travelling, Writing, travel};
use crate::service::{RequestId, Service};

mod cancel_key_deletion;
mod connect_custom_key_store;
mod create_alias;
mod create_custom_key_store;
mod create_grant;
pub(crate) mod create_key;
mod decrypt;
mod delete_alias;
mod delete_custom_key_store;
mod delete_imported_key_material;
mod derive_shared_secret;
mod describe_custom_key_stores;
mod describe_key;
mod disable_key;
mod disable_key_rotation;
mod disconnect_custom_key_store;
mod enable_key;
mod enable_key_rotation;
mod encrypt;
mod generate_data_key;
mod generate_data_key_pair;
mod generate_mac;
mod generate_random;
mod get_key_last_usage;
mod get_key_policy;
mod get_key_rotation_status;
mod get_parameters_for_import;
mod get_public_key;
mod import_key_material;
mod list_aliases;
mod list_grants;
mod list_key_policies;
mod list_key_rotations;
mod list_keys;
mod list_resource_tags;
mod list_retirable_grants;
mod put_key_policy;
mod re_encrypt;
mod replicate_key;
mod retire_grant;
mod revoke_grant;
mod rotate_key_on_demand;
mod schedule_key_deletion;
mod sign;
mod tag_resource;
mod untag_resource;
mod update_alias;
mod update_custom_key_store;
mod update_key_description;
mod update_primary_region;
mod verify;
mod verify_mac;

/// Takes a request of one operation from its body to its reply.
type Runner = for<'a> fn(&'a Service, Caller, RequestId, &'a [u8]) -> Travelling<'a>;

/// An operation of the API and how it is carried out.
pub(crate) struct Row {
    pub(crate) name: OperationName,
    pub(crate) facts: Facts,
    /// Whether it writes to the store: such a request is not dropped with its client.
    pub(crate) changes_state: bool,
    pub(crate) run: Runner,
}

const fn reads<O: Reads>() -> Row {
    Row { name: O::FACTS.name, facts: O::FACTS, changes_state: false, run: travel::<O, Reading> }
}

const fn writes<O: Writes>() -> Row {
    Row { name: O::FACTS.name, facts: O::FACTS, changes_state: true, run: travel::<O, Writing> }
}

/// All 54 operations in the order of [`OperationName`].
#[rustfmt::skip]
static TABLE: [Row; 54] = [
    writes::<cancel_key_deletion::CancelKeyDeletion>(),
    writes::<connect_custom_key_store::ConnectCustomKeyStore>(),
    writes::<create_alias::CreateAlias>(),
    writes::<create_custom_key_store::CreateCustomKeyStore>(),
    writes::<create_grant::CreateGrant>(),
    writes::<create_key::CreateKey>(),
    reads::<decrypt::Decrypt>(),
    writes::<delete_alias::DeleteAlias>(),
    writes::<delete_custom_key_store::DeleteCustomKeyStore>(),
    writes::<delete_imported_key_material::DeleteImportedKeyMaterial>(),
    reads::<derive_shared_secret::DeriveSharedSecret>(),
    reads::<describe_custom_key_stores::DescribeCustomKeyStores>(),
    reads::<describe_key::DescribeKey>(),
    writes::<disable_key::DisableKey>(),
    writes::<disable_key_rotation::DisableKeyRotation>(),
    writes::<disconnect_custom_key_store::DisconnectCustomKeyStore>(),
    writes::<enable_key::EnableKey>(),
    writes::<enable_key_rotation::EnableKeyRotation>(),
    reads::<encrypt::Encrypt>(),
    reads::<generate_data_key::GenerateDataKey>(),
    reads::<generate_data_key_pair::GenerateDataKeyPair>(),
    reads::<generate_data_key_pair::GenerateDataKeyPairWithoutPlaintext>(),
    reads::<generate_data_key::GenerateDataKeyWithoutPlaintext>(),
    reads::<generate_mac::GenerateMac>(),
    reads::<generate_random::GenerateRandom>(),
    reads::<get_key_last_usage::GetKeyLastUsage>(),
    reads::<get_key_policy::GetKeyPolicy>(),
    reads::<get_key_rotation_status::GetKeyRotationStatus>(),
    reads::<get_parameters_for_import::GetParametersForImport>(),
    reads::<get_public_key::GetPublicKey>(),
    writes::<import_key_material::ImportKeyMaterial>(),
    reads::<list_aliases::ListAliases>(),
    reads::<list_grants::ListGrants>(),
    reads::<list_key_policies::ListKeyPolicies>(),
    reads::<list_key_rotations::ListKeyRotations>(),
    reads::<list_keys::ListKeys>(),
    reads::<list_resource_tags::ListResourceTags>(),
    reads::<list_retirable_grants::ListRetirableGrants>(),
    writes::<put_key_policy::PutKeyPolicy>(),
    reads::<re_encrypt::ReEncrypt>(),
    writes::<replicate_key::ReplicateKey>(),
    writes::<retire_grant::RetireGrant>(),
    writes::<revoke_grant::RevokeGrant>(),
    writes::<rotate_key_on_demand::RotateKeyOnDemand>(),
    writes::<schedule_key_deletion::ScheduleKeyDeletion>(),
    reads::<sign::Sign>(),
    writes::<tag_resource::TagResource>(),
    writes::<untag_resource::UntagResource>(),
    writes::<update_alias::UpdateAlias>(),
    writes::<update_custom_key_store::UpdateCustomKeyStore>(),
    writes::<update_key_description::UpdateKeyDescription>(),
    writes::<update_primary_region::UpdatePrimaryRegion>(),
    reads::<verify::Verify>(),
    reads::<verify_mac::VerifyMac>(),
];

/// The row of an operation.
pub(crate) fn row(name: OperationName) -> &'static Row {
    // A table in the enum's order makes the index the operation; the test below holds it to that.
    match TABLE.get(name as usize) {
        Some(row) => row,
        None => unreachable!("the table has a row for each operation"),
    }
}

/// The operations that are built, in the order of the API model.
pub fn built() -> impl Iterator<Item = OperationName> {
    TABLE.iter().map(|row| row.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_model() {
        assert_eq!(OperationName::ALL.len(), TABLE.len());
        for name in OperationName::ALL {
            assert_eq!(row(*name).name, *name);
        }
    }

    #[test]
    fn what_acts_on_a_key_has_a_row_in_the_key_state_table() {
        let without_key = TABLE.iter().filter(|row| crate::state::row(row.name).is_none());
        assert_eq!(without_key.count(), 10);
    }
}
