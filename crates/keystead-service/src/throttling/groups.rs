//! The groups of request quotas (behaviour.md 7.2): which operations share one, its name in the
//! settings, and AWS's rate.
//!
//! Rates are AWS's defaults: for RSA, ECC and ML-DSA those of the present developer guide
//! ("Request quotas"), for SM2 those of 2023, which are lower. RotateKeyOnDemand, ListKeyRotations
//! and GetKeyLastUsage are newer than any list at hand and have the rates of their neighbours.

use keystead_model::{DataKeyPairSpec, KeySpec, OperationName, Partition, Region};

use super::PerSecond;

/// Operations that share one request quota; each account has one in each Region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Cryptographic operations with symmetric and HMAC keys, and GenerateRandom.
    Symmetric,
    /// Cryptographic operations with RSA keys.
    Rsa,
    /// Sign, Verify and DeriveSharedSecret with elliptic curve keys.
    Ecc,
    /// Cryptographic operations with SM2 keys.
    Sm,
    /// Sign and Verify with ML-DSA keys.
    MlDsa,
    /// Cryptographic operations with the keys of one custom key store, which count in their own
    /// group besides. Each store has this quota for itself.
    CustomKeyStore,
    /// GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext with one KeyPairSpec.
    DataKeyPair(DataKeyPairSpec),
    /// One operation by itself.
    Operation(OperationName),
}

/// How the group of a request is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// By the operation.
    ByName(Group),
    /// By KeyPairSpec, or by the spec of the key. A request that fails before it is known counts in
    /// the group given here.
    Later(Group),
}

/// The group of an operation's requests.
pub(super) fn of(operation: OperationName) -> Found {
    use OperationName::*;
    match operation {
        GenerateDataKey
        | GenerateDataKeyWithoutPlaintext
        | GenerateMac
        | VerifyMac
        | GenerateRandom => Found::ByName(Group::Symmetric),
        Encrypt | Decrypt | ReEncrypt => Found::Later(Group::Symmetric),
        Sign | Verify | DeriveSharedSecret => Found::Later(Group::Ecc),
        GenerateDataKeyPair | GenerateDataKeyPairWithoutPlaintext => {
            Found::Later(Group::DataKeyPair(DataKeyPairSpec::EccNistP256))
        }
        alone => Found::ByName(Group::Operation(alone)),
    }
}

/// Whether the group of an operation's requests is that of their keys.
pub(super) fn is_by_key(operation: OperationName) -> bool {
    let by_pair = matches!(
        operation,
        OperationName::GenerateDataKeyPair | OperationName::GenerateDataKeyPairWithoutPlaintext
    );
    matches!(of(operation), Found::Later(_)) && !by_pair
}

/// Whether an operation's requests also count for the custom key store of their key.
pub(super) fn counts_for_key_store(operation: OperationName) -> bool {
    matches!(of(operation), Found::ByName(Group::Symmetric) | Found::Later(_))
}

impl Group {
    /// The group of cryptographic operations with keys of a spec.
    pub(super) fn of_key(spec: KeySpec) -> Self {
        use KeySpec::*;
        match spec {
            SymmetricDefault | Hmac224 | Hmac256 | Hmac384 | Hmac512 => Self::Symmetric,
            Rsa2048 | Rsa3072 | Rsa4096 => Self::Rsa,
            EccNistP256 | EccNistP384 | EccNistP521 | EccSecgP256k1 | EccNistEdwards25519 => {
                Self::Ecc
            }
            Sm2 => Self::Sm,
            MlDsa44 | MlDsa65 | MlDsa87 => Self::MlDsa,
        }
    }

    /// Every group.
    pub fn all() -> impl Iterator<Item = Self> {
        let shared = [Self::Symmetric, Self::Rsa, Self::Ecc, Self::Sm, Self::MlDsa];
        let pairs = DataKeyPairSpec::ALL.iter().copied().map(Self::DataKeyPair);
        let alone = OperationName::ALL.iter().copied().map(Self::Operation);
        let alone = alone.filter(
            |group| matches!(group, Self::Operation(name) if of(*name) == Found::ByName(*group)),
        );
        shared.into_iter().chain([Self::CustomKeyStore]).chain(pairs).chain(alone)
    }

    /// Its name in the settings.
    pub fn name(self) -> String {
        match self {
            Self::Symmetric => "cryptographic_symmetric".to_owned(),
            Self::Rsa => "cryptographic_rsa".to_owned(),
            Self::Ecc => "cryptographic_ecc".to_owned(),
            Self::Sm => "cryptographic_sm".to_owned(),
            Self::MlDsa => "cryptographic_ml_dsa".to_owned(),
            Self::CustomKeyStore => "custom_key_store".to_owned(),
            Self::DataKeyPair(spec) => format!("data_key_pair_{spec}"),
            Self::Operation(name) => name.as_str().to_owned(),
        }
    }

    /// The group of a name, letter case and all.
    pub fn parse(name: &str) -> Option<Self> {
        Self::all().find(|group| group.name() == name)
    }

