//! Lines of a file, however long, in bounded memory.

use std::io::{self, BufRead, Read};

use aws_lc_rs::digest::{Context, SHA256};

use crate::chain::{Leaf, leaf};

/// Reads lines one after the other.
pub(crate) struct Lines<R> {
    reader: R,
    most: usize,
    buffer: Vec<u8>,
    offset: u64,
}

/// A line. `length` counts its newline, if it has one.
pub(crate) struct Line<'b> {
    /// Offset of its first byte.
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// Whether it ends with a newline, as all lines do but one that was torn.
    pub(crate) whole: bool,
    /// Its bytes without the newline; `None` if there are more than the reader was told to hold.
    pub(crate) text: Option<&'b [u8]>,
    pub(crate) leaf: Leaf,
}

impl<R: BufRead> Lines<R> {
    /// Lines of a reader that stands at `offset`; of longer lines than `most` only the hash is known.
    pub(crate) fn new(reader: R, offset: u64, most: usize) -> Self {
        Self { reader, most, buffer: Vec::new(), offset }
    }

    /// The next line, `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let most = self.most as u64 + 1;
        let mut length =
            self.reader.by_ref().take(most).read_until(b'\n', &mut self.buffer)? as u64;
        if length == 0 {
            return Ok(None);
        }
        let offset = self.offset;
        let mut whole = self.buffer.last() == Some(&b'\n');
        let (text, leaf) = if whole || length < most {
            let text = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
            (Some(text), leaf(text))
        } else {
            let mut context = Context::new(&SHA256);
            context.update(&self.buffer);
            loop {
                let bytes = self.reader.fill_buf()?;
                if bytes.is_empty() {
                    break;
                }
                let end = bytes.iter().position(|byte| *byte == b'\n');
                let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
                context.update(part);
                let used = part.len() + usize::from(end.is_some());
                self.reader.consume(used);
                length += used as u64;
                if end.is_some() {
                    whole = true;
                    break;
                }
            }
            let mut leaf = [0; 32];
            leaf.copy_from_slice(context.finish().as_ref());
            (None, leaf)
        };
        self.offset += length;
        Ok(Some(Line { offset, length, whole, text, leaf }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn lines_short_long_and_torn() {
        let text = b"ab\n\nabcdefghij\nabcd\nto";
        // A small buffer, so that a long line comes in parts.
        let reader = io::BufReader::with_capacity(3, &text[..]);
        let mut lines = Lines::new(reader, 100, 4);
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let text = line.text.map(<[u8]>::to_vec);
            seen.push((line.offset, line.length, line.whole, text, line.leaf));
        }
        let short = |text: &[u8]| (Some(text.to_vec()), leaf(text));
        let expected = [
            (100, 3, true, short(b"ab")),
            (103, 1, true, short(b"")),
            (104, 11, true, (None, leaf(b"abcdefghij"))),
            (115, 5, true, short(b"abcd")),
            (120, 2, false, short(b"to")),
        ];
        let expected = expected
            .map(|(offset, length, whole, (text, leaf))| (offset, length, whole, text, leaf));
        assert_eq!(seen, expected);
    }
}
