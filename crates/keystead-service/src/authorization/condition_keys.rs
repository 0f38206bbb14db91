//! Which condition keys each operation's request gives a value: the `kms:` keys and tags that come
//! from parameters. Where AWS documents that a default counts, an omitted parameter has its default
//! as value. Keys that speak of the caller, the key or the connection are in [`super::facts`].

use std::borrow::Cow;

use keystead_model::*;
use keystead_policy::Fact;

/// What a request offers to the conditions of policies.
pub(crate) trait ConditionKeys {
    /// The value of a key, in lower case, for the permission on `action`; keys of encryption
    /// context pairs are asked for by [`ConditionKeys::context`].
    fn condition(&self, _key: &str, _action: &str) -> Fact<'_> {
        Fact::Absent
    }

    /// The encryption context that counts for the permission on `action`: every pair of every map.
    fn context(&self, _action: &str) -> [Option<&EncryptionContextMap>; 2] {
        [None, None]
    }
}

fn one(text: &str) -> Fact<'_> {
    Fact::One(Cow::Borrowed(text))
}

fn number<'a>(value: impl std::fmt::Display) -> Fact<'a> {
    Fact::One(Cow::Owned(value.to_string()))
}

fn boolean<'a>(value: bool) -> Fact<'a> {
    Fact::One(Cow::Borrowed(if value { "true" } else { "false" }))
}

fn given(text: Option<&str>) -> Fact<'_> {
    text.map_or(Fact::Absent, one)
}

fn many<'a>(texts: impl Iterator<Item = &'a str>) -> Fact<'a> {
    Fact::Many(texts.map(Cow::Borrowed).collect())
}

/// `aws:RequestTag/…` and `aws:TagKeys`.
fn tags<'a>(tags: &'a [Tag], key: &str) -> Fact<'a> {
    if key == "aws:tagkeys" {
        return many(tags.iter().map(|tag| tag.tag_key.as_str()));
    }
    let Some(name) = key.strip_prefix("aws:requesttag/") else { return Fact::Absent };
    let found = tags.iter().filter(|tag| tag.tag_key.eq_ignore_ascii_case(name));
    super::facts::single(found.map(|tag| Cow::Borrowed(tag.tag_value.as_str())).collect())
}

macro_rules! nothing_of_its_own {
    ($($request:ident)*) => { $(impl ConditionKeys for $request {})* };
}

nothing_of_its_own! {
    CancelKeyDeletionRequest ConnectCustomKeyStoreRequest CreateAliasRequest
    CreateCustomKeyStoreRequest DeleteAliasRequest DeleteCustomKeyStoreRequest
    DeleteImportedKeyMaterialRequest DescribeCustomKeyStoresRequest DescribeKeyRequest
    DisableKeyRequest DisableKeyRotationRequest DisconnectCustomKeyStoreRequest EnableKeyRequest
    GenerateRandomRequest GetKeyLastUsageRequest GetKeyPolicyRequest GetKeyRotationStatusRequest
    GetPublicKeyRequest ListAliasesRequest ListGrantsRequest ListKeyPoliciesRequest
    ListKeyRotationsRequest ListKeysRequest ListResourceTagsRequest ListRetirableGrantsRequest
    RetireGrantRequest RevokeGrantRequest RotateKeyOnDemandRequest UpdateAliasRequest
    UpdateCustomKeyStoreRequest UpdateKeyDescriptionRequest
}

/// Operations whose ciphertexts are under the symmetric key of the request.
macro_rules! symmetric {
    ($($request:ident $($key:literal => $field:ident)?;)*) => { $(
        impl ConditionKeys for $request {
            fn condition(&self, key: &str, _: &str) -> Fact<'_> {
                match key {
                    "kms:encryptionalgorithm" => {
                        one(EncryptionAlgorithmSpec::SymmetricDefault.as_str())
                    }
                    $($key => one(self.$field.as_str()),)?
                    _ => Fact::Absent,
                }
            }

            fn context(&self, _: &str) -> [Option<&EncryptionContextMap>; 2] {
                [self.encryption_context.as_ref(), None]
            }
        }
    )* };
}

