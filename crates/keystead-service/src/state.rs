//! Key states and the key-state table: which operation runs in which state, and what it answers
//! where it does not.
//!
//! The table is the one of the developer guide ("Key states of AWS KMS keys"); rows of operations
//! newer than that page follow their neighbours, see docs/compatibility.md.

use keystead_model::OperationName::{self, *};
use keystead_model::OriginType;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::records::KeyRecord;

/// The state of a key, with what only that state has. Dates are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name")]
pub enum State {
    /// Ready for use.
    Enabled,
    /// Switched off by DisableKey, or spared by CancelKeyDeletion.
    Disabled,
    /// Gone at `deletion`.
    PendingDeletion {
        /// When the key ceases to exist.
        deletion: i64,
        /// The waiting period that was asked for, days.
        window: i32,
    },
    /// A primary key that waits for its replicas to be deleted.
    PendingReplicaDeletion {
        /// The waiting period that begins when the last replica is gone, days.
        window: i32,
    },
    /// Waits for key material.
    PendingImport,
    /// Its custom key store is not connected.
    Unavailable {
        /// Whether it is to be enabled once the store is connected.
        enabled: bool,
    },
    /// A replica being made.
    Creating,
    /// A primary being changed.
    Updating,
}

impl State {
    /// The `KeyState` of KeyMetadata.
    pub(crate) fn wire(&self) -> keystead_model::KeyState {
        use keystead_model::KeyState as Wire;
        match self {
            Self::Enabled => Wire::Enabled,
            Self::Disabled => Wire::Disabled,
            Self::PendingDeletion { .. } => Wire::PendingDeletion,
            Self::PendingReplicaDeletion { .. } => Wire::PendingReplicaDeletion,
            Self::PendingImport => Wire::PendingImport,
            Self::Unavailable { .. } => Wire::Unavailable,
            Self::Creating => Wire::Creating,
            Self::Updating => Wire::Updating,
        }
    }

    fn column(&self) -> usize {
        match self {
            Self::Enabled => 0,
            Self::Disabled => 1,
            Self::PendingDeletion { .. } | Self::PendingReplicaDeletion { .. } => 2,
            Self::PendingImport => 3,
            Self::Unavailable { .. } => 4,
            Self::Creating => 5,
            Self::Updating => 6,
        }
    }

    /// What the state's refusal says after the ARN.
    fn phrase(&self) -> &'static str {
        match self {
            Self::Enabled | Self::Disabled => "not pending deletion",
            Self::PendingDeletion { .. } => "pending deletion",
            Self::PendingReplicaDeletion { .. } => "pending replica deletion",
            Self::PendingImport => "pending import",
            Self::Unavailable { .. } => "unavailable",
            Self::Creating => "creating",
            Self::Updating => "updating",
        }
    }
}

/// What an operation does in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// Allowed.
    Ok,
    /// DisabledException.
    D,
    /// KMSInvalidStateException naming the state: pending deletion.
    P,
    /// KMSInvalidStateException: not pending deletion.
    N,
    /// KMSInvalidStateException: pending import.
    I,
    /// KMSInvalidStateException: unavailable.
    U,
    /// KMSInvalidStateException: creating.
    C,
    /// KMSInvalidStateException: updating.
    G,
    /// UnsupportedOperationException naming the origin.
    X,
    /// Allowed for origin EXTERNAL, else `X`.
    OkIfExternal,
    /// Allowed for origin AWS_KMS, else `X`.
    OkIfAwsKms,
    /// Allowed outside custom key stores, else `X`.
    OkUnlessStore,
    /// `X` for an origin other than AWS_KMS, else `D`.
    XOrD,
    /// `X` for an origin other than AWS_KMS, else `P`.
    XOrP,
    /// `X` for an origin other than EXTERNAL, else `P`.
    XOrPImport,
    /// Cannot occur; answered as the state's own refusal.
    NotApplicable,
}

use Cell::{
    C, D, G, I, N, NotApplicable as Na, OkIfAwsKms as Aws, OkIfExternal as Ext,
    OkUnlessStore as NoStore, P, U, X, XOrD, XOrP, XOrPImport,
};
const OK: Cell = Cell::Ok;

/// The columns of [`TABLE`], in order.
pub const COLUMNS: [&str; 7] = [
    "Enabled",
    "Disabled",
    "PendingDeletion and PendingReplicaDeletion",
    "PendingImport",
    "Unavailable",
    "Creating",
    "Updating",
];