    /// AWS's default in a Region.
    pub(super) fn aws(self, region: &Region) -> PerSecond {
        let china = region.partition() == Partition::AwsCn;
        match self {
            Self::Symmetric => PerSecond::whole(symmetric(region.as_str())),
            Self::Rsa | Self::Ecc | Self::MlDsa => PerSecond::whole(1_000),
            Self::Sm => PerSecond::whole(300),
            Self::CustomKeyStore => PerSecond::whole(1_800),
            Self::DataKeyPair(spec) => pair(spec, china),
            Self::Operation(OperationName::GetParametersForImport) => PerSecond::thousandths(250),
            Self::Operation(name) => PerSecond::whole(alone(name)),
        }
    }
}

fn symmetric(region: &str) -> u32 {
    match region {
        "us-east-1" | "us-west-2" | "eu-west-1" => 100_000,
        "us-east-2" | "ap-southeast-1" | "ap-southeast-2" | "ap-northeast-1" | "eu-central-1"
        | "eu-west-2" => 20_000,
        _ => 10_000,
    }
}

fn pair(spec: DataKeyPairSpec, china: bool) -> PerSecond {
    use DataKeyPairSpec::*;
    match (spec, china) {
        (Rsa2048, false) => PerSecond::whole(20),
        (Rsa2048, true) => PerSecond::whole(1),
        (Rsa3072, false) => PerSecond::whole(4),
        (Rsa3072, true) => PerSecond::thousandths(500),
        (Rsa4096, false) => PerSecond::whole(1),
        (Rsa4096, true) => PerSecond::thousandths(100),
        (Sm2, _) => PerSecond::whole(25),
        (EccNistP256 | EccNistP384 | EccNistP521 | EccSecgP256k1 | EccNistEdwards25519, _) => {
            PerSecond::whole(100)
        }
    }
}

fn alone(operation: OperationName) -> u32 {
    use OperationName::*;
    match operation {
        DescribeKey | GetPublicKey | ListResourceTags => 2_000,
        GetKeyPolicy | GetKeyRotationStatus => 1_000,
        ListAliases | ListKeys => 500,
        ListGrants | ListKeyPolicies | ListRetirableGrants => 100,
        // Newer than the list: as the other lists of a key.
        ListKeyRotations | GetKeyLastUsage => 100,
        CreateGrant => 50,
        RetireGrant | RevokeGrant => 30,
        DeleteAlias | EnableKeyRotation | PutKeyPolicy | ScheduleKeyDeletion => 15,
        TagResource => 10,
        // All others that change something, RotateKeyOnDemand among them, which is newer.
        _ => 5,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_group() {
        let groups: Vec<Group> = Group::all().collect();
        // Six shared ones, nine of data key pairs, 54 operations but the thirteen that share.
        assert_eq!(groups.len(), 6 + 9 + 54 - 13);
        for group in groups {
            assert_eq!(Group::parse(&group.name()), Some(group));
        }
        for odd in ["Encrypt", "GenerateDataKeyPair", "createkey", "cryptographic", ""] {
            assert_eq!(Group::parse(odd), None, "{odd}");
        }
        assert_eq!(
            Group::parse("data_key_pair_RSA_2048"),
            Some(Group::DataKeyPair(DataKeyPairSpec::Rsa2048))
        );
    }

    /// The table of behaviour.md 7.2, by its numbers.
    #[test]
    fn aws_rates() {
        let rate =
            |name: &str, region: &str| Group::parse(name).unwrap().aws(&region.parse().unwrap());
        for (name, expected) in [
            ("cryptographic_symmetric", 10_000.0),
            ("cryptographic_rsa", 1_000.0),
            ("cryptographic_ecc", 1_000.0),
            ("cryptographic_sm", 300.0),
            ("cryptographic_ml_dsa", 1_000.0),
            ("custom_key_store", 1_800.0),
            ("data_key_pair_ECC_NIST_EDWARDS25519", 100.0),
            ("data_key_pair_RSA_2048", 20.0),
            ("data_key_pair_RSA_3072", 4.0),
            ("data_key_pair_RSA_4096", 1.0),
            ("data_key_pair_SM2", 25.0),
            ("DescribeKey", 2_000.0),
            ("GetKeyRotationStatus", 1_000.0),
            ("ListKeys", 500.0),
            ("ListGrants", 100.0),
            ("CreateGrant", 50.0),
            ("RevokeGrant", 30.0),
            ("PutKeyPolicy", 15.0),
            ("TagResource", 10.0),
            ("CreateKey", 5.0),
            ("UpdatePrimaryRegion", 5.0),
            ("GetParametersForImport", 0.25),
        ] {
            assert_eq!(Some(rate(name, "eu-north-1")), PerSecond::new(expected), "{name}");
        }
        let symmetric = |region| rate("cryptographic_symmetric", region);
        assert_eq!(Some(symmetric("us-east-1")), PerSecond::new(100_000.0));
        assert_eq!(Some(symmetric("eu-west-2")), PerSecond::new(20_000.0));
        let china = |name| rate(name, "cn-north-1");
        assert_eq!(Some(china("data_key_pair_RSA_2048")), PerSecond::new(1.0));
        assert_eq!(Some(china("data_key_pair_RSA_3072")), PerSecond::new(0.5));
        assert_eq!(Some(china("data_key_pair_RSA_4096")), PerSecond::new(0.1));
    }
}
