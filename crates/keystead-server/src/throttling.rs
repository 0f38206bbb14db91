//! `[throttling]` of the configuration file: request quotas by group.

use std::collections::BTreeMap;
use std::fmt;

use keystead_service::{Group, PerSecond, Rate, Rates};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// The section, read.
#[derive(Debug, Default)]
pub(crate) struct Throttling(pub(crate) Rates);

/// A key of the section.
enum Name {
    /// What holds for groups that are not named.
    Default,
    Group(Group),
}

/// A value of the section.
struct Setting(Rate);

impl<'de> Deserialize<'de> for Throttling {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Section;

        impl<'de> Visitor<'de> for Section {
            type Value = Throttling;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a table of request rates")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Throttling, M::Error> {
                let (mut others, mut groups) = (Rate::Off, BTreeMap::new());
                while let Some(name) = map.next_key()? {
                    let Setting(rate) = map.next_value()?;
                    match name {
                        Name::Default => others = rate,
                        Name::Group(group) => _ = groups.insert(group, rate),
                    }
                }
                Ok(Throttling(Rates { others, groups }))
            }
        }

        from.deserialize_map(Section)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        match Group::parse(&name) {
            _ if name == "default" => Ok(Self::Default),
            Some(group) => Ok(Self::Group(group)),
            None => Err(Error::custom(unknown(&name))),
        }
    }
}

/// Names what the group may have been meant by; all of them would be sixty.
fn unknown(name: &str) -> String {
    let shared = match name {
        "GenerateDataKeyPair" | "GenerateDataKeyPairWithoutPlaintext" => {
            "; data key pairs have a group for each spec, such as `data_key_pair_RSA_2048`"
        }
        _ => "; groups are named in docs/configuration.md",
    };
    format!("unknown group `{name}`{shared}")
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Value;

        impl Visitor<'_> for Value {
            type Value = Setting;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(
                    "requests per second from 0.001 to 1000000, \"aws\" for AWS's default, or \"off\"",
                )
            }

            fn visit_f64<E: Error>(self, requests: f64) -> Result<Setting, E> {
                match PerSecond::new(requests) {
                    Some(rate) => Ok(Setting(Rate::Limit(rate))),
                    None => Err(E::invalid_value(serde::de::Unexpected::Float(requests), &self)),
                }
            }

            fn visit_i64<E: Error>(self, requests: i64) -> Result<Setting, E> {
                let odd = || E::invalid_value(serde::de::Unexpected::Signed(requests), &self);
                let requests = u32::try_from(requests).map_err(|_| odd())?;
                PerSecond::new(requests.into())
                    .map(|rate| Setting(Rate::Limit(rate)))
                    .ok_or_else(odd)
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Setting, E> {
                match word {
                    "aws" => Ok(Setting(Rate::Aws)),
                    "off" => Ok(Setting(Rate::Off)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }
        }

        from.deserialize_any(Value)
    }
}
