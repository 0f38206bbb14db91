//! What the trail shows of each request and each answer: the allow lists of audit.md 4. A member
//! that is not listed here is not printed; blobs and sensitive texts cannot be listed, since they
//! are not [`Shown`].

use keystead_audit::Object;
use keystead_model::*;

/// What `requestParameters` shows of a request.
pub(crate) trait Audited {
    /// Writes the listed members.
    fn parameters(&self, _out: &mut Object) {}
}

/// What a record shows of an answer.
pub(crate) trait Answered {
    /// `responseElements`, which operations that change something have. `key`: the ARN of the key
    /// that was changed.
    fn elements(&self, _key: Option<&str>, _out: &mut Object) {}

    /// `additionalEventData`.
    fn additional(&self, _out: &mut Object) {}

    /// The ARN of the key that was made.
    fn made(&self) -> Option<&str> {
        None
    }
}

/// A value that may stand in a record.
trait Shown {
    fn show(&self, name: &str, out: &mut Object);
}

impl<T: Shown> Shown for Option<T> {
    fn show(&self, name: &str, out: &mut Object) {
        if let Some(value) = self {
            value.show(name, out);
        }
    }
}

impl Shown for String {
    fn show(&self, name: &str, out: &mut Object) {
        out.text(name, self);
    }
}

impl Shown for i32 {
    fn show(&self, name: &str, out: &mut Object) {
        out.integer(name, i64::from(*self));
    }
}

impl Shown for bool {
    fn show(&self, name: &str, out: &mut Object) {
        out.boolean(name, *self);
    }
}

impl Shown for Timestamp {
    fn show(&self, name: &str, out: &mut Object) {
        out.date(name, self.as_millis());
    }
}

impl Shown for EncryptionContextMap {
    fn show(&self, name: &str, out: &mut Object) {
        if !self.is_empty() {
            out.map(name, self.iter());
        }
    }
}

impl Shown for GrantConstraints {
    fn show(&self, name: &str, out: &mut Object) {
        out.object(name, |out| {
            self.encryption_context_subset.show("encryptionContextSubset", out);
            self.encryption_context_equals.show("encryptionContextEquals", out);
        });
    }
}

impl Shown for Vec<Tag> {
    fn show(&self, name: &str, out: &mut Object) {
        out.objects(name, self, |out, tag| {
            out.text("tagKey", &tag.tag_key).text("tagValue", &tag.tag_value);
        });
    }
}

impl Shown for Vec<String> {
    fn show(&self, name: &str, out: &mut Object) {
        out.texts(name, self.iter().map(String::as_str));
    }
}

macro_rules! names {
    ($($kind:ident)*) => { $(
        impl Shown for $kind {
            fn show(&self, name: &str, out: &mut Object) {
                out.text(name, self.as_str());
            }
        }

        impl Shown for Vec<$kind> {
            fn show(&self, name: &str, out: &mut Object) {
                out.texts(name, self.iter().map(|value| value.as_str()));
            }
        }
    )* };
}

names! {
    AlgorithmSpec CustomerMasterKeySpec DataKeyPairSpec DataKeySpec EncryptionAlgorithmSpec
    ExpirationModelType GrantOperation ImportType IncludeKeyMaterial KeyAgreementAlgorithmSpec
    KeyManagerType KeySpec KeyState KeyUsageType MacAlgorithmSpec MessageType MultiRegionKeyType
    OriginType SigningAlgorithmSpec WrappingKeySpec
}

macro_rules! listed {
    ($($request:ident { $($member:ident $name:literal),* $(,)? })*) => { $(
        impl Audited for $request {
            #[allow(unused_variables, reason = "a list may be empty")]
            fn parameters(&self, out: &mut Object) {
                $(self.$member.show($name, out);)*
            }
        }
    )* };
}

