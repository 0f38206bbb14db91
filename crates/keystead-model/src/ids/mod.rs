//! Accounts, Regions, keys and aliases: how each is spelt, and what a `KeyId` member may name.
//!
//! Each type is made by parsing only, so that a value of it is always well formed.

mod arn;
mod key;

pub use arn::{AliasName, KeyReference, KeyReferenceError, alias_arn, key_arn, root_arn};
pub use key::{KeyId, KeyMaterialId};

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// An AWS account: 12 digits.
#[derive(Copy, Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AccountId([u8; 12]);

/// A Region, for example `eu-central-1`. Its form is the model's `RegionType`; any name of that form is
/// a Region.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Region(Arc<str>);

/// A group of Regions with its own ARNs.
#[derive(Copy, Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Partition {
    /// `aws`: the commercial Regions.
    Aws,
    /// `aws-cn`: China.
    AwsCn,
    /// `aws-us-gov`: GovCloud (US).
    AwsUsGov,
    /// `aws-eusc`: European Sovereign Cloud.
    AwsEusc,
    /// `aws-iso`: isolated (US).
    AwsIso,
    /// `aws-iso-b`: isolated (US).
    AwsIsoB,
    /// `aws-iso-e`: isolated (Europe).
    AwsIsoE,
    /// `aws-iso-f`: isolated (US).
    AwsIsoF,
}

/// A text is not of the form that an identifier has.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct InvalidIdentifier;

impl AccountId {
    /// The account of these 12 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; 12] = text.as_bytes().try_into().ok()?;
        digits.iter().all(u8::is_ascii_digit).then_some(Self(digits))
    }

    /// The 12 digits.
    pub fn as_str(&self) -> &str {
        // INVARIANT: only ASCII digits get in.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Region {
    /// The Region of this name, if it has the form of `RegionType`: two or three groups of lower-case
    /// letters each followed by a hyphen, then digits; at most 32 characters.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-').rev();
        let number = parts.next()?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let are_words = parts
            .clone()
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()));
        let valid = text.len() <= 32 && is_number && are_words && matches!(parts.count(), 2 | 3);
        valid.then(|| Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition, told by the beginning of the name as the AWS SDKs' partition tables do.
    pub fn partition(&self) -> Partition {
        const PREFIXES: [(&str, Partition); 7] = [
            ("cn-", Partition::AwsCn),
            ("us-gov-", Partition::AwsUsGov),
            ("eusc-", Partition::AwsEusc),
            ("us-iso-", Partition::AwsIso),
            ("us-isob-", Partition::AwsIsoB),
            ("eu-isoe-", Partition::AwsIsoE),
            ("us-isof-", Partition::AwsIsoF),
        ];
        let found = PREFIXES.iter().find(|(prefix, _)| self.0.starts_with(prefix));
        found.map_or(Partition::Aws, |(_, partition)| *partition)
    }
}

impl Partition {
    /// The name in ARNs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsCn => "aws-cn",
            Self::AwsUsGov => "aws-us-gov",
            Self::AwsEusc => "aws-eusc",
            Self::AwsIso => "aws-iso",
            Self::AwsIsoB => "aws-iso-b",
            Self::AwsIsoE => "aws-iso-e",
            Self::AwsIsoF => "aws-iso-f",
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for InvalidIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is not a valid identifier of its kind")
    }
}

impl std::error::Error for InvalidIdentifier {}

/// Printing and parsing of an identifier that is its text.
macro_rules! textual {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        identifier!($name);
    )*};
}

/// What every identifier has beside `parse` and `Display`.
macro_rules! identifier {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl FromStr for $name {
            type Err = InvalidIdentifier;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text).ok_or(InvalidIdentifier)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text =
                    <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom(InvalidIdentifier))
            }
        }
    };
}

textual!(AccountId, Region, AliasName);
identifier!(KeyId);
identifier!(KeyMaterialId);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn an_account_is_12_digits() {
        assert_eq!(AccountId::parse("111122223333").unwrap().to_string(), "111122223333");
        for text in ["", "11112222333", "1111222233334", "11112222333x", "11112222333\u{660}"] {
            assert_eq!(AccountId::parse(text), None, "{text}");
        }
        assert_eq!("x".parse::<AccountId>(), Err(InvalidIdentifier));
    }

    #[test]
    fn regions_have_the_form_of_the_model() {
        for text in ["us-east-1", "us-gov-west-1", "cn-northwest-1", "ap-southeast-12"] {
            assert_eq!(Region::parse(text).unwrap().as_str(), text);
        }
        for text in [
            "",
            "us",
            "us-1",
            "us-east",
            "us-east-",
            "us--1",
            "-us-east-1",
            "US-east-1",
            "us-east-1 ",
            "a-b-c-d-1",
            "us-east-1a",
            "us-east1-1",
            "abcdefghijklmnopqrst-abcdefghijk-1",
        ] {
            assert_eq!(Region::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_region_tells_its_partition() {
        for (region, partition) in [
            ("us-east-1", "aws"),
            ("eu-central-1", "aws"),
            ("us-isolated-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-east-1", "aws-us-gov"),
            ("eusc-de-east-1", "aws-eusc"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("us-isof-south-1", "aws-iso-f"),
        ] {
            assert_eq!(Region::parse(region).unwrap().partition().to_string(), partition);
        }
    }

    #[test]
    fn identifiers_are_their_text_in_serde() {
        let account = AccountId::parse("111122223333").unwrap();
        let json = serde_json::to_string(&account).unwrap();
        assert_eq!(json, "\"111122223333\"");
        assert_eq!(serde_json::from_str::<AccountId>(&json).unwrap(), account);
        assert!(serde_json::from_str::<AccountId>("\"1\"").is_err());
        let key = KeyId::from_parts([7; 16], true);
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<KeyId>(&json).unwrap(), key);
    }
}
