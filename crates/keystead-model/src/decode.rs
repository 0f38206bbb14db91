//! From a request body to a typed input: JSON, types, then every constraint of the model.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::json::{self, Malformed, Text, Value};
use crate::shape::{Bounds, Kind, Member, Shape};
use crate::violation::{Path, Shown, Violations};
use crate::{Blob, EncryptionContextMap, OperationName, RecipientInfo, SensitiveString, Timestamp};

/// Why a body is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DecodeError {
    /// The body is not a JSON object, or a member has the wrong type: `SerializationException`. The text
    /// holds nothing of the request.
    Serialization(&'static str),
    /// A constraint of the model is broken: `ValidationException` with this message. It quotes values,
    /// but none that is a blob, sensitive, or part of an encryption context.
    Validation(String),
}

/// The input of an operation.
pub trait Input: Sized {
    /// The operation whose input this is.
    const OPERATION: OperationName;

    /// The shape in the model.
    const SHAPE: &'static Shape;

    /// Reads a request body.
    ///
    /// A body that is not JSON, is nested more than 32 levels deep, holds more than 65,536 values, names
    /// a member twice or gives one the wrong type is refused before any constraint is looked at. Then all
    /// broken constraints are told in one message, in the order of the model; of more than 128 the
    /// first 128. Shown values are cut after 1,024 characters. Unknown members are ignored, `null` means
    /// absent, an empty body means `{}`. Lengths of text count Unicode code points, those of blobs
    /// bytes.
    ///
    /// # Errors
    /// [`DecodeError`], either of the two.
    fn decode(body: &[u8]) -> Result<Self, DecodeError>;

    /// `KeyId`, if the operation has that member and the request gives it.
    fn key_id(&self) -> Option<&str> {
        None
    }

    /// `GrantTokens`; empty if the request gives none.
    fn grant_tokens(&self) -> &[String] {
        &[]
    }

    /// Whether `DryRun` is true.
    fn dry_run(&self) -> bool {
        false
    }

    /// `Recipient`.
    fn recipient(&self) -> Option<&RecipientInfo> {
        None
    }

    /// `EncryptionContext`.
    fn encryption_context(&self) -> Option<&EncryptionContextMap> {
        None
    }
}

/// Decodes a whole body for `Input::decode`.
pub(crate) fn decode_body<T: FromWire>(shape: &Shape, body: &[u8]) -> Result<T, DecodeError> {
    let serialization = |Malformed(why)| DecodeError::Serialization(why);
    let value = json::parse(body).map_err(serialization)?;
    let mut violations = Violations::default();
    let input = T::from_wire(value, shape, &Path::Root, &mut violations).map_err(serialization)?;
    violations.finish().map_err(DecodeError::Validation)?;
    // INVARIANT: a value is missing only if a violation told why.
    input.ok_or(DecodeError::Serialization("the body cannot be read"))
}

/// A type that a JSON value can become.
pub(crate) trait FromWire: Sized {
    /// The value, or nothing if `violations` now tells why there is none. A value that breaks a
    /// constraint may be returned all the same: `decode_body` drops it.
    fn from_wire(
        value: Value<'_>,
        shape: &Shape,
        at: &Path<'_>,
        violations: &mut Violations,
    ) -> Result<Option<Self>, Malformed>;
}

/// The members of an object, taken in the order of the model.
pub(crate) struct Members<'a> {
    given: Vec<(Text<'a>, Value<'a>)>,
    modelled: std::slice::Iter<'static, Member>,
}

impl<'a> Members<'a> {
    pub(crate) fn of(value: Value<'a>, modelled: &'static [Member]) -> Result<Self, Malformed> {
        match value {
            Value::Object(given) => Ok(Self { given, modelled: modelled.iter() }),
            _ => Err(Malformed("a member that must be an object is not")),
        }
    }

    /// The next member of the model. The number of members is fixed by the model, so the search is
    /// linear in the number of members given.
    pub(crate) fn take<T: FromWire>(
        &mut self,
        at: &Path<'_>,
        violations: &mut Violations,
    ) -> Result<Option<T>, Malformed> {
        let Some(member) = self.modelled.next() else {
            return Err(Malformed("the model has no such member"));
        };
        let at = Path::Member(at, member.path);
        let position = self.given.iter().position(|(name, _)| **name == *member.name);
        match position.map(|position| self.given.swap_remove(position).1) {
            None | Some(Value::Null) => {
                if member.required {
                    violations.null(&at, member.shape);
                }
                Ok(None)
            }
            Some(value) => T::from_wire(value, member.shape, &at, violations),
        }
    }
}