listed! {
    CancelKeyDeletionRequest { key_id "keyId" }
    ConnectCustomKeyStoreRequest { custom_key_store_id "customKeyStoreId" }
    CreateAliasRequest { alias_name "aliasName", target_key_id "targetKeyId" }
    CreateCustomKeyStoreRequest {
        custom_key_store_name "customKeyStoreName",
        cloud_hsm_cluster_id "clusterId",
    }
    CreateGrantRequest {
        key_id "keyId",
        constraints "constraints",
        operations "operations",
        grantee_principal "granteePrincipal",
        retiring_principal "retiringPrincipal",
        name "name",
    }
    DeleteAliasRequest { alias_name "aliasName" }
    DeleteCustomKeyStoreRequest { custom_key_store_id "customKeyStoreId" }
    DeleteImportedKeyMaterialRequest { key_id "keyId", key_material_id "keyMaterialId" }
    DeriveSharedSecretRequest {
        key_agreement_algorithm "keyAgreementAlgorithm",
        key_id "keyId",
    }
    DescribeCustomKeyStoresRequest { custom_key_store_id "customKeyStoreId" }
    DescribeKeyRequest { key_id "keyId" }
    DisableKeyRequest { key_id "keyId" }
    DisableKeyRotationRequest { key_id "keyId" }
    DisconnectCustomKeyStoreRequest { custom_key_store_id "customKeyStoreId" }
    EnableKeyRequest { key_id "keyId" }
    EnableKeyRotationRequest { key_id "keyId", rotation_period_in_days "rotationPeriodInDays" }
    GenerateDataKeyPairRequest {
        key_id "keyId",
        key_pair_spec "keyPairSpec",
        encryption_context "encryptionContext",
    }
    GenerateDataKeyPairWithoutPlaintextRequest {
        key_id "keyId",
        key_pair_spec "keyPairSpec",
        encryption_context "encryptionContext",
    }
    GenerateDataKeyRequest {
        key_id "keyId",
        key_spec "keySpec",
        number_of_bytes "numberOfBytes",
        encryption_context "encryptionContext",
    }
    GenerateDataKeyWithoutPlaintextRequest {
        key_id "keyId",
        key_spec "keySpec",
        number_of_bytes "numberOfBytes",
        encryption_context "encryptionContext",
    }
    GenerateMacRequest { mac_algorithm "macAlgorithm", key_id "keyId" }
    GenerateRandomRequest {}
    GetKeyLastUsageRequest { key_id "keyId" }
    GetKeyPolicyRequest { key_id "keyId", policy_name "policyName" }
    GetKeyRotationStatusRequest { key_id "keyId" }
    GetParametersForImportRequest {
        key_id "keyId",
        wrapping_algorithm "wrappingAlgorithm",
        wrapping_key_spec "wrappingKeySpec",
    }
    GetPublicKeyRequest { key_id "keyId" }
    ImportKeyMaterialRequest {
        key_id "keyId",
        valid_to "validTo",
        expiration_model "expirationModel",
        import_type "importType",
        key_material_description "keyMaterialDescription",
    }
    ListAliasesRequest { limit "limit", marker "marker", key_id "keyId" }
    ListGrantsRequest {
        key_id "keyId",
        marker "marker",
        limit "limit",
        grant_id "grantId",
        grantee_principal "granteePrincipal",
    }
    ListKeyPoliciesRequest { key_id "keyId", limit "limit", marker "marker" }
    ListKeyRotationsRequest { key_id "keyId", limit "limit", marker "marker" }
    ListKeysRequest { limit "limit", marker "marker" }
    ListResourceTagsRequest { key_id "keyId", limit "limit", marker "marker" }
    ListRetirableGrantsRequest {
        retiring_principal "retiringPrincipal",
        limit "limit",
        marker "marker",
    }
    ReplicateKeyRequest {
        key_id "keyId",
        replica_region "replicaRegion",
        bypass_policy_lockout_safety_check "bypassPolicyLockoutSafetyCheck",
        description "description",
        policy "policy",
        tags "tags",
    }
    RetireGrantRequest { key_id "keyId", grant_id "grantId" }
    RevokeGrantRequest { key_id "keyId", grant_id "grantId" }
    RotateKeyOnDemandRequest { key_id "keyId" }
    ScheduleKeyDeletionRequest { key_id "keyId", pending_window_in_days "pendingWindowInDays" }
    SignRequest { message_type "messageType", key_id "keyId", signing_algorithm "signingAlgorithm" }
    TagResourceRequest { key_id "keyId", tags "tags" }
    UntagResourceRequest { key_id "keyId", tag_keys "tagKeys" }
    UpdateAliasRequest { alias_name "aliasName", target_key_id "targetKeyId" }
    UpdateCustomKeyStoreRequest {
        custom_key_store_id "customKeyStoreId",
        new_custom_key_store_name "newCustomKeyStoreName",
        cloud_hsm_cluster_id "clusterId",
    }
    UpdateKeyDescriptionRequest { key_id "keyId", description "description" }
    UpdatePrimaryRegionRequest { key_id "keyId", primary_region "primaryRegion" }
    VerifyMacRequest { mac_algorithm "macAlgorithm", key_id "keyId" }
    VerifyRequest {
        message_type "messageType",
        key_id "keyId",
        signing_algorithm "signingAlgorithm",
    }
}