/// The key-state table: one row for each of the 44 operations that act on a key.
#[rustfmt::skip]
pub const TABLE: [(OperationName, [Cell; 7]); 44] = [
    //                                      Enabled  Disabled Deletion    Import Unavail. Creating Updating
    (CancelKeyDeletion,                    [N,       N,       OK,         N,     N,       N,       N]),
    (CreateAlias,                          [OK,      OK,      P,          OK,    OK,      OK,      OK]),
    (CreateGrant,                          [OK,      D,       P,          I,     OK,      C,       OK]),
    (Decrypt,                              [OK,      D,       P,          I,     U,       C,       OK]),
    (DeleteAlias,                          [OK,      OK,      OK,         OK,    OK,      OK,      OK]),
    (DeleteImportedKeyMaterial,            [Ext,     Ext,     Ext,        OK,    Na,      C,       G]),
    (DeriveSharedSecret,                   [OK,      D,       P,          I,     Na,      C,       OK]),
    (DescribeKey,                          [OK,      OK,      OK,         OK,    OK,      OK,      OK]),
    (DisableKey,                           [OK,      OK,      P,          I,     OK,      C,       G]),
    (DisableKeyRotation,                   [Aws,     XOrD,    XOrP,       X,     X,       C,       Aws]),
    (EnableKey,                            [OK,      OK,      P,          I,     OK,      C,       G]),
    (EnableKeyRotation,                    [Aws,     XOrD,    XOrP,       X,     X,       C,       Aws]),
    (Encrypt,                              [OK,      D,       P,          I,     U,       C,       OK]),
    (GenerateDataKey,                      [OK,      D,       P,          I,     U,       C,       OK]),
    (GenerateDataKeyPair,                  [OK,      D,       P,          I,     U,       C,       OK]),
    (GenerateDataKeyPairWithoutPlaintext,  [OK,      D,       P,          I,     U,       C,       OK]),
    (GenerateDataKeyWithoutPlaintext,      [OK,      D,       P,          I,     U,       C,       OK]),
    (GenerateMac,                          [OK,      D,       P,          I,     Na,      C,       OK]),
    (GetKeyLastUsage,                      [OK,      OK,      OK,         OK,    OK,      OK,      OK]),
    (GetKeyPolicy,                         [OK,      OK,      OK,         OK,    OK,      OK,      OK]),
    (GetKeyRotationStatus,                 [NoStore, NoStore, NoStore,    OK,    X,       OK,      OK]),
    (GetParametersForImport,               [Ext,     Ext,     XOrPImport, OK,    X,       C,       G]),
    (GetPublicKey,                         [OK,      D,       P,          I,     Na,      C,       OK]),
    (ImportKeyMaterial,                    [Ext,     Ext,     XOrPImport, OK,    X,       C,       OK]),
    (ListAliases,                          [OK,      OK,      OK,         OK,    OK,      OK,      OK]),
    (ListGrants,                           [OK,      OK,      OK,         OK,    OK,      OK,      OK]),
    (ListKeyPolicies,                      [OK,      OK,      OK,         OK,    OK,      OK,      OK]),
    (ListKeyRotations,                     [OK,      OK,      OK,         OK,    OK,      OK,      OK]),
    (ListResourceTags,                     [OK,      OK,      OK,         OK,    OK,      OK,      OK]),
    (PutKeyPolicy,                         [OK,      OK,      OK,         OK,    OK,      OK,      OK]),
    (ReEncrypt,                            [OK,      D,       P,          I,     U,       C,       OK]),
    (ReplicateKey,                         [OK,      D,       P,          I,     Na,      C,       G]),
    (RetireGrant,                          [OK,      OK,      OK,         OK,    OK,      OK,      OK]),
    (RevokeGrant,                          [OK,      OK,      OK,         OK,    OK,      OK,      OK]),
    (RotateKeyOnDemand,                    [OK,      D,       P,          I,     X,       C,       G]),
    (ScheduleKeyDeletion,                  [OK,      OK,      P,          OK,    OK,      OK,      G]),
    (Sign,                                 [OK,      D,       P,          I,     Na,      C,       OK]),
    (TagResource,                          [OK,      OK,      P,          OK,    OK,      OK,      OK]),
    (UntagResource,                        [OK,      OK,      P,          OK,    OK,      OK,      OK]),
    // The row is the new target's; the state of the present target does not matter.
    (UpdateAlias,                          [OK,      OK,      P,          OK,    OK,      OK,      OK]),
    (UpdateKeyDescription,                 [OK,      OK,      P,          OK,    OK,      OK,      OK]),
    (UpdatePrimaryRegion,                  [OK,      D,       P,          I,     Na,      C,       OK]),
    (Verify,                               [OK,      D,       P,          I,     Na,      C,       OK]),
    (VerifyMac,                            [OK,      D,       P,          I,     Na,      C,       OK]),
];

/// The row of an operation; `None` for the ten that act on no key.
pub fn row(operation: OperationName) -> Option<&'static [Cell; 7]> {
    TABLE.iter().find(|(name, _)| *name == operation).map(|(_, cells)| cells)
}

/// Whether a key in its present state takes part in an operation with this row.
///
/// # Errors
/// DisabledException, KMSInvalidStateException or UnsupportedOperationException, as the row says.
pub(crate) fn permit(row: &[Cell; 7], key: &KeyRecord, arn: &str) -> Result<()> {
    let state = &key.state;
    let origin = key.origin;
    let wrong_origin = || Error::wrong_origin(arn, origin.as_str());
    let pending = || Error::invalid_state(arn, state.phrase());
    let external = origin == OriginType::External;
    let own = origin == OriginType::AwsKms;
    // `column` is below seven by construction.
    let Some(cell) = row.get(state.column()) else {
        return Err(Error::internal("key state outside the table"));
    };
    match cell {
        Cell::Ok => Ok(()),
        Cell::D => Err(Error::disabled(arn)),
        Cell::N => Err(Error::invalid_state(arn, "not pending deletion")),
        Cell::P | Cell::I | Cell::U | Cell::C | Cell::G => Err(pending()),
        Cell::X => Err(wrong_origin()),
        Cell::OkIfExternal if external => Ok(()),
        Cell::OkIfAwsKms if own => Ok(()),
        Cell::OkUnlessStore if external || own => Ok(()),
        Cell::OkIfExternal | Cell::OkIfAwsKms | Cell::OkUnlessStore => Err(wrong_origin()),
        Cell::XOrD if own => Err(Error::disabled(arn)),
        Cell::XOrP if own => Err(pending()),
        Cell::XOrPImport if external => Err(pending()),
        Cell::XOrD | Cell::XOrP | Cell::XOrPImport => Err(wrong_origin()),
        Cell::NotApplicable => Err(pending()),
    }
}