symmetric! {
    GenerateDataKeyRequest;
    GenerateDataKeyWithoutPlaintextRequest;
    GenerateDataKeyPairRequest "kms:datakeypairspec" => key_pair_spec;
    GenerateDataKeyPairWithoutPlaintextRequest "kms:datakeypairspec" => key_pair_spec;
}

fn algorithm<'a>(given: Option<EncryptionAlgorithmSpec>) -> Fact<'a> {
    one(given.unwrap_or(EncryptionAlgorithmSpec::SymmetricDefault).as_str())
}

macro_rules! encryption {
    ($($request:ident)*) => { $(
        impl ConditionKeys for $request {
            fn condition(&self, key: &str, _: &str) -> Fact<'_> {
                match key {
                    "kms:encryptionalgorithm" => algorithm(self.encryption_algorithm),
                    _ => Fact::Absent,
                }
            }

            fn context(&self, _: &str) -> [Option<&EncryptionContextMap>; 2] {
                [self.encryption_context.as_ref(), None]
            }
        }
    )* };
}

encryption! { EncryptRequest DecryptRequest }

impl ConditionKeys for ReEncryptRequest {
    fn condition(&self, key: &str, action: &str) -> Fact<'_> {
        match (key, action) {
            ("kms:encryptionalgorithm", "ReEncryptFrom") => {
                algorithm(self.source_encryption_algorithm)
            }
            ("kms:encryptionalgorithm", _) => algorithm(self.destination_encryption_algorithm),
            _ => Fact::Absent,
        }
    }

    fn context(&self, action: &str) -> [Option<&EncryptionContextMap>; 2] {
        match action {
            "ReEncryptFrom" => [self.source_encryption_context.as_ref(), None],
            _ => [self.destination_encryption_context.as_ref(), None],
        }
    }
}

macro_rules! parameters {
    ($($request:ident { $($key:literal => |$this:ident| $value:expr),* $(,)? })*) => { $(
        impl ConditionKeys for $request {
            fn condition(&self, key: &str, _: &str) -> Fact<'_> {
                match key {
                    $($key => { let $this = self; $value })*
                    _ => Fact::Absent,
                }
            }
        }
    )* };
}

parameters! {
    SignRequest {
        "kms:messagetype" => |this| one(this.message_type.unwrap_or(MessageType::Raw).as_str()),
        "kms:signingalgorithm" => |this| one(this.signing_algorithm.as_str()),
    }
    VerifyRequest {
        "kms:messagetype" => |this| one(this.message_type.unwrap_or(MessageType::Raw).as_str()),
        "kms:signingalgorithm" => |this| one(this.signing_algorithm.as_str()),
    }
    GenerateMacRequest { "kms:macalgorithm" => |this| one(this.mac_algorithm.as_str()) }
    VerifyMacRequest { "kms:macalgorithm" => |this| one(this.mac_algorithm.as_str()) }
    DeriveSharedSecretRequest {
        "kms:keyagreementalgorithm" => |this| one(this.key_agreement_algorithm.as_str()),
    }
    EnableKeyRotationRequest {
        "kms:rotationperiodindays" => |this| number(this.rotation_period_in_days.unwrap_or(365)),
    }
    ScheduleKeyDeletionRequest {
        "kms:schedulekeydeletionpendingwindowindays" => |this| {
            number(this.pending_window_in_days.unwrap_or(30))
        },
    }
    GetParametersForImportRequest {
        "kms:wrappingalgorithm" => |this| one(this.wrapping_algorithm.as_str()),
        "kms:wrappingkeyspec" => |this| one(this.wrapping_key_spec.as_str()),
    }
    // Absent when omitted, as the vendor's own example with Null has it.
    ImportKeyMaterialRequest {
        "kms:expirationmodel" => |this| given(this.expiration_model.map(|model| model.as_str())),
        "kms:validto" => |this| {
            this.valid_to.map_or(Fact::Absent, |time| number(time.as_millis().div_euclid(1_000)))
        },
    }
    PutKeyPolicyRequest {
        "kms:bypasspolicylockoutsafetycheck" => |this| {
            this.bypass_policy_lockout_safety_check.map_or(Fact::Absent, boolean)
        },
    }
    UpdatePrimaryRegionRequest { "kms:primaryregion" => |this| one(&this.primary_region) }
    UntagResourceRequest {
        "aws:tagkeys" => |this| many(this.tag_keys.iter().map(String::as_str)),
    }
}

