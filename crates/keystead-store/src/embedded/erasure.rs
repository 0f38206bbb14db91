//! Finding what is left of erased values in a file.
//!
//! A value is looked for by windows: short pieces of it, one behind the other, so that any remnant
//! of twice a window's length holds at least one of them whole. They are short enough to find a
//! value of which only a part was left, and long enough that other data does not hold them by
//! chance. Where other data holds them for a reason (records have common parts), the caller takes
//! the windows of the live records out.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::StoreError;

/// The length of a window, in bytes.
const WINDOW: usize = 16;
/// The most windows of one value. Longer values are sampled more thinly.
const WINDOWS_PER_VALUE: usize = 4096;
/// A window with fewer different bytes says nothing: unused pages are full of zeros.
const DIFFERENT_BYTES: usize = 4;
/// The bytes that are read at once.
const CHUNK: usize = 1024 * 1024;

/// The windows of some values.
#[derive(Default)]
pub(super) struct Windows {
    windows: HashSet<[u8; WINDOW]>,
    /// The first two bytes of each window: most positions of a file are ruled out by them.
    heads: Bits,
    /// The middle two bytes of each window.
    middles: Bits,
    /// Whether some value has no window at all and so cannot be looked for.
    blind: bool,
}

impl Windows {
    /// Adds the windows of a value.
    pub(super) fn add(&mut self, value: &[u8]) {
        let pieces = value.len() / WINDOW;
        let step = pieces.div_ceil(WINDOWS_PER_VALUE).max(1);
        let mut telling = false;
        for window in value.as_chunks::<WINDOW>().0.iter().step_by(step) {
            if tells(window) {
                telling = true;
                self.insert(*window);
            }
        }
        self.blind |= !telling && !value.is_empty();
    }

    /// Adds all windows of `other`.
    pub(super) fn merge(&mut self, other: Self) {
        self.blind |= other.blind;
        for window in other.windows {
            self.insert(window);
        }
    }

    /// Whether a value was added that is too short or too monotonous to be looked for.
    pub(super) fn is_blind(&self) -> bool {
        self.blind
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Those of the windows that occur in `bytes`.
    pub(super) fn find(&self, bytes: &[u8], found: &mut Self) {
        for candidate in bytes.windows(WINDOW) {
            let Ok(candidate) = <&[u8; WINDOW]>::try_from(candidate) else { continue };
            if self.heads.has(head(candidate))
                && self.middles.has(middle(candidate))
                && self.windows.contains(candidate)
            {
                found.insert(*candidate);
            }
        }
    }

    /// Those of the windows that occur in the file, read through in pieces.
    pub(super) fn find_in_file(&self, file: &File) -> Result<Self, StoreError> {
        let mut found = Self::default();
        if self.is_empty() {
            return Ok(found);
        }
        let mut buffer = vec![0; CHUNK];
        let (mut kept, mut offset) = (0, 0);
        loop {
            let space = buffer.get_mut(kept..).unwrap_or_default();
            let count = file
                .read_at(space, offset)
                .map_err(|error| StoreError::io("searching the store's file", &error))?;
            if count == 0 {
                return Ok(found);
            }
            let filled = kept + count;
            self.find(&buffer[..filled], &mut found);
            // The end of this piece is looked at again with the next: a window may span both.
            kept = filled.min(WINDOW - 1);
            buffer.copy_within(filled - kept..filled, 0);
            offset += count as u64;
        }
    }

    /// The windows that are not among those of `other`.
    pub(super) fn without(&self, other: &Self) -> Self {
        let mut rest = Self { blind: self.blind, ..Self::default() };
        for window in self.windows.difference(&other.windows) {
            rest.insert(*window);
        }
        rest
    }

    fn insert(&mut self, window: [u8; WINDOW]) {
        self.heads.set(head(&window));
        self.middles.set(middle(&window));
        self.windows.insert(window);
    }
}

/// Whether a window can tell a value from an empty page.
fn tells(window: &[u8; WINDOW]) -> bool {
    window.iter().collect::<HashSet<_>>().len() >= DIFFERENT_BYTES
}

fn head(window: &[u8; WINDOW]) -> u16 {
    u16::from_be_bytes([window[0], window[1]])
}

fn middle(window: &[u8; WINDOW]) -> u16 {
    u16::from_be_bytes([window[8], window[9]])
}

/// A set of 16-bit numbers.
struct Bits(Vec<u64>);

impl Default for Bits {
    fn default() -> Self {
        Self(vec![0; 1024])
    }
}

impl Bits {
    fn set(&mut self, number: u16) {
        if let Some(word) = self.0.get_mut(usize::from(number >> 6)) {
            *word |= 1 << (number & 63);
        }
    }

    fn has(&self, number: u16) -> bool {
        self.0.get(usize::from(number >> 6)).is_some_and(|word| word >> (number & 63) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::io::Write;

    use super::{CHUNK, WINDOW, Windows};

    fn value(length: usize, seed: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from((at * 7 + at / 13 + seed * 101) % 251).unwrap()).collect()
    }

    #[test]
    fn a_remnant_of_two_windows_is_found_anywhere() {
        let value = value(200, 1);
        let mut windows = Windows::default();
        windows.add(&value);
        assert!(!windows.is_blind());
        // Around the border of two pieces, and at the very end of the file.
        for offset in (CHUNK - 2 * WINDOW - 2)..(CHUNK + 2) {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&vec![0; offset]).unwrap();
            let part = &value[offset % 100..offset % 100 + 2 * WINDOW - 1];
            file.write_all(part).unwrap();
            assert!(!windows.find_in_file(&file).unwrap().is_empty(), "at {offset}");
        }
    }

    #[test]
    fn other_bytes_are_not_found() {
        let mut windows = Windows::default();
        windows.add(&value(200, 1));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![0; 5000]).unwrap();
        file.write_all(&value(200, 1)[..WINDOW - 1]).unwrap();
        file.write_all(&vec![7; 5000]).unwrap();
        assert!(windows.find_in_file(&file).unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_looked_for_is_said() {
        for value in [&b"short"[..], &[0; 100], &[1, 2].repeat(50)] {
            let mut windows = Windows::default();
            windows.add(value);
            assert!(windows.is_blind() && windows.is_empty());
        }
    }

    #[test]
    fn live_windows_are_taken_out() {
        let mut windows = Windows::default();
        windows.add(&[value(64, 1), value(64, 2)].concat());
        let mut live = Windows::default();
        windows.find(&value(64, 1), &mut live);
        let rest = windows.without(&live);
        let mut found = Windows::default();
        rest.find(&value(64, 1), &mut found);
        assert!(found.is_empty());
        rest.find(&value(64, 2), &mut found);
        assert!(!found.is_empty());
    }
}
