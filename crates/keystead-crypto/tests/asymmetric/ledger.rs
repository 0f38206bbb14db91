//! Which cases of published vectors a test has run, held against the table of docs/vectors.md: a set, or a
//! case, that is skipped in silence must not pass, nor a row that nothing stands behind.

use std::fmt::Debug;

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/vectors.md"));

/// Cases of one set.
#[derive(Copy, Clone, Default)]
pub(crate) struct Tally {
    /// Taken by us, as they must be.
    valid: usize,
    /// Refused, as they must be.
    invalid: usize,
    /// Those of which the set says that either is right.
    either: usize,
}

impl Tally {
    pub(crate) fn count(&mut self, valid: bool) {
        *(if valid { &mut self.valid } else { &mut self.invalid }) += 1;
    }

    pub(crate) fn count_either(&mut self) {
        self.either += 1;
    }
}

/// The sets that one test runs.
pub(crate) struct Ledger {
    test: &'static str,
    rows: Vec<[String; 4]>,
}

impl Ledger {
    /// `test`: its file below this crate and its name, as in the table.
    pub(crate) fn new(test: &'static str) -> Self {
        Self { test, rows: Vec::new() }
    }

    /// A set that was run, by its name in the table.
    pub(crate) fn record(&mut self, set: impl Debug, tally: Tally) {
        let set = format!("{set:?}").replace('"', "");
        let Tally { valid, invalid, either } = tally;
        self.rows.push([set, valid.to_string(), invalid.to_string(), either.to_string()]);
    }

    /// Compares with the rows of the table that name this test.
    pub(crate) fn close(mut self) {
        let mut documented: Vec<_> = rows()
            .filter(|row| row[5] == self.test)
            .map(|row| [0, 2, 3, 4].map(|at| row[at].clone()))
            .collect();
        documented.sort();
        self.rows.sort();
        let lines: Vec<_> = self
            .rows
            .iter()
            .map(|[set, valid, invalid, either]| {
                format!("| {set} | | {valid} | {invalid} | {either} | {} |", self.test)
            })
            .collect();
        assert_eq!(
            documented,
            self.rows,
            "docs/vectors.md against what ran:\n{}",
            lines.join("\n")
        );
    }
}

/// The table: set, algorithms, valid, invalid, either way, test.
fn rows() -> impl Iterator<Item = [String; 6]> {
    DOCUMENT.lines().filter_map(|line| {
        let cells: Vec<_> = line
            .strip_prefix("| ")?
            .strip_suffix(" |")?
            .split(" | ")
            .map(|cell| cell.trim_matches(['`', ' ', '|']).to_owned())
            .collect();
        let row: [String; 6] = cells.try_into().ok()?;
        row[2].parse::<usize>().is_ok().then_some(row)
    })
}

#[test]
fn every_row_of_the_table_is_of_a_test() {
    let cases: usize =
        rows().flat_map(|row| [2, 3, 4].map(|at| row[at].parse::<usize>().unwrap())).sum();
    let told = format!("{} rows, {cases} cases", rows().count());
    assert!(DOCUMENT.contains(&told), "docs/vectors.md has {told}");
    let mut tests: Vec<_> = rows().map(|row| row[5].clone()).collect();
    tests.sort();
    tests.dedup();
    assert!(tests.len() > 10, "the table is not found: {tests:?}");
    for test in tests {
        let (file, name) = test.split_once(' ').unwrap();
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read_to_string(&path).unwrap();
        assert!(source.contains(&format!("fn {name}()")), "{test}");
        assert!(source.contains(&format!("\"{test}\"")), "{test} keeps no ledger");
    }
}