/// Implements [`FromWire`] for a generated structure. The members stand in the order of the model.
macro_rules! decode_structure {
    ($name:ident, $shape:ident { $($kind:ident $field:ident),* $(,)? }) => {
        impl $crate::decode::FromWire for $name {
            #[allow(unused_variables, unused_mut, reason = "a structure may have no members")]
            fn from_wire(
                value: $crate::json::Value<'_>,
                _: &$crate::shape::Shape,
                at: &$crate::violation::Path<'_>,
                violations: &mut $crate::violation::Violations,
            ) -> Result<Option<Self>, $crate::json::Malformed> {
                let mut members =
                    $crate::decode::Members::of(value, $crate::generated::shapes::$shape.members())?;
                $(let $field = members.take(at, violations)?;)*
                $($crate::decode::keep!($kind $field);)*
                Ok(Some(Self { $($field),* }))
            }
        }
    };
}

/// A required member that is missing leaves no structure; an optional one stays as it is.
macro_rules! keep {
    (required $field:ident) => {
        let Some($field) = $field else { return Ok(None) };
    };
    (optional $field:ident) => {};
}

pub(crate) use {decode_structure, keep};

impl FromWire for String {
    fn from_wire(
        value: Value<'_>,
        shape: &Shape,
        at: &Path<'_>,
        violations: &mut Violations,
    ) -> Result<Option<Self>, Malformed> {
        let text = text(value)?;
        check_text(&text, shape, at, violations);
        Ok(Some(match text {
            Text::Borrowed(text) => text.to_owned(),
            Text::Unescaped(mut text) => std::mem::take(&mut *text),
        }))
    }
}

impl FromWire for SensitiveString {
    fn from_wire(
        value: Value<'_>,
        shape: &Shape,
        at: &Path<'_>,
        violations: &mut Violations,
    ) -> Result<Option<Self>, Malformed> {
        String::from_wire(value, shape, at, violations).map(|text| text.map(Self::from))
    }
}

impl FromWire for bool {
    fn from_wire(
        value: Value<'_>,
        _: &Shape,
        _: &Path<'_>,
        _: &mut Violations,
    ) -> Result<Option<Self>, Malformed> {
        match value {
            Value::Bool(truth) => Ok(Some(truth)),
            _ => Err(Malformed("a member that must be a boolean is not")),
        }
    }
}

impl FromWire for i32 {
    fn from_wire(
        value: Value<'_>,
        shape: &Shape,
        at: &Path<'_>,
        violations: &mut Violations,
    ) -> Result<Option<Self>, Malformed> {
        let Value::Number(number) = value else {
            return Err(Malformed("a member that must be an integer is not a number"));
        };
        let value = integer(number)?;
        if let Kind::Integer { range } = &shape.kind {
            violations.value(at, value, *range);
        }
        Ok(Some(value))
    }
}

impl FromWire for Timestamp {
    fn from_wire(
        value: Value<'_>,
        _: &Shape,
        _: &Path<'_>,
        _: &mut Violations,
    ) -> Result<Option<Self>, Malformed> {
        let Value::Number(number) = value else {
            return Err(Malformed("a member that must be a timestamp is not a number"));
        };
        Self::from_json_number(number).map(Some).ok_or(Malformed("a timestamp is out of range"))
    }
}

impl FromWire for Blob {
    fn from_wire(
        value: Value<'_>,
        shape: &Shape,
        at: &Path<'_>,
        violations: &mut Violations,
    ) -> Result<Option<Self>, Malformed> {
        let text = text(value)?;
        let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
        let length = STANDARD
            .decode_slice(text.as_bytes(), &mut bytes)
            .map_err(|_| Malformed("a blob is not base64"))?;
        bytes.truncate(length);
        if let Kind::Blob { length: bounds } = &shape.kind {
            violations.length(&Shown::Hidden, at, length, *bounds);
        }
        Ok(Some(Self::from(bytes)))
    }
}

impl<T: FromWire> FromWire for Vec<T> {
    fn from_wire(
        value: Value<'_>,
        shape: &Shape,
        at: &Path<'_>,
        violations: &mut Violations,
    ) -> Result<Option<Self>, Malformed> {
        let (Value::Array(items), Kind::List { member, length }) = (value, &shape.kind) else {
            return Err(Malformed("a member that must be a list is not"));
        };
        violations.length(&Shown::list(member, &items), at, items.len(), *length);
        if items.iter().any(|item| matches!(item, Value::Null)) {
            return Err(Malformed("an item of a list is null"));
        }
        // Simple items are told of once, by their list; structures tell of their members themselves.
        if !matches!(member.kind, Kind::Structure { .. })
            && items.iter().any(|item| !is_valid(item, member))
        {
            violations.items(&Shown::list(member, &items), at, member);
            return types_only::<T>(items, member, at);
        }
        let mut list = Self::with_capacity(items.len());
        for (i, item) in items.into_iter().enumerate() {
            list.extend(T::from_wire(item, member, &Path::Item(at, i), violations)?);
        }
        Ok(Some(list))
    }
}

