//! Aliases, ARNs, and the four forms in which a request names a key.

use crate::ids::{AccountId, KeyId, Partition, Region};

/// The name of an alias, with its prefix: `alias/` and 1 to 250 of `a-z`, `A-Z`, `0-9`, `/`, `_`, `-`.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AliasName(String);

/// What a `KeyId` member names. Nothing is looked up, and neither partition nor Region is compared to
/// those that serve the request.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum KeyReference<'a> {
    /// A key of the caller's account.
    KeyId(KeyId),
    /// A key of any account.
    KeyArn {
        /// The partition as written.
        partition: &'a str,
        /// The Region as written; any text without a colon.
        region: &'a str,
        /// The account.
        account: AccountId,
        /// The key.
        key: KeyId,
    },
    /// An alias of the caller's account, `alias/` included. The name is as written and may be one that
    /// no alias can have.
    AliasName(&'a str),
    /// An alias of any account.
    AliasArn {
        /// The partition as written.
        partition: &'a str,
        /// The Region as written; any text without a colon.
        region: &'a str,
        /// The account.
        account: AccountId,
        /// The name as written, `alias/` included.
        name: &'a str,
    },
}

/// Why a text names no key.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum KeyReferenceError<'a> {
    /// Neither a key id, an ARN nor an alias: `NotFoundException`, "Invalid keyId '..'" (observed).
    InvalidKeyId,
    /// The ARN of a key whose id is none: `NotFoundException`, "Invalid keyId .." without quotes
    /// (reported, 2026). With the Region and the id as written.
    InvalidKeyIdInArn {
        /// The Region as written; any text without a colon.
        region: &'a str,
        /// What stands for the key id.
        key: &'a str,
    },
    /// A UUID in capitals, alone or in an ARN: that of a key that does not exist (reported, 2026). With
    /// the id as written and, of an ARN, the Region.
    Capitals {
        /// The Region of the ARN as written.
        region: Option<&'a str>,
        /// The key id as written.
        key: &'a str,
    },
    /// It begins with `arn:` but is no ARN of a KMS key or alias: `InvalidArnException` (an assumption,
    /// as nobody recorded the answer of AWS).
    InvalidArn,
}

const ALIAS: &str = "alias/";

impl AliasName {
    /// Reads a name with its prefix. The model's pattern also admits `:`, which AWS refuses in a second
    /// check; so does this.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix(ALIAS)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
        ((1..=250).contains(&name.len()) && name.bytes().all(allowed))
            .then(|| Self(text.to_owned()))
    }

    /// The name with its prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'a> KeyReference<'a> {
    /// Reads a `KeyId` member in any form. Which forms an operation takes is the operation's business.
    ///
    /// # Errors
    /// [`KeyReferenceError`]: by the beginning of the text alone it is an ARN or it is not.
    pub fn parse(text: &'a str) -> Result<Self, KeyReferenceError<'a>> {
        if let Some(rest) = text.strip_prefix("arn:") {
            return Self::parse_arn(rest).unwrap_or(Err(KeyReferenceError::InvalidArn));
        }
        if text.starts_with(ALIAS) {
            return Ok(Self::AliasName(text));
        }
        KeyId::parse(text).map(Self::KeyId).ok_or(match is_uuid_in_capitals(text) {
            true => KeyReferenceError::Capitals { region: None, key: text },
            false => KeyReferenceError::InvalidKeyId,
        })
    }

    fn parse_arn(rest: &'a str) -> Option<Result<Self, KeyReferenceError<'a>>> {
        let mut parts = rest.splitn(5, ':');
        let (partition, service, region) = (parts.next()?, parts.next()?, parts.next()?);
        let account = AccountId::parse(parts.next()?)?;
        let resource = parts.next()?;
        if service != "kms" || partition.is_empty() || region.is_empty() {
            return None;
        }
        if let Some(key) = resource.strip_prefix("key/") {
            let named =
                KeyId::parse(key).map(|key| Self::KeyArn { partition, region, account, key });
            return Some(named.ok_or(match is_uuid_in_capitals(key) {
                true => KeyReferenceError::Capitals { region: Some(region), key },
                false => KeyReferenceError::InvalidKeyIdInArn { region, key },
            }));
        }
        let is_alias = resource.strip_prefix(ALIAS).is_some_and(|name| !name.is_empty());
        is_alias.then_some(Ok(Self::AliasArn { partition, region, account, name: resource }))
    }
}

/// Whether only the case of its letters keeps a text from being the id of a single-Region key.
fn is_uuid_in_capitals(text: &str) -> bool {
    KeyId::parse(&text.to_ascii_lowercase()).is_some_and(|id| !id.is_multi_region())
}

/// The ARN of a key. Its partition is that of the Region.
pub fn key_arn(region: &Region, account: AccountId, key: KeyId) -> String {
    format!("arn:{}:kms:{region}:{account}:key/{key}", region.partition())
}

/// The ARN of an alias, whose name is given with its prefix `alias/`.
pub fn alias_arn(region: &Region, account: &AccountId, name: &str) -> String {
    format!("arn:{}:kms:{region}:{account}:{name}", region.partition())
}

/// The ARN of an account's root, which stands for the account in policies.
pub fn root_arn(partition: Partition, account: AccountId) -> String {
    format!("arn:{partition}:iam::{account}:root")
}

impl std::fmt::Display for KeyReferenceError<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::InvalidKeyId => "the text is no key id, ARN or alias",
            Self::InvalidKeyIdInArn { .. } => "the ARN of a key has no key id",
            Self::Capitals { .. } => "a key id has no capitals",
            Self::InvalidArn => "the text is no ARN of a KMS key or alias",
        })
    }
}

