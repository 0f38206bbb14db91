//! Collects what a request breaks of the model and words it as AWS does.
//!
//! Source of the texts: recorded responses for enum, range, length and blobs; the form that AWS services
//! share for null, list members and several errors.

use std::fmt::{self, Write};

use crate::json::Value;
use crate::shape::{Bounds, Kind, Pattern, Shape};

/// A message names at most this many violations, the first ones, and counts those alone: a list of
/// thousands of bad items must not become a reply of megabytes.
pub(crate) const MAX_VIOLATIONS: usize = 128;

/// Characters of one value shown in a message; a longer value is cut there and followed by `...`.
/// Whether AWS cuts is unknown. The longest value that a client would look at is shorter.
pub(crate) const MAX_SHOWN: usize = 1024;

/// Where in the request a value stands.
pub(crate) enum Path<'a> {
    /// The body itself.
    Root,
    /// A member, by its name in messages.
    Member(&'a Path<'a>, &'static str),
    /// An item of a list, counted from 0.
    Item(&'a Path<'a>, usize),
}

/// The violations found so far.
#[derive(Default)]
pub(crate) struct Violations {
    parts: String,
    count: usize,
    null_context: bool,
}

/// What a message shows of a value.
pub(crate) enum Shown<'v> {
    /// The member is absent or null.
    Null,
    /// The value is a blob, sensitive, or has no short spelling.
    Hidden,
    /// A text or number.
    Text(&'v str),
    /// A list of texts.
    List(&'v [Value<'v>]),
}

impl Violations {
    /// A required member is absent or null.
    pub(crate) fn null(&mut self, at: &Path<'_>, shape: &Shape) {
        let shown = if shape.sensitive { Shown::Hidden } else { Shown::Null };
        self.push(&shown, at, format_args!("Member must not be null"));
    }

    /// A value is not of its enumeration.
    pub(crate) fn not_in_set(&mut self, shown: &Shown<'_>, at: &Path<'_>, values: &[&str]) {
        self.push(shown, at, format_args!("{}", Set(values)));
    }

    /// Notes it if a length lies outside its bounds.
    pub(crate) fn length(
        &mut self,
        shown: &Shown<'_>,
        at: &Path<'_>,
        length: usize,
        bounds: Bounds,
    ) {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        if let Some(text) = Limit::broken("length", length, bounds) {
            self.push(shown, at, format_args!("{text}"));
        }
    }

    /// Notes it if a number lies outside its bounds.
    pub(crate) fn value(&mut self, at: &Path<'_>, value: i32, bounds: Bounds) {
        if let Some(text) = Limit::broken("value", i64::from(value), bounds) {
            self.push(&Shown::Text(&value.to_string()), at, format_args!("{text}"));
        }
    }

    /// A text does not match its pattern.
    pub(crate) fn pattern(&mut self, shown: &Shown<'_>, at: &Path<'_>, pattern: &Pattern) {
        self.push(shown, at, format_args!("{}", Matching(pattern.text)));
    }

    /// An item of a list of simple values breaks a constraint: all constraints of its shape are told,
    /// once for the list.
    pub(crate) fn items(&mut self, shown: &Shown<'_>, at: &Path<'_>, member: &Shape) {
        self.push(shown, at, format_args!("Member must satisfy constraint: [{}]", All(member)));
    }

    /// A value of an encryption context is null. AWS answers with a text of its own, which comes only
    /// if nothing of the model is broken.
    pub(crate) fn null_context_value(&mut self) {
        self.null_context = true;
    }

    /// Whether nothing was found, else the message.
    pub(crate) fn finish(self) -> Result<(), String> {
        match self.count {
            0 if self.null_context => Err("Invalid EncryptionContext".to_owned()),
            0 => Ok(()),
            1 => Err(format!("1 validation error detected: {}", self.parts)),
            n => Err(format!("{n} validation errors detected: {}", self.parts)),
        }
    }

    fn push(&mut self, shown: &Shown<'_>, at: &Path<'_>, constraint: fmt::Arguments<'_>) {
        if self.count == MAX_VIOLATIONS {
            return;
        }
        if self.count > 0 {
            self.parts.push_str("; ");
        }
        self.count += 1;
        // Writing to a `String` cannot fail.
        let _ =
            write!(self.parts, "Value {shown}at '{at}' failed to satisfy constraint: {constraint}");
    }
}

