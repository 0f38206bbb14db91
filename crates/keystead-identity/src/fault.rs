//! What is wrong with a file, each fault with its place.

use std::fmt;

/// One fault of an identity file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The field as a dotted key from the top of the file, for example
    /// `accounts.111122223333.users.alice.groups[0]`; empty where the text is not TOML.
    pub field: String,
    /// What is wrong: lower case, no full stop, and never the value of a secret.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// The most faults that are told of one file.
pub(crate) const MAX_FAULTS: usize = 200;

/// Collects faults while a file is read.
pub(crate) struct Faults<'t> {
    text: &'t str,
    found: Vec<(usize, String, String)>,
    more: usize,
}

impl<'t> Faults<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, found: Vec::new(), more: 0 }
    }

    /// Notes a fault at a byte offset.
    pub(crate) fn add(&mut self, at: usize, field: &str, message: impl Into<String>) {
        if self.found.len() < MAX_FAULTS {
            self.found.push((at, field.to_owned(), message.into()));
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All faults in the order of their places.
    pub(crate) fn into_sorted(mut self) -> Vec<Fault> {
        self.found.sort();
        self.found.dedup();
        let mut faults = Vec::with_capacity(self.found.len() + 1);
        // One walk through the text: offsets ascend.
        let (mut line, mut line_start, mut seen) = (1, 0, 0);
        for (at, field, message) in self.found {
            let mut at = at.min(self.text.len());
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            for (index, byte) in self.text.as_bytes()[seen..at].iter().enumerate() {
                if *byte == b'\n' {
                    line += 1;
                    line_start = seen + index + 1;
                }
            }
            seen = at;
            let column = self.text[line_start..at].chars().count() + 1;
            faults.push(Fault { line, column, field, message });
        }
        if self.more > 0 {
            let message = format!("{} further faults are not shown", self.more);
            let (line, column) = faults.last().map_or((1, 1), |last| (last.line, last.column));
            faults.push(Fault { line, column, field: String::new(), message });
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let text = "äb\ncd\n";
        let mut faults = Faults::new(text);
        for at in [0, 2, 3, 4, 7, 99] {
            faults.add(at, "f", format!("{at}"));
        }
        let places: Vec<_> =
            faults.into_sorted().iter().map(|fault| (fault.line, fault.column)).collect();
        assert_eq!(places, [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 1)]);
    }

    #[test]
    fn the_number_of_faults_is_bounded() {
        let mut faults = Faults::new("");
        for index in 0..MAX_FAULTS + 7 {
            faults.add(0, "f", format!("{index}"));
        }
        let faults = faults.into_sorted();
        assert_eq!(faults.len(), MAX_FAULTS + 1);
        assert_eq!(faults[MAX_FAULTS].message, "7 further faults are not shown");
    }

    #[test]
    fn a_fault_prints_its_place_first() {
        let mut fault =
            Fault { line: 3, column: 9, field: "accounts.x".into(), message: "bad".into() };
        assert_eq!(fault.to_string(), "3:9: accounts.x: bad");
        fault.field.clear();
        assert_eq!(fault.to_string(), "3:9: bad");
    }
}
