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

    /// What a question supposes of the key, before anything that is known of the request; `None`:
    /// nothing. Requests suppose nothing.
    fn supposed(&self, _key: &str) -> Option<Fact<'_>> {
        None
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

/// The value of a key, in lower case, in a request for the permission on `action` that omits every
/// optional parameter. Parameters that cannot be omitted give none.
pub(crate) fn omitted(key: &str, action: &str) -> Fact<'static> {
    one(match (key, action) {
        (
            "kms:encryptionalgorithm",
            "Encrypt"
            | "Decrypt"
            | "ReEncryptFrom"
            | "ReEncryptTo"
            | "GenerateDataKey"
            | "GenerateDataKeyWithoutPlaintext"
            | "GenerateDataKeyPair"
            | "GenerateDataKeyPairWithoutPlaintext",
        ) => EncryptionAlgorithmSpec::SymmetricDefault.as_str(),
        ("kms:messagetype", "Sign" | "Verify") => MessageType::Raw.as_str(),
        ("kms:rotationperiodindays", "EnableKeyRotation") => "365",
        ("kms:schedulekeydeletionpendingwindowindays", "ScheduleKeyDeletion") => "30",
        ("kms:keyspec" | "kms:customermasterkeyspec", "CreateKey") => {
            KeySpec::SymmetricDefault.as_str()
        }
        ("kms:keyusage" | "kms:customermasterkeyusage", "CreateKey") => {
            KeyUsageType::EncryptDecrypt.as_str()
        }
        ("kms:keyorigin", "CreateKey") => OriginType::AwsKms.as_str(),
        ("kms:multiregion", "CreateKey") | ("kms:grantisforawsresource", "CreateGrant") => "false",
        _ => return Fact::Absent,
    })
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    const KEYS: [&str; 14] = [
        "kms:encryptionalgorithm",
        "kms:messagetype",
        "kms:rotationperiodindays",
        "kms:schedulekeydeletionpendingwindowindays",
        "kms:keyspec",
        "kms:customermasterkeyspec",
        "kms:keyusage",
        "kms:customermasterkeyusage",
        "kms:keyorigin",
        "kms:multiregion",
        "kms:multiregionkeytype",
        "kms:grantisforawsresource",
        "kms:expirationmodel",
        "kms:bypasspolicylockoutsafetycheck",
    ];

    fn compare<I: Input + ConditionKeys>(body: &str, actions: &[&str]) {
        let request = I::decode(body.as_bytes()).unwrap();
        for action in actions {
            for key in KEYS {
                assert_eq!(omitted(key, action), request.condition(key, action), "{action} {key}");
            }
        }
    }

    /// Against requests as they are decoded, so that the defaults are told in two places and are
    /// one.
    #[test]
    fn omitted_parameters_have_the_values_that_requests_give_them() {
        let key = r#"{"KeyId": "k"}"#;
        compare::<EncryptRequest>(r#"{"KeyId": "k", "Plaintext": "AA=="}"#, &["Encrypt"]);
        compare::<DecryptRequest>(r#"{"CiphertextBlob": "AA=="}"#, &["Decrypt"]);
        compare::<ReEncryptRequest>(
            r#"{"CiphertextBlob": "AA==", "DestinationKeyId": "k"}"#,
            &["ReEncryptFrom", "ReEncryptTo"],
        );
        compare::<GenerateDataKeyRequest>(key, &["GenerateDataKey"]);
        compare::<GenerateDataKeyWithoutPlaintextRequest>(
            key,
            &["GenerateDataKeyWithoutPlaintext"],
        );
        let pair = r#"{"KeyId": "k", "KeyPairSpec": "RSA_2048"}"#;
        compare::<GenerateDataKeyPairRequest>(pair, &["GenerateDataKeyPair"]);
        compare::<GenerateDataKeyPairWithoutPlaintextRequest>(
            pair,
            &["GenerateDataKeyPairWithoutPlaintext"],
        );
        compare::<SignRequest>(
            r#"{"KeyId": "k", "Message": "AA==", "SigningAlgorithm": "ECDSA_SHA_256"}"#,
            &["Sign"],
        );
        compare::<VerifyRequest>(
            r#"{"KeyId": "k", "Message": "AA==", "Signature": "AA==",
                "SigningAlgorithm": "ECDSA_SHA_256"}"#,
            &["Verify"],
        );
        compare::<EnableKeyRotationRequest>(key, &["EnableKeyRotation"]);
        compare::<ScheduleKeyDeletionRequest>(key, &["ScheduleKeyDeletion"]);
        compare::<CreateKeyRequest>("{}", &["CreateKey"]);
        compare::<CreateGrantRequest>(
            r#"{"KeyId": "k", "GranteePrincipal": "arn:aws:iam::111122223333:root",
                "Operations": ["Decrypt"]}"#,
            &["CreateGrant"],
        );
        compare::<DescribeKeyRequest>(key, &["DescribeKey"]);
        compare::<PutKeyPolicyRequest>(r#"{"KeyId": "k", "Policy": "{}"}"#, &["PutKeyPolicy"]);
    }
}