// Requests whose defaults are printed though they were not sent.

fn algorithm(given: Option<EncryptionAlgorithmSpec>) -> EncryptionAlgorithmSpec {
    given.unwrap_or(EncryptionAlgorithmSpec::SymmetricDefault)
}

impl Audited for EncryptRequest {
    fn parameters(&self, out: &mut Object) {
        self.encryption_context.show("encryptionContext", out);
        self.key_id.show("keyId", out);
        algorithm(self.encryption_algorithm).show("encryptionAlgorithm", out);
    }
}

impl Audited for DecryptRequest {
    fn parameters(&self, out: &mut Object) {
        algorithm(self.encryption_algorithm).show("encryptionAlgorithm", out);
        self.key_id.show("keyId", out);
        self.encryption_context.show("encryptionContext", out);
    }
}

impl Audited for ReEncryptRequest {
    fn parameters(&self, out: &mut Object) {
        algorithm(self.source_encryption_algorithm).show("sourceEncryptionAlgorithm", out);
        self.source_encryption_context.show("sourceEncryptionContext", out);
        self.source_key_id.show("sourceKeyId", out);
        self.destination_key_id.show("destinationKeyId", out);
        let to = algorithm(self.destination_encryption_algorithm);
        to.show("destinationEncryptionAlgorithm", out);
        self.destination_encryption_context.show("destinationEncryptionContext", out);
    }
}

impl Audited for CreateKeyRequest {
    fn parameters(&self, out: &mut Object) {
        let old = self.customer_master_key_spec.map(CustomerMasterKeySpec::as_str);
        let new = self.key_spec.map(KeySpec::as_str);
        let spec = new.or(old).unwrap_or(KeySpec::SymmetricDefault.as_str());
        self.tags.show("tags", out);
        out.text("description", self.description.as_deref().unwrap_or_default());
        self.origin.unwrap_or(OriginType::AwsKms).show("origin", out);
        self.key_usage.unwrap_or(KeyUsageType::EncryptDecrypt).show("keyUsage", out);
        out.text("keySpec", spec).text("customerMasterKeySpec", spec);
        out.boolean("multiRegion", self.multi_region.unwrap_or(false));
        let bypass = self.bypass_policy_lockout_safety_check.unwrap_or(false);
        out.boolean("bypassPolicyLockoutSafetyCheck", bypass);
        self.policy.show("policy", out);
        self.custom_key_store_id.show("customKeyStoreId", out);
        self.xks_key_id.show("xksKeyId", out);
    }
}

impl Audited for PutKeyPolicyRequest {
    fn parameters(&self, out: &mut Object) {
        self.key_id.show("keyId", out);
        out.text("policyName", self.policy_name.as_deref().unwrap_or("default"));
        self.policy.show("policy", out);
        let bypass = self.bypass_policy_lockout_safety_check.unwrap_or(false);
        out.boolean("bypassPolicyLockoutSafetyCheck", bypass);
    }
}

// Answers.

macro_rules! nothing {
    ($($answer:ident)*) => { $(impl Answered for $answer {})* };
}

nothing! {
    ConnectCustomKeyStoreResponse DeleteCustomKeyStoreResponse DeriveSharedSecretResponse
    DescribeCustomKeyStoresResponse DescribeKeyResponse DisconnectCustomKeyStoreResponse
    EncryptResponse GenerateMacResponse GenerateRandomResponse GetKeyLastUsageResponse
    GetKeyPolicyResponse GetKeyRotationStatusResponse GetParametersForImportResponse
    GetPublicKeyResponse ListAliasesResponse ListGrantsResponse ListKeyPoliciesResponse
    ListKeyRotationsResponse ListKeysResponse ListResourceTagsResponse SignResponse
    UpdateCustomKeyStoreResponse VerifyMacResponse VerifyResponse
}

macro_rules! with_material {
    ($($answer:ident)*) => { $(
        impl Answered for $answer {
            fn additional(&self, out: &mut Object) {
                self.key_material_id.show("keyMaterialId", out);
            }
        }
    )* };
}

with_material! {
    DecryptResponse GenerateDataKeyPairResponse GenerateDataKeyPairWithoutPlaintextResponse
    GenerateDataKeyResponse GenerateDataKeyWithoutPlaintextResponse
}