impl std::error::Error for KeyReferenceError<'_> {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

    fn account() -> AccountId {
        AccountId::parse("111122223333").unwrap()
    }

    #[test]
    fn alias_names_have_a_prefix_and_no_colon() {
        for name in ["alias/a", "alias/aws/s3", "alias/_", "alias/x/", "alias/-"] {
            assert_eq!(AliasName::parse(name).unwrap().to_string(), name);
        }
        assert!(AliasName::parse(&format!("alias/{}", "x".repeat(250))).is_some());
        assert!(AliasName::parse(&format!("alias/{}", "x".repeat(251))).is_none());
        for name in ["", "alias/", "a", "Alias/a", "alias/my:alias", "alias/a b", "alias/é"] {
            assert_eq!(AliasName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn every_form_is_told_apart() {
        let key = KeyId::parse(KEY).unwrap();
        assert_eq!(KeyReference::parse(KEY), Ok(KeyReference::KeyId(key)));
        assert_eq!(
            KeyReference::parse(&format!("arn:aws:kms:us-east-2:111122223333:key/{KEY}")),
            Ok(KeyReference::KeyArn {
                partition: "aws",
                region: "us-east-2",
                account: account(),
                key
            })
        );
        assert_eq!(KeyReference::parse("alias/x"), Ok(KeyReference::AliasName("alias/x")));
        assert_eq!(
            KeyReference::parse("arn:aws-cn:kms:cn-north-1:111122223333:alias/a/b"),
            Ok(KeyReference::AliasArn {
                partition: "aws-cn",
                region: "cn-north-1",
                account: account(),
                name: "alias/a/b"
            })
        );
    }

    #[test]
    fn other_texts_are_refused_by_their_kind() {
        for text in
            ["", "x", "mrk-fake-key-id", "134f2428cec14b25a1ae9048164dba47", "Arn:aws", "arn"]
        {
            assert_eq!(KeyReference::parse(text), Err(KeyReferenceError::InvalidKeyId), "{text}");
        }
        for text in [
            "arn:",
            "arn:aws:kms:us-east-1:111122223333",
            "arn:aws:s3:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:us-east-1:1111:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn::kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms::111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:us-east-1:111122223333:alias/",
            "arn:aws:kms:us-east-1:111122223333:grant/x",
            "arn:aws:kms:us-east-1:111122223333:key:1234abcd-12ab-34cd-56ef-1234567890ab",
        ] {
            assert_eq!(KeyReference::parse(text), Err(KeyReferenceError::InvalidArn), "{text}");
        }
        let arn = "arn:aws:kms:us-east-1:111122223333:key/";
        for key in ["x", "", "mrk-fake-key-id", "mrk-1234ABCD12ab34cd56ef1234567890ab"] {
            let expected = KeyReferenceError::InvalidKeyIdInArn { region: "us-east-1", key };
            assert_eq!(KeyReference::parse(&format!("{arn}{key}")), Err(expected));
        }
        let key = "1234ABCD-12ab-34cd-56ef-1234567890ab";
        let alone = KeyReferenceError::Capitals { region: None, key };
        assert_eq!(KeyReference::parse(key), Err(alone));
        let in_arn = KeyReferenceError::Capitals { region: Some("us-east-1"), key };
        assert_eq!(KeyReference::parse(&format!("{arn}{key}")), Err(in_arn));
    }

    #[test]
    fn arns_carry_the_partition_of_the_region() {
        let region = Region::parse("us-gov-west-1").unwrap();
        let key = KeyId::parse(KEY).unwrap();
        assert_eq!(
            key_arn(&region, account(), key),
            format!("arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/{KEY}")
        );
        assert_eq!(
            alias_arn(&region, &account(), "alias/x"),
            "arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/x"
        );
        assert_eq!(
            root_arn(region.partition(), account()),
            "arn:aws-us-gov:iam::111122223333:root"
        );
    }

    proptest! {
        #[test]
        fn key_arns_round_trip(
            region in "([a-z]{1,6}-){2,3}[0-9]{1,2}", account in "[0-9]{12}",
            bytes: [u8; 16], multi_region: bool,
        ) {
            let region = Region::parse(&region).unwrap();
            let account = AccountId::parse(&account).unwrap();
            let key = KeyId::from_parts(bytes, multi_region);
            let arn = key_arn(&region, account, key);
            let expected = KeyReference::KeyArn {
                partition: region.partition().as_str(), region: region.as_str(), account, key,
            };
            prop_assert_eq!(KeyReference::parse(&arn), Ok(expected));
        }

        #[test]
        fn any_text_gives_an_answer(text in "(arn:|alias/|mrk-)?.{0,60}") {
            let _ = KeyReference::parse(&text);
            let _ = AliasName::parse(&text);
            let _ = Region::parse(&text);
        }
    }
}
