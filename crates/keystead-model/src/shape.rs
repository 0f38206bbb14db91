//! The static description of the model's shapes: what the decoder enforces, and what tests are made of.

use crate::OperationName;

/// A shape of the model with its constraints.
#[derive(Debug)]
pub struct Shape {
    /// The name in the model, for example `KeyIdType`.
    pub name: &'static str,
    /// What the shape is, with the constraints of that kind.
    pub kind: Kind,
    /// Whether the model marks the shape as sensitive: its values are never shown.
    pub sensitive: bool,
}

/// What a shape is. `min` and `max` are inclusive.
#[derive(Debug)]
pub enum Kind {
    /// Text. Its length counts Unicode code points.
    String {
        /// Smallest and greatest length.
        length: Bounds,
        /// Pattern of the whole text.
        pattern: Option<Pattern>,
    },
    /// Text of a closed set, in the order of the model.
    Enum {
        /// The wire values.
        values: &'static [&'static str],
    },
    /// A 32-bit integer.
    Integer {
        /// Smallest and greatest value.
        range: Bounds,
    },
    /// A truth value.
    Boolean,
    /// A point in time.
    Timestamp,
    /// Bytes, base64 on the wire. Its length counts bytes.
    Blob {
        /// Smallest and greatest length.
        length: Bounds,
    },
    /// An array. Its length counts items.
    List {
        /// The shape of each item.
        member: &'static Shape,
        /// Smallest and greatest length.
        length: Bounds,
    },
    /// An object of free names with values of one shape.
    Map {
        /// The shape of the names.
        key: &'static Shape,
        /// The shape of the values.
        value: &'static Shape,
    },
    /// An object of known members, in the order of the model.
    Structure {
        /// The members.
        members: &'static [Member],
    },
}

/// Inclusive bounds of a length or value.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// The smallest value allowed.
    pub min: Option<u32>,
    /// The greatest value allowed.
    pub max: Option<u32>,
}

/// A pattern which the whole text must match, whether or not the model writes it with anchors.
#[derive(Copy, Clone)]
pub struct Pattern {
    /// The pattern as the model writes it.
    pub text: &'static str,
    /// Whether a text matches it.
    pub matches: fn(&str) -> bool,
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// The name on the wire, for example `KeyId`.
    pub name: &'static str,
    /// The name in validation messages: the same with a lower-case first letter.
    pub path: &'static str,
    /// Whether the model requires the member.
    pub required: bool,
    /// The shape of its value.
    pub shape: &'static Shape,
}

/// One constraint at one place of one operation's input.
#[derive(Clone, Debug)]
pub struct Constraint {
    /// The operation.
    pub operation: OperationName,
    /// The names on the way to the value, outermost first; an item of a list is `member`, a value of a
    /// map `value`.
    pub path: Vec<&'static str>,
    /// The shape of the value.
    pub shape: &'static Shape,
    /// What must hold.
    pub rule: Rule,
}

/// What a constraint demands.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Rule {
    /// The member must be there and not null.
    Required,
    /// The text must be one of the shape's values.
    Enum,
    /// The number must not be smaller.
    MinValue(u32),
    /// The number must not be greater.
    MaxValue(u32),
    /// The text, blob or list must not be shorter.
    MinLength(u32),
    /// The text, blob or list must not be longer.
    MaxLength(u32),
    /// The whole text must match this pattern.
    Pattern(&'static str),
}

/// Every constraint of every operation's input, in the order of the model. Bounds that cannot be broken
/// (a smallest length of 0) are left out.
pub fn constraints() -> Vec<Constraint> {
    let mut all = Vec::new();
    for operation in OperationName::ALL {
        collect(*operation, &mut Vec::new(), operation.input(), &mut all);
    }
    all
}

impl Shape {
    /// The members of a structure; none for any other kind.
    pub fn members(&self) -> &'static [Member] {
        match self.kind {
            Kind::Structure { members } => members,
            _ => &[],
        }
    }

    /// Whether values stay out of messages: sensitive shapes and all blobs.
    pub fn is_hidden(&self) -> bool {
        self.sensitive || matches!(self.kind, Kind::Blob { .. })
    }

    /// The constraints on a value of this shape itself, not those of its parts.
    pub fn rules(&self) -> Vec<Rule> {
        let length = |bounds: &Bounds| {
            let max = bounds.max.map(Rule::MaxLength);
            let min = bounds.min.filter(|min| *min > 0).map(Rule::MinLength);
            max.into_iter().chain(min)
        };
        match &self.kind {
            Kind::String { length: bounds, pattern } => {
                length(bounds).chain(pattern.map(|pattern| Rule::Pattern(pattern.text))).collect()
            }
            Kind::Enum { .. } => vec![Rule::Enum],
            Kind::Integer { range } => {
                let max = range.max.map(Rule::MaxValue);
                max.into_iter().chain(range.min.map(Rule::MinValue)).collect()
            }
            Kind::Blob { length: bounds } | Kind::List { length: bounds, .. } => {
                length(bounds).collect()
            }
            Kind::Boolean | Kind::Timestamp | Kind::Map { .. } | Kind::Structure { .. } => {
                Vec::new()
            }
        }
    }
}

impl Bounds {
    /// Whether a length or value lies within.
    pub(crate) fn contain(&self, value: i64) -> bool {
        !self.is_under(value) && !self.is_over(value)
    }

    pub(crate) fn is_under(&self, value: i64) -> bool {
        self.min.is_some_and(|min| value < i64::from(min))
    }

    pub(crate) fn is_over(&self, value: i64) -> bool {
        self.max.is_some_and(|max| value > i64::from(max))
    }
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text)
    }
}

fn collect(
    operation: OperationName,
    path: &mut Vec<&'static str>,
    shape: &'static Shape,
    all: &mut Vec<Constraint>,
) {
    let site = |path: &[&'static str], shape, rule| Constraint {
        operation,
        path: path.to_vec(),
        shape,
        rule,
    };
    all.extend(shape.rules().into_iter().map(|rule| site(path, shape, rule)));
    match &shape.kind {
        Kind::Structure { members } => {
            for member in *members {
                path.push(member.name);
                if member.required {
                    all.push(site(path, member.shape, Rule::Required));
                }
                collect(operation, path, member.shape, all);
                path.pop();
            }
        }
        Kind::List { member, .. } => {
            path.push("member");
            collect(operation, path, member, all);
            path.pop();
        }
        Kind::Map { value, .. } => {
            path.push("value");
            collect(operation, path, value, all);
            path.pop();
        }
        _ => {}
    }
}
