//! Every refusal of the service, in AWS's words.
//!
//! This is the only file that knows exception names and message texts; one constructor stands for
//! one text. The marks `[obs]`, `[aws]`, `[rep]` and `[ours]` tell where a text comes from: recorded
//! from the real service, documented, reported by users, or chosen here because no source was
//! found (those are listed in docs/compatibility.md).

use std::borrow::Cow;
use std::fmt;

use crate::managed_keys::ManagingService;
use keystead_policy::Layer;

/// Whose fault an error is; decides the HTTP status class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request cannot succeed as sent.
    Client,
    /// The service could not do its part.
    Server,
}

/// An exception as the caller sees it, plus a detail that only the log sees.
#[derive(Debug)]
pub struct Error {
    name: &'static str,
    message: Option<Cow<'static, str>>,
    fault: Fault,
    detail: Option<String>,
    conflict: bool,
    first_use: Option<&'static ManagingService>,
}

/// The result of anything that may refuse.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The exception's name, the `__type` of the error body.
    pub fn type_name(&self) -> &'static str {
        self.name
    }

    /// The text for the caller. `None`: the body has no message member at all.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// What the operator's log may say beyond the message. Never holds request content.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Whether the request lost a race for a record and may be travelled again.
    pub(crate) fn is_conflict(&self) -> bool {
        self.conflict
    }

    /// Whether the caller may not have what it asks for, which may be because that does not exist.
    pub(crate) fn is_refusal(&self) -> bool {
        self.name == "AccessDeniedException" && self.first_use.is_none()
    }

    /// Whether what was named does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        self.name == "NotFoundException"
    }

    /// The service whose AWS managed key the request would have been the first to use.
    pub(crate) fn first_use(&self) -> Option<&'static ManagingService> {
        self.first_use
    }

    fn client(name: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: Some(message.into()), ..Self::silent(name) }
    }

    fn silent(name: &'static str) -> Self {
        Self {
            name,
            message: None,
            fault: Fault::Client,
            detail: None,
            conflict: false,
            first_use: None,
        }
    }

    /// A fault of ours. The detail goes to the log, the caller learns nothing of it.
    pub fn internal(detail: impl fmt::Display) -> Self {
        Self {
            fault: Fault::Server,
            detail: Some(detail.to_string()),
            ..Self::silent("KMSInternalException")
        }
    }

    /// Another request changed the record first.
    pub(crate) fn conflict() -> Self {
        Self { conflict: true, ..Self::internal("a record kept changing under the request") }
    }

    // ---- protocol and authentication (behaviour.md 5.4) ----

    pub(crate) fn unknown_operation() -> Self {
        Self::silent("UnknownOperationException")
    }

    pub(crate) fn serialization() -> Self {
        Self::silent("SerializationException")
    }

    /// A request that is not signed as it must be. The text may repeat its headers: for the caller,
    /// not the log.
    pub(crate) fn unauthenticated(error: &keystead_sigv4::SignatureError<'_>) -> Self {
        Self::client(error.kms_code(), error.text())
    }

    // ---- parameters ----

    /// A text that a rule of the service, not of the model, gives.
    pub(crate) fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::client("ValidationException", message)
    }

    /// The one text seen for any fault of an encryption context [obs 2018].
    pub(crate) fn invalid_encryption_context() -> Self {
        Self::validation("Invalid EncryptionContext")
    }

    /// A page size over the operation's own maximum; the form of the model's text [ours].
    pub(crate) fn limit_too_large(limit: i32, maximum: i32) -> Self {
        Self::validation(format!(
            "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: \
             Member must have value less than or equal to {maximum}"
        ))
    }

    pub(crate) fn tag(message: &'static str) -> Self {
        Self::client("TagException", message)
    }

    pub(crate) fn malformed_policy(message: impl Into<Cow<'static, str>>) -> Self {
        Self::client("MalformedPolicyDocumentException", message)
    }

    pub(crate) fn limit_exceeded(message: impl Into<Cow<'static, str>>) -> Self {
        Self::client("LimitExceededException", message)
    }

    pub(crate) fn invalid_marker(marker: &str) -> Self {
        Self::client("InvalidMarkerException", format!("Could not deserialize marker '{marker}'"))
    }

    pub(crate) fn invalid_grant_token() -> Self {
        Self::silent("InvalidGrantTokenException")
    }

    pub(crate) fn custom_key_store_not_found(id: &str) -> Self {
        Self::client(
            "CustomKeyStoreNotFoundException",
            format!("Custom key store with ID '{id}' does not exist."),
        )
    }

    /// Where no CloudHSM cluster can be reached; the text is ours.
    pub(crate) fn cloud_hsm_cluster_not_found() -> Self {
        Self::client(
            "CloudHsmClusterNotFoundException",
            "CloudHSM clusters are not supported: there is none with this ID.",
        )
    }

    /// Where no external key store proxy can be reached; the text is ours.
    pub(crate) fn xks_proxy_unreachable() -> Self {
        Self::client(
            "XksProxyUriUnreachableException",
            "External key store proxies are not supported: none can be reached.",
        )
    }

    /// What the server does not do; the text names it [ours].
    pub(crate) fn unsupported(message: impl Into<Cow<'static, str>>) -> Self {
        Self::client("UnsupportedOperationException", message)
    }

    /// The wrong kind of key where the real service sends no text [obs].
    pub(crate) fn unsupported_silent() -> Self {
        Self::silent("UnsupportedOperationException")
    }

    // ---- identifiers (behaviour.md 1.3) ----

    pub(crate) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::client("NotFoundException", message)
    }

    pub(crate) fn invalid_key_id(given: &str) -> Self {
        Self::not_found(format!("Invalid keyId '{given}'"))
    }

    /// The ARN of a key with another text for the id: no quotes here [rep 2026].
    pub(crate) fn invalid_key_id_in_arn(id: &str) -> Self {
        Self::not_found(format!("Invalid keyId {id}"))
    }

    /// An alias where only a key id or the ARN of a key will do [obs, in several published logs].
    pub(crate) fn alias_not_taken() -> Self {
        Self::client("InvalidArnException", "Key Aliases are not supported for this operation.")
    }

    pub(crate) fn no_such_key(arn: &str) -> Self {
        Self::not_found(format!("Key '{arn}' does not exist"))
    }

    /// An ARN of another Region: only the Region's name, without quotes [obs].
    pub(crate) fn other_region(region: &str) -> Self {
        Self::not_found(format!("Invalid arn {region}"))
    }

    pub(crate) fn invalid_arn(given: &str) -> Self {
        Self::client("InvalidArnException", format!("Invalid arn {given}"))
    }

    pub(crate) fn invalid_arn_in_policy() -> Self {
        Self::client("InvalidArnException", "An ARN in the specified key policy is invalid.")
    }

    pub(crate) fn no_such_alias(arn: &str) -> Self {
        Self::not_found(format!("Alias {arn} is not found."))
    }

    pub(crate) fn alias_exists(arn: &str) -> Self {
        Self::client(
            "AlreadyExistsException",
            format!("An alias with the name {arn} already exists"),
        )
    }

    pub(crate) fn alias_reserved() -> Self {
        Self::silent("NotAuthorizedException")
    }

    // ---- authorization (behaviour.md 5.5) ----

    /// What no policy allows, or one forbids. Which text is documented; `layer` is the one that
    /// decided.
    pub(crate) fn denied(
        caller: &str,
        action: &str,
        resource: Option<&str>,
        layer: Layer,
        explicit: bool,
    ) -> Self {
        let on = resource.map(|arn| format!(" on resource: {arn}")).unwrap_or_default();
        let (article, policy) = match layer {
            Layer::ServiceControl => ("a", "service control policy"),
            Layer::Resource => ("a", "resource-based policy"),
            Layer::Boundary => ("a", "permissions boundary"),
            Layer::Session => ("a", "session policy"),
            Layer::Identity => ("an", "identity-based policy"),
        };
        let why = if explicit || layer == Layer::ServiceControl {
            format!("with an explicit deny in {article} {policy}")
        } else {
            format!("because no {policy} allows the {action} action")
        };
        Self::client(
            "AccessDeniedException",
            format!("User: {caller} is not authorized to perform: {action}{on} {why}"),
        )
    }

    /// A key or alias of another account: denied and absent look alike.
    pub(crate) fn denied_across_accounts(caller: &str, action: &str) -> Self {
        Self::client(
            "AccessDeniedException",
            format!(
                "User: {caller} is not authorized to perform: {action} on this resource because \
                 the resource does not exist in this Region, no resource-based policies allow \
                 access, or a resource-based policy explicitly denies access"
            ),
        )
    }

    /// The alias of an AWS managed key that does not exist yet. Seen by dry runs alone: any other
    /// request makes the key.
    pub(crate) fn no_managed_key_yet(
        caller: &str,
        action: &str,
        by: &'static ManagingService,
    ) -> Self {
        Self { first_use: Some(by), ..Self::denied_across_accounts(caller, action) }
    }

    /// The key that a ciphertext names is unknown, elsewhere, or closed to the caller: one text [obs].
    pub(crate) fn denied_ciphertext(caller: &str, action: &str) -> Self {
        Self::client(
            "AccessDeniedException",
            format!(
                "User: {caller} is not authorized to perform: {action} on the resource associated \
                 with this ciphertext because the resource does not exist in this Region, no \
                 resource-based policies allow access, or a resource-based policy explicitly \
                 denies access"
            ),
        )
    }

    // ---- key state, usage (behaviour.md 2.2, 3.2) ----

    pub(crate) fn disabled(arn: &str) -> Self {
        Self::client("DisabledException", format!("{arn} is disabled."))
    }

    /// `what`: "pending deletion", "pending import", …
    pub(crate) fn invalid_state(arn: &str, what: &str) -> Self {
        Self::client("KMSInvalidStateException", format!("{arn} is {what}."))
    }

    pub(crate) fn wrong_origin(arn: &str, origin: &str) -> Self {
        Self::unsupported(format!(
            "{arn} origin is {origin} which is not valid for this operation."
        ))
    }

    pub(crate) fn wrong_usage(arn: &str, usage: &str, operation: &str) -> Self {
        Self::client(
            "InvalidKeyUsageException",
            format!("{arn} key usage is {usage} which is not valid for {operation}."),
        )
    }

    /// An ENCRYPT_DECRYPT key that cannot make data keys [obs, in several published logs].
    pub(crate) fn no_data_keys() -> Self {
        Self::client(
            "InvalidKeyUsageException",
            "You cannot generate a data key with an asymmetric CMK",
        )
    }

    /// A spec that its Region does not offer [rep 2026 for KeySpec]. `member`: the member's name.
    pub(crate) fn not_in_this_region(member: &str, spec: &str) -> Self {
        Self::unsupported(format!("{member} {spec} is not supported in this Region"))
    }

    pub(crate) fn incompatible_algorithm(algorithm: &str, spec: &str) -> Self {
        Self::client(
            "InvalidKeyUsageException",
            format!("Algorithm {algorithm} is incompatible with key spec {spec}."),
        )
    }

    // ---- grants (behaviour.md 4.5) ----

    /// A grantee or retiring principal that no grant can have; the text is unverified.
    pub(crate) fn invalid_principal() -> Self {
        Self::client("InvalidArnException", "ARN does not refer to a valid principal")
    }

    pub(crate) fn invalid_grant_id() -> Self {
        Self::silent("InvalidGrantIdException")
    }

    pub(crate) fn no_such_grant(id: &str) -> Self {
        Self::not_found(format!("Grant ID {id} not found"))
    }

    /// Who is neither retiring principal, nor grantee allowed to retire, nor issuer.
    pub(crate) fn denied_retiring(caller: &str, key_arn: &str) -> Self {
        Self::client(
            "AccessDeniedException",
            format!(
                "User: {caller} is not authorized to perform: kms:RetireGrant on resource: {key_arn}"
            ),
        )
    }

    // ---- multi-Region keys (behaviour.md 4.10) ----

    pub(crate) fn not_primary(arn: &str) -> Self {
        Self::unsupported(format!("{arn} is not a multi-region primary key."))
    }

    /// The Region holds a related key already [ours].
    pub(crate) fn replica_exists(arn: &str) -> Self {
        Self::client("AlreadyExistsException", format!("Key '{arn}' already exists"))
    }

    // ---- imported key material (behaviour.md 4.7) ----

    pub(crate) fn invalid_import_token() -> Self {
        Self::silent("InvalidImportTokenException")
    }

    pub(crate) fn expired_import_token() -> Self {
        Self::silent("ExpiredImportTokenException")
    }

    pub(crate) fn incorrect_key_material() -> Self {
        Self::silent("IncorrectKeyMaterialException")
    }

    pub(crate) fn another_material_pending(new: &str, arn: &str, pending: &str) -> Self {
        Self::client(
            "KMSInvalidStateException",
            format!(
                "New key material (id: {new}) cannot be imported into KMS key {arn}, because \
                 another key material (id: {pending}) is pending rotation."
            ),
        )
    }

    // ---- rotation (behaviour.md 4.6) ----

    pub(crate) fn on_demand_limit(arn: &str) -> Self {
        Self::limit_exceeded(format!(
            "The on-demand rotations limit has been reached for the given keyId. No more on-demand \
             rotations can be performed for this key: {arn}"
        ))
    }

    pub(crate) fn no_pending_material(arn: &str) -> Self {
        Self::client(
            "KMSInvalidStateException",
            format!("No available key material pending rotation for the key: {arn}."),
        )
    }

    /// A rotation that is under way or about to be [ours].
    pub(crate) fn rotation_conflict(arn: &str) -> Self {
        Self::client(
            "ConflictException",
            format!("A rotation of {arn} is in progress or due within 20 minutes."),
        )
    }

    // ---- use ----

    pub(crate) fn invalid_ciphertext() -> Self {
        Self::silent("InvalidCiphertextException")
    }

    /// The signature is not one of the message; no text [obs].
    pub(crate) fn invalid_signature() -> Self {
        Self::silent("KMSInvalidSignatureException")
    }

    /// The MAC is not one of the message; no text [obs].
    pub(crate) fn invalid_mac() -> Self {
        Self::silent("KMSInvalidMacException")
    }

    /// A peer's public key that cannot be used; no text [obs].
    pub(crate) fn invalid_peer_key() -> Self {
        Self::silent("ValidationException")
    }

    pub(crate) fn incorrect_key() -> Self {
        Self::client(
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        )
    }

    pub(crate) fn dry_run() -> Self {
        Self::client(
            "DryRunOperationException",
            "The request would have succeeded, but the DryRun option is set.",
        )
    }

    pub(crate) fn throttled() -> Self {
        Self::client(
            "ThrottlingException",
            "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name)?;
        match (&self.detail, &self.message) {
            (Some(detail), _) => write!(out, ": {detail}"),
            (None, Some(message)) => write!(out, ": {message}"),
            (None, None) => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<keystead_crypto::CryptoError> for Error {
    fn from(error: keystead_crypto::CryptoError) -> Self {
        Self::internal(error)
    }
}

impl From<keystead_store::StoreError> for Error {
    fn from(error: keystead_store::StoreError) -> Self {
        match error {
            keystead_store::StoreError::Conflict => Self::conflict(),
            other => Self::internal(other),
        }
    }
}