impl Answered for ReEncryptResponse {
    fn additional(&self, out: &mut Object) {
        self.source_key_material_id.show("sourceKeyMaterialId", out);
        self.destination_key_material_id.show("destinationKeyMaterialId", out);
    }
}

/// Management operations that answer nothing: the ARN of their key.
impl Answered for Empty {
    fn elements(&self, key: Option<&str>, out: &mut Object) {
        out.optional_text("keyId", key);
    }
}

impl Answered for CancelKeyDeletionResponse {
    fn elements(&self, key: Option<&str>, out: &mut Object) {
        out.optional_text("keyId", key);
    }
}

impl Answered for CreateCustomKeyStoreResponse {
    fn elements(&self, _: Option<&str>, out: &mut Object) {
        self.custom_key_store_id.show("customKeyStoreId", out);
    }
}

impl Answered for CreateGrantResponse {
    fn elements(&self, key: Option<&str>, out: &mut Object) {
        self.grant_id.show("grantId", out);
        out.optional_text("keyId", key);
    }
}

impl Answered for CreateKeyResponse {
    fn elements(&self, _: Option<&str>, out: &mut Object) {
        self.key_metadata.show("keyMetadata", out);
    }

    fn made(&self) -> Option<&str> {
        self.key_metadata.as_ref()?.arn.as_deref()
    }
}

impl Answered for ReplicateKeyResponse {
    fn elements(&self, _: Option<&str>, out: &mut Object) {
        self.replica_key_metadata.show("replicaKeyMetadata", out);
        self.replica_policy.show("replicaPolicy", out);
    }
}

impl Answered for DeleteImportedKeyMaterialResponse {
    fn elements(&self, key: Option<&str>, out: &mut Object) {
        out.optional_text("keyId", key);
        self.key_material_id.show("keyMaterialId", out);
    }
}

impl Answered for ImportKeyMaterialResponse {
    fn elements(&self, key: Option<&str>, out: &mut Object) {
        out.optional_text("keyId", key);
        self.key_material_id.show("keyMaterialId", out);
    }
}

impl Answered for RotateKeyOnDemandResponse {
    fn elements(&self, _: Option<&str>, out: &mut Object) {
        self.key_id.show("keyId", out);
    }
}

impl Answered for ScheduleKeyDeletionResponse {
    fn elements(&self, key: Option<&str>, out: &mut Object) {
        out.optional_text("keyId", key);
        self.deletion_date.show("deletionDate", out);
        self.key_state.show("keyState", out);
        self.pending_window_in_days.show("pendingWindowInDays", out);
    }
}

impl Shown for KeyMetadata {
    fn show(&self, name: &str, out: &mut Object) {
        out.object(name, |out| {
            self.aws_account_id.show("aWSAccountId", out);
            self.key_id.show("keyId", out);
            self.arn.show("arn", out);
            self.creation_date.show("creationDate", out);
            self.enabled.show("enabled", out);
            self.description.show("description", out);
            self.key_usage.show("keyUsage", out);
            self.key_state.show("keyState", out);
            self.origin.show("origin", out);
            self.expiration_model.show("expirationModel", out);
            self.key_manager.show("keyManager", out);
            self.customer_master_key_spec.show("customerMasterKeySpec", out);
            self.key_spec.show("keySpec", out);
            self.encryption_algorithms.show("encryptionAlgorithms", out);
            self.signing_algorithms.show("signingAlgorithms", out);
            self.key_agreement_algorithms.show("keyAgreementAlgorithms", out);
            self.mac_algorithms.show("macAlgorithms", out);
            self.multi_region.show("multiRegion", out);
            self.multi_region_configuration.show("multiRegionConfiguration", out);
            self.custom_key_store_id.show("customKeyStoreId", out);
            self.current_key_material_id.show("currentKeyMaterialId", out);
        });
    }
}

impl Shown for MultiRegionConfiguration {
    fn show(&self, name: &str, out: &mut Object) {
        let related = |out: &mut Object, key: &MultiRegionKey| {
            key.arn.show("arn", out);
            key.region.show("region", out);
        };
        out.object(name, |out| {
            self.multi_region_key_type.show("multiRegionKeyType", out);
            if let Some(primary) = &self.primary_key {
                out.object("primaryKey", |out| related(out, primary));
            }
            out.objects("replicaKeys", self.replica_keys.iter().flatten(), related);
        });
    }
}
