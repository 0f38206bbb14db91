//! Enumerations whose values are texts on the wire.

/// Defines an enumeration: names, wire texts, parsing, serde as the wire text.
macro_rules! wire_enum {
    ($(#[$attribute:meta])* $name:ident { $($variant:ident = $wire:literal),* $(,)? }) => {
        $(#[$attribute])*
        #[derive(Copy, Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum $name {
            $(#[doc = concat!("`", $wire, "`")] $variant,)*
        }

        impl $name {
            /// Every value, in the order of the model.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The wire texts, in the same order.
            pub const WIRE: &'static [&'static str] = &[$($wire),*];

            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $wire,)*
                }
            }

            /// The value of a wire text, letter case and all.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($wire => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| {
                    serde::de::Error::unknown_variant(&text, Self::WIRE)
                })
            }
        }
    };
}

/// An enumeration that requests and responses carry.
macro_rules! model_enum {
    ($(#[$attribute:meta])* $name:ident { $($body:tt)* }) => {
        $crate::wire_enum::wire_enum! { $(#[$attribute])* $name { $($body)* } }

        impl $crate::decode::FromWire for $name {
            fn from_wire(
                value: $crate::json::Value<'_>,
                shape: &$crate::shape::Shape,
                at: &$crate::violation::Path<'_>,
                violations: &mut $crate::violation::Violations,
            ) -> Result<Option<Self>, $crate::json::Malformed> {
                $crate::decode::enumerated(value, shape, at, violations, Self::parse)
            }
        }

        impl $crate::encode::ToWire for $name {
            fn to_wire(&self, sink: &mut impl $crate::encode::Sink) {
                self.as_str().to_wire(sink);
            }
        }
    };
}

pub(crate) use {model_enum, wire_enum};