impl FromWire for EncryptionContextMap {
    fn from_wire(
        value: Value<'_>,
        _: &Shape,
        _: &Path<'_>,
        violations: &mut Violations,
    ) -> Result<Option<Self>, Malformed> {
        let Value::Object(pairs) = value else {
            return Err(Malformed("a member that must be a map is not"));
        };
        let mut context = BTreeMap::new();
        for (name, value) in pairs {
            match value {
                Value::Text(value) => {
                    context.insert(name.to_string(), value.to_string());
                }
                Value::Null => violations.null_context_value(),
                _ => return Err(Malformed("a value of a map is not text")),
            }
        }
        Ok(Some(context.into_iter().collect()))
    }
}

/// For the enumerations: the value's text if it is one of the shape's.
pub(crate) fn enumerated<T>(
    value: Value<'_>,
    shape: &Shape,
    at: &Path<'_>,
    violations: &mut Violations,
    parse: fn(&str) -> Option<T>,
) -> Result<Option<T>, Malformed> {
    let text = text(value)?;
    let parsed = parse(&text);
    if parsed.is_none()
        && let Kind::Enum { values } = &shape.kind
    {
        violations.not_in_set(&Shown::text(shape, &text), at, values);
    }
    Ok(parsed)
}

/// Refuses items of the wrong type in a list that is known to break a constraint: the kind of error
/// must not depend on which item comes first.
fn types_only<T: FromWire>(
    items: Vec<Value<'_>>,
    member: &Shape,
    at: &Path<'_>,
) -> Result<Option<Vec<T>>, Malformed> {
    let mut unused = Violations::default();
    for item in items {
        T::from_wire(item, member, at, &mut unused)?;
    }
    Ok(None)
}

fn text(value: Value<'_>) -> Result<Text<'_>, Malformed> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err(Malformed("a member that must be a string is not")),
    }
}

fn check_text(text: &str, shape: &Shape, at: &Path<'_>, violations: &mut Violations) {
    let Kind::String { length, pattern } = &shape.kind else { return };
    if !length_fits(text, *length) {
        violations.length(&Shown::text(shape, text), at, text.chars().count(), *length);
    }
    if let Some(pattern) = pattern.filter(|pattern| !(pattern.matches)(text)) {
        violations.pattern(&Shown::text(shape, text), at, &pattern);
    }
}

/// Whether the number of code points lies within the bounds. A code point has one to four bytes, which
/// mostly decides without counting.
fn length_fits(text: &str, bounds: Bounds) -> bool {
    let signed = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
    let (most, fewest) = (signed(text.len()), signed(text.len().div_ceil(4)));
    if !bounds.is_over(most) && !bounds.is_under(fewest) {
        return true;
    }
    bounds.contain(signed(text.chars().count()))
}

/// Whether a simple item breaks no constraint. One of the wrong type breaks none: it is refused as such.
fn is_valid(item: &Value<'_>, shape: &Shape) -> bool {
    let Value::Text(text) = item else { return true };
    match &shape.kind {
        Kind::String { length, pattern } => {
            length_fits(text, *length) && pattern.is_none_or(|pattern| (pattern.matches)(text))
        }
        Kind::Enum { values } => values.contains(&&**text),
        _ => true,
    }
}

/// A number whose value is an integer of 32 bits; `5.0` and `5e0` are, as for AWS's JSON readers.
fn integer(number: &str) -> Result<i32, Malformed> {
    const RANGE: Malformed = Malformed("a number is not a 32-bit integer");
    if let Ok(value) = number.parse() {
        return Ok(value);
    }
    let value: f64 = number.parse().map_err(|_| RANGE)?;
    if value.fract() != 0.0 || value < f64::from(i32::MIN) || value > f64::from(i32::MAX) {
        return Err(RANGE);
    }
    #[allow(clippy::cast_possible_truncation, reason = "an integer inside the range of `i32`")]
    Ok(value as i32)
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serialization(why) => f.write_str(why),
            Self::Validation(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for DecodeError {}