impl<'v> Shown<'v> {
    /// The text, unless values of the shape stay out of messages.
    pub(crate) fn text(shape: &Shape, text: &'v str) -> Self {
        if shape.is_hidden() { Self::Hidden } else { Self::Text(text) }
    }

    /// The list, if its items are texts that may be shown.
    pub(crate) fn list(member: &Shape, items: &'v [Value<'v>]) -> Self {
        match member.kind {
            Kind::String { .. } | Kind::Enum { .. } if !member.is_hidden() => Self::List(items),
            _ => Self::Hidden,
        }
    }
}

/// Ends with a space unless nothing is shown.
impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null "),
            Self::Hidden => Ok(()),
            Self::Text(text) => {
                f.write_char('\'')?;
                Cut { left: MAX_SHOWN, to: f }.write_str(text).or_else(Cut::end)?;
                f.write_str("' ")
            }
            Self::List(items) => {
                f.write_str("'[")?;
                let mut cut = Cut { left: MAX_SHOWN, to: f };
                let mut write = || {
                    for (i, item) in items.iter().enumerate() {
                        if i > 0 {
                            cut.write_str(", ")?;
                        }
                        if let Value::Text(text) = item {
                            cut.write_str(text)?;
                        }
                    }
                    Ok(())
                };
                write().or_else(Cut::end)?;
                f.write_str("]' ")
            }
        }
    }
}

/// Writes so many characters, then `...`, and reports an error so that its user stops.
struct Cut<'f, 'w> {
    left: usize,
    to: &'f mut fmt::Formatter<'w>,
}

impl Cut<'_, '_> {
    /// The error of a `Cut` says that it is full, which is no fault.
    fn end(_: fmt::Error) -> fmt::Result {
        Ok(())
    }
}

impl fmt::Write for Cut<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match text.char_indices().nth(self.left) {
            None => {
                self.left -= text.chars().count();
                self.to.write_str(text)
            }
            Some((end, _)) => {
                self.to.write_str(text.get(..end).unwrap_or_default())?;
                self.to.write_str("...")?;
                Err(fmt::Error)
            }
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(Self::Root, name) => f.write_str(name),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}.{}.member", index + 1),
        }
    }
}

/// "Member must have length less than or equal to 10".
struct Limit {
    what: &'static str,
    upper: bool,
    bound: u32,
}

impl Limit {
    fn broken(what: &'static str, value: i64, bounds: Bounds) -> Option<Self> {
        match (bounds.min, bounds.max) {
            (Some(bound), _) if bounds.is_under(value) => Some(Self { what, upper: false, bound }),
            (_, Some(bound)) if bounds.is_over(value) => Some(Self { what, upper: true, bound }),
            _ => None,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.upper { "less" } else { "greater" };
        write!(f, "Member must have {} {order} than or equal to {}", self.what, self.bound)
    }
}

/// "Member must satisfy enum value set: [A, B]".
struct Set<'v>(&'v [&'v str]);

impl fmt::Display for Set<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Member must satisfy enum value set: [{}]", self.0.join(", "))
    }
}

/// "Member must satisfy regular expression pattern: ^a+$".
struct Matching(&'static str);

impl fmt::Display for Matching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Member must satisfy regular expression pattern: {}", self.0)
    }
}

/// All constraints of a shape: greatest, smallest, pattern.
struct All<'s>(&'s Shape);

impl fmt::Display for All<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = |what, bounds: &Bounds| {
            let max = bounds.max.map(|bound| Limit { what, upper: true, bound }.to_string());
            let min = bounds.min.map(|bound| Limit { what, upper: false, bound }.to_string());
            [max, min]
        };
        let ([max, min], last) = match &self.0.kind {
            Kind::String { length, pattern } => (
                limits("length", length),
                pattern.as_ref().map(|pattern| Matching(pattern.text).to_string()),
            ),
            Kind::Enum { values } => ([None, None], Some(Set(values).to_string())),
            Kind::Integer { range } => (limits("value", range), None),
            Kind::Blob { length } | Kind::List { length, .. } => (limits("length", length), None),
            _ => ([None, None], None),
        };
        let parts: Vec<String> = max.into_iter().chain(min).chain(last).collect();
        f.write_str(&parts.join(", "))
    }
}
