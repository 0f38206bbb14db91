//! The figures as a table and as JSON.

use serde_json::{Value, json};

use crate::statistics::Figures;

/// One row: an operation and its three measurements.
pub(crate) struct Row {
    pub(crate) operation: String,
    pub(crate) connections: usize,
    /// Bytes of the request's body and of its answer's.
    pub(crate) request_bytes: usize,
    pub(crate) answer_bytes: usize,
    pub(crate) keystead: Figures,
    pub(crate) bare: Figures,
    /// Keystead's requests per second over the bare server's.
    pub(crate) per_second_ratio: Option<f64>,
    /// The same per second of CPU time.
    pub(crate) per_cpu_second_ratio: Option<f64>,
    /// Calls per second of CPU time of one thread.
    pub(crate) library: Option<f64>,
    /// Keystead's requests per second of CPU time over the library's calls.
    pub(crate) library_ratio: Option<f64>,
}

const COLUMNS: usize = 18;

/// Titles of groups of columns: the index of the first, how many, the text.
const GROUPS: [(usize, usize, &str); 6] = [
    (2, 2, "body bytes"),
    (4, 3, "requests/s"),
    (7, 3, "requests/CPU-s"),
    (10, 3, "p50 us"),
    (13, 3, "p99 us"),
    (16, 2, "library"),
];

const TITLES: [&str; COLUMNS] = [
    "operation",
    "conn",
    "in",
    "out",
    "keystead",
    "bare",
    "ratio",
    "keystead",
    "bare",
    "ratio",
    "keystead",
    "bare",
    "ratio",
    "keystead",
    "bare",
    "ratio",
    "calls/CPU-s",
    "ratio",
];

/// Columns that begin a group are set off from the one before.
const GAP: &str = "   ";

/// The table, each line ended.
pub(crate) fn table(rows: &[Row]) -> String {
    let cells: Vec<[String; COLUMNS]> = rows.iter().map(Row::cells).collect();
    let titles = TITLES.map(str::to_owned);
    let mut widths = [0; COLUMNS];
    for line in cells.iter().chain([&titles]) {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.len().max(*width);
        }
    }
    let mut text = groups(&widths);
    for line in [&titles].into_iter().chain(&cells) {
        let mut out = String::new();
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            out.push_str(gap(column));
            if column == 0 {
                out.push_str(&format!("{cell:<width$}"));
            } else {
                out.push_str(&format!("{cell:>width$}"));
            }
        }
        text.push_str(out.trim_end());
        text.push('\n');
    }
    text
}

fn groups(widths: &[usize; COLUMNS]) -> String {
    let mut out = String::new();
    for (first, columns, title) in GROUPS {
        let begin: usize =
            (0..first).map(|column| widths[column] + gap(column).len()).sum::<usize>()
                + gap(first).len();
        let inner: usize = (first..first + columns)
            .map(|column| widths[column] + if column == first { 0 } else { gap(column).len() })
            .sum();
        out.push_str(&" ".repeat(begin.saturating_sub(out.len())));
        out.push_str(&format!("{title:-^inner$}"));
    }
    out.push('\n');
    out
}

fn gap(column: usize) -> &'static str {
    match column {
        0 => "",
        _ if GROUPS.iter().any(|(first, ..)| *first == column) => GAP,
        _ => " ",
    }
}

impl Row {
    fn cells(&self) -> [String; COLUMNS] {
        let (keystead, bare) = (&self.keystead, &self.bare);
        [
            self.operation.clone(),
            self.connections.to_string(),
            self.request_bytes.to_string(),
            self.answer_bytes.to_string(),
            number(Some(keystead.per_second)),
            number(Some(bare.per_second)),
            number(self.per_second_ratio),
            number(keystead.per_cpu_second),
            number(bare.per_cpu_second),
            number(self.per_cpu_second_ratio),
            number(Some(keystead.p50_micros)),
            number(Some(bare.p50_micros)),
            number(self.p50_ratio()),
            number(keystead.p99_micros),
            number(bare.p99_micros),
            number(self.p99_ratio()),
            number(self.library),
            number(self.library_ratio),
        ]
    }

    fn p50_ratio(&self) -> Option<f64> {
        (self.bare.p50_micros > 0.0).then_some(self.keystead.p50_micros / self.bare.p50_micros)
    }

    fn p99_ratio(&self) -> Option<f64> {
        Some(self.keystead.p99_micros? / self.bare.p99_micros.filter(|bare| *bare > 0.0)?)
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "operation": self.operation,
            "connections": self.connections,
            "request_bytes": self.request_bytes,
            "answer_bytes": self.answer_bytes,
            "keystead": figures(&self.keystead),
            "bare": figures(&self.bare),
            "library_calls_per_cpu_second": self.library,
            "ratios": {
                "requests_per_second": self.per_second_ratio,
                "requests_per_cpu_second": self.per_cpu_second_ratio,
                "p50": self.p50_ratio(),
                "p99": self.p99_ratio(),
                "library_per_cpu_second": self.library_ratio,
            },
        })
    }
}

fn figures(figures: &Figures) -> Value {
    json!({
        "requests": figures.requests,
        "requests_per_second": figures.per_second,
        "requests_per_cpu_second": figures.per_cpu_second,
        "p50_micros": figures.p50_micros,
        "p99_micros": figures.p99_micros,
    })
}

/// Three or four significant digits; `-` where there is nothing to say.
fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 1.0 => format!("{value:.2}"),
        Some(value) if value >= 0.001 => format!("{value:.3}"),
        Some(value) => format!("{value:.1e}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn row(p99_micros: Option<f64>) -> Row {
        let keystead = Figures {
            requests: 10,
            per_second: 1234.5,
            per_cpu_second: Some(2000.0),
            p50_micros: 800.0,
            p99_micros,
        };
        Row {
            operation: "An operation".to_owned(),
            connections: 32,
            request_bytes: 600,
            answer_bytes: 471,
            keystead,
            bare: Figures { p50_micros: 400.0, p99_micros: Some(500.0), ..keystead },
            per_second_ratio: Some(0.5),
            per_cpu_second_ratio: Some(1.0),
            library: Some(100_000.0),
            library_ratio: Some(0.02),
        }
    }

    #[test]
    fn numbers_keep_few_digits() {
        for (value, wanted) in [
            (123_456.7, "123457"),
            (99.94, "99.9"),
            (1.234, "1.23"),
            (0.0456, "0.046"),
            (0.00001, "1.0e-5"),
        ] {
            assert_eq!(number(Some(value)), wanted);
        }
        assert_eq!(number(None), "-");
    }

    #[test]
    fn columns_align_and_missing_figures_stay_missing() {
        let text = table(&[row(Some(1000.0)), row(None)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[1..].iter().all(|line| line.len() == lines[1].len()), "{text}");
        assert_eq!(lines[0].len(), lines[1].len(), "{text}");
        let cells: Vec<&str> = lines[3].split_ascii_whitespace().collect();
        assert_eq!(cells[14..], ["-", "500", "-", "100000", "0.020"]);
        assert_eq!(row(None).json()["ratios"]["p99"], Value::Null);
        assert_eq!(row(Some(1000.0)).json()["ratios"]["p99"], json!(2.0));
    }
}