impl ConditionKeys for TagResourceRequest {
    fn condition(&self, key: &str, _: &str) -> Fact<'_> {
        tags(&self.tags, key)
    }
}

impl ConditionKeys for ReplicateKeyRequest {
    fn condition(&self, key: &str, _: &str) -> Fact<'_> {
        match key {
            "kms:replicaregion" => one(&self.replica_region),
            "kms:bypasspolicylockoutsafetycheck" => {
                self.bypass_policy_lockout_safety_check.map_or(Fact::Absent, boolean)
            }
            _ => tags(self.tags.as_deref().unwrap_or_default(), key),
        }
    }
}

/// A key that does not exist yet has its properties from the request.
impl ConditionKeys for CreateKeyRequest {
    fn condition(&self, key: &str, _: &str) -> Fact<'_> {
        let multi_region = self.multi_region.unwrap_or(false);
        let deprecated = self.customer_master_key_spec.map(|spec| spec.as_str());
        match key {
            "kms:keyspec" | "kms:customermasterkeyspec" => one(self
                .key_spec
                .map(|spec| spec.as_str())
                .or(deprecated)
                .unwrap_or(KeySpec::SymmetricDefault.as_str())),
            "kms:keyusage" | "kms:customermasterkeyusage" => {
                one(self.key_usage.unwrap_or(KeyUsageType::EncryptDecrypt).as_str())
            }
            "kms:keyorigin" => one(self.origin.unwrap_or(OriginType::AwsKms).as_str()),
            "kms:multiregion" => boolean(multi_region),
            "kms:multiregionkeytype" if multi_region => one(MultiRegionKeyType::Primary.as_str()),
            "kms:bypasspolicylockoutsafetycheck" => {
                self.bypass_policy_lockout_safety_check.map_or(Fact::Absent, boolean)
            }
            _ => tags(self.tags.as_deref().unwrap_or_default(), key),
        }
    }
}

impl ConditionKeys for CreateGrantRequest {
    fn condition(&self, key: &str, action: &str) -> Fact<'_> {
        match key {
            "kms:granteeprincipal" => one(&self.grantee_principal),
            "kms:retiringprincipal" => given(self.retiring_principal.as_deref()),
            "kms:grantoperations" => many(self.operations.iter().map(|one| one.as_str())),
            "kms:grantisforawsresource" => boolean(false),
            _ => self.constraints.as_ref().map_or(Fact::Absent, |all| all.condition(key, action)),
        }
    }

    fn context(&self, action: &str) -> [Option<&EncryptionContextMap>; 2] {
        self.constraints.as_ref().map_or([None, None], |all| all.context(action))
    }
}

/// What CreateGrant and RetireGrant have in common: constraints given, or those of the grant.
impl ConditionKeys for GrantConstraints {
    fn condition(&self, key: &str, _: &str) -> Fact<'_> {
        if key != "kms:grantconstrainttype" {
            return Fact::Absent;
        }
        let equals = self.encryption_context_equals.as_ref().map(|_| "EncryptionContextEquals");
        // A subset without pairs is no constraint.
        let subset = self.encryption_context_subset.as_ref().filter(|map| !map.is_empty());
        let subset = subset.map(|_| "EncryptionContextSubset");
        super::facts::single(equals.into_iter().chain(subset).map(Cow::Borrowed).collect())
    }

    /// The pairs of the constraints.
    fn context(&self, _: &str) -> [Option<&EncryptionContextMap>; 2] {
        [self.encryption_context_equals.as_ref(), self.encryption_context_subset.as_ref()]
    }
}
