//! Tables of a TOML document, read field by field: what nobody asked for is a fault.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fault::Faults;

/// A table being read.
pub(crate) struct Section<'a> {
    /// Its dotted key.
    pub(crate) path: String,
    /// Where its key stands.
    pub(crate) at: usize,
    table: &'a DeTable<'a>,
    asked: Vec<&'static str>,
}

/// A value with its key.
#[derive(Clone)]
pub(crate) struct Item<'a> {
    /// The last part of its dotted key; empty for the element of an array.
    pub(crate) name: &'a str,
    /// Its dotted key.
    pub(crate) path: String,
    /// Where its key stands, or the element of an array itself.
    pub(crate) key_at: usize,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Section<'a> {
    /// The document itself.
    pub(crate) fn root(table: &'a DeTable<'a>) -> Self {
        Self { path: String::new(), at: 0, table, asked: Vec::new() }
    }

    /// The field of this name.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Item<'a>> {
        self.asked.push(name);
        let (key, value) = self.table.get_key_value(name)?;
        Some(Item {
            name: key.get_ref().as_ref(),
            path: self.child(name),
            key_at: key.span().start,
            value,
        })
    }

    /// The field of this name, which has to be there.
    pub(crate) fn require(
        &mut self,
        name: &'static str,
        faults: &mut Faults<'_>,
    ) -> Option<Item<'a>> {
        let found = self.take(name);
        if found.is_none() {
            faults.add(self.at, &self.path, format!("`{name}` is missing"));
        }
        found
    }

    /// Every entry, for tables whose keys are names that the author chose.
    pub(crate) fn entries(&self) -> Vec<Item<'a>> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| Item {
                name: key.get_ref().as_ref(),
                path: self.child(key.get_ref()),
                key_at: key.span().start,
                value,
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_at);
        entries
    }

    /// Reports every field that was not asked for.
    pub(crate) fn finish(self, faults: &mut Faults<'_>) {
        for (key, _) in self.table.iter() {
            let name: &str = key.get_ref();
            if !self.asked.contains(&name) {
                let known = self.asked.join("`, `");
                faults.add(
                    key.span().start,
                    &self.child(name),
                    format!("unknown field, expected one of `{known}`"),
                );
            }
        }
    }

    fn child(&self, name: &str) -> String {
        let bare = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        let name = if bare { name.to_owned() } else { format!("{name:?}") };
        if self.path.is_empty() { name } else { format!("{}.{name}", self.path) }
    }
}

impl<'a> Item<'a> {
    /// Reports a fault of the value.
    pub(crate) fn fault(&self, faults: &mut Faults<'_>, message: impl Into<String>) {
        faults.add(self.value.span().start, &self.path, message);
    }

    /// Reports a fault of the key.
    pub(crate) fn key_fault(&self, faults: &mut Faults<'_>, message: impl Into<String>) {
        faults.add(self.key_at, &self.path, message);
    }

    /// Where the value stands.
    pub(crate) fn value_at(&self) -> usize {
        self.value.span().start
    }

    /// Whether the value is a table.
    pub(crate) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// The value, if it is a string.
    pub(crate) fn string(&self, faults: &mut Faults<'_>) -> Option<&'a str> {
        let found = self.value.get_ref().as_str();
        self.expect("a string", found, faults)
    }

    /// The value, if it is a Boolean.
    pub(crate) fn boolean(&self, faults: &mut Faults<'_>) -> Option<bool> {
        let found = self.value.get_ref().as_bool();
        self.expect("true or false", found, faults)
    }

    /// The value, if it is an integer that fits.
    pub(crate) fn integer(&self, faults: &mut Faults<'_>) -> Option<i64> {
        let found = self.value.get_ref().as_integer();
        let number = self.expect("an integer", found, faults)?;
        let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
        if parsed.is_none() {
            self.fault(faults, "the integer is out of range");
        }
        parsed
    }

    /// The value, if it is a table.
    pub(crate) fn section(&self, faults: &mut Faults<'_>) -> Option<Section<'a>> {
        let found = self.value.get_ref().as_table();
        let table = self.expect("a table", found, faults)?;
        Some(Section { path: self.path.clone(), at: self.key_at, table, asked: Vec::new() })
    }

    /// The elements, if the value is an array.
    pub(crate) fn elements(&self, faults: &mut Faults<'_>) -> Option<Vec<Item<'a>>> {
        let found = self.value.get_ref().as_array();
        let array = self.expect("an array", found, faults)?;
        let element = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| Item {
            name: "",
            path: format!("{}[{index}]", self.path),
            key_at: value.span().start,
            value,
        };
        Some(array.iter().enumerate().map(element).collect())
    }

    fn expect<T>(&self, wanted: &str, found: Option<T>, faults: &mut Faults<'_>) -> Option<T> {
        if found.is_none() {
            let kind = self.value.get_ref().type_str();
            self.fault(faults, format!("expected {wanted}, found {kind}"));
        }
        found
    }
}
