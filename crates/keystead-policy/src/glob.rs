//! Wildcards: `*` for any run of characters, also an empty one, `?` for exactly one.

/// A pattern made ready for matching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Glob {
    /// `*` alone.
    Any,
    /// No wildcard.
    Exact(Box<str>),
    /// One `*`, at the end.
    Prefix(Box<str>),
    /// Everything else.
    Code(Code),
}

/// A pattern as bytes: UTF-8 for characters that stand for themselves, and for the wildcards two
/// bytes that occur in no UTF-8 text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Code(Vec<u8>);

const RUN: u8 = 0xFF;
const ONE: u8 = 0xFE;

impl Glob {
    /// Takes a pattern in which `*` and `?` are wildcards.
    pub(crate) fn new(text: &str) -> Self {
        match text.find(['*', '?']) {
            None => Self::Exact(text.into()),
            Some(0) if text == "*" => Self::Any,
            Some(at) if at + 1 == text.len() && text.ends_with('*') => {
                Self::Prefix(text[..at].into())
            }
            Some(_) => {
                let mut code = Code::default();
                code.push_pattern(text);
                Self::Code(code)
            }
        }
    }

    /// Whether the whole text fits.
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *text,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Code(code) => code.matches(text),
        }
    }

    /// Whether the whole text fits when its ASCII letters are read in lower case. The pattern must
    /// be in lower case itself.
    pub(crate) fn matches_lowered(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact.eq_ignore_ascii_case(text),
            Self::Prefix(prefix) => text
                .as_bytes()
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes())),
            Self::Code(code) => code.run(text.as_bytes(), true).0,
        }
    }
}

impl Code {
    /// Appends text in which `*` and `?` are wildcards.
    pub(crate) fn push_pattern(&mut self, text: &str) {
        self.0.extend(text.bytes().map(|byte| match byte {
            b'*' => RUN,
            b'?' => ONE,
            other => other,
        }));
    }

    /// Appends text that stands for itself.
    pub(crate) fn push_literal(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Whether the whole text fits.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.run(text.as_bytes(), false).0
    }

    /// Whether the whole text fits, and the steps it took: linear for patterns as people write
    /// them, at worst the length of the text times a 64th of that of the pattern.
    fn run(&self, text: &[u8], lower: bool) -> (bool, usize) {
        let limit = 256 + 8 * (text.len() + self.0.len());
        match self.backtrack(text, lower, limit) {
            Ok(result) => result,
            Err(steps) => {
                let (matched, more) = self.simulate(text, lower);
                (matched, steps + more)
            }
        }
    }

    /// Matches by remembering the last `*` alone, without recursion. The steps can grow with the
    /// product of both lengths, so it gives up beyond a limit, with the steps taken.
    fn backtrack(&self, text: &[u8], lower: bool, limit: usize) -> Result<(bool, usize), usize> {
        let code = &*self.0;
        // Every token but `*` takes a byte at least: what is too short for the rest cannot fit.
        let mut need = self.tokens().count();
        let (mut p, mut t, mut steps) = (0, 0, 0);
        let mut star: Option<(usize, usize, usize)> = None;
        while t < text.len() {
            steps += 1;
            if steps > limit {
                return Err(steps);
            }
            if need > text.len() - t {
                return Ok((false, steps));
            }
            match code.get(p) {
                Some(&RUN) => {
                    p += 1;
                    if p == code.len() {
                        return Ok((true, steps));
                    }
                    star = Some((p, t, need));
                }
                Some(&ONE) => {
                    p += 1;
                    t += width(text[t]);
                    need -= 1;
                }
                Some(&token) if token == read(text[t], lower) => {
                    p += 1;
                    t += 1;
                    need -= 1;
                }
                _ => {
                    let Some((at, from, rest)) = star else { return Ok((false, steps)) };
                    let next = from + width(text[from]);
                    star = Some((at, next, rest));
                    (p, t, need) = (at, next, rest);
                }
            }
        }
        Ok((need == 0 && code[p..].iter().all(|token| *token == RUN), steps))
    }

    /// Matches by following all ways at once: bit `i` of the state says that the text so far fits
    /// the first `i` tokens. Counts a step for each word of the state and byte of the text.
    fn simulate(&self, text: &[u8], lower: bool) -> (bool, usize) {
        let tokens: Vec<u8> = self.tokens().collect();
        let words = tokens.len() / 64 + 1;
        let bit = |at: usize| (at / 64, 1u64 << (at % 64));
        // For each byte the tokens that take it; `ONE` takes the first byte of any character.
        let mut takes = vec![Vec::new(); 256];
        // Where any byte may follow, after `*`, and where the rest of a character may, after `?`.
        let (mut any, mut rest, mut one) = (vec![0; words], vec![0; words], vec![0; words]);
        for (at, token) in tokens.iter().enumerate() {
            let (word, mask) = bit(at);
            if *token == ONE {
                one[word] |= mask;
                let (word, mask) = bit(at + 1);
                rest[word] |= mask;
            } else {
                let row: &mut Vec<u64> = &mut takes[usize::from(*token)];
                row.resize(words, 0);
                row[word] |= mask;
            }
        }
        let mut at = 0;
        for token in &self.0 {
            if *token == RUN {
                let (word, mask) = bit(at);
                any[word] |= mask;
            } else {
                at += 1;
            }
        }
        let mut state = vec![0u64; words];
        state[0] = 1;
        for byte in text {
            let first = !is_continuation(*byte);
            let row = &takes[usize::from(read(*byte, lower))];
            let mut carry = 0;
            for word in 0..words {
                let now = state[word];
                let mut moving = now & row.get(word).copied().unwrap_or(0);
                let mut staying = now & any[word];
                if first {
                    moving |= now & one[word];
                } else {
                    staying |= now & rest[word];
                }
                state[word] = moving << 1 | carry | staying;
                carry = moving >> 63;
            }
        }
        let (word, mask) = bit(tokens.len());
        (state[word] & mask != 0, words * text.len())
    }

    /// Everything but `*`.
    fn tokens(&self) -> impl Iterator<Item = u8> {
        self.0.iter().copied().filter(|token| *token != RUN)
    }
}

fn read(byte: u8, lower: bool) -> u8 {
    if lower { byte.to_ascii_lowercase() } else { byte }
}

/// Whether a byte of UTF-8 text is not the first of its character.
fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// The bytes of the character that starts with this byte of UTF-8 text.
fn width(first: u8) -> usize {
    match first {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn characters_not_bytes() {
        assert!(Glob::new("?").matches("é"));
        assert!(Glob::new("?").matches("🔑"));
        assert!(!Glob::new("??").matches("é"));
        assert!(Glob::new("a*?b").matches("a🔑éb"));
        assert!(!Glob::new("?*?").matches("é"));
        assert!(Glob::new("*é").matches("ééé"));
        assert!(!Glob::new("").matches("a"));
        assert!(Glob::new("").matches(""));
        assert!(Glob::new("**").matches(""));
    }

    #[test]
    fn only_the_text_is_lowered() {
        assert!(Glob::new("kms:put*y").matches_lowered("KMS:PutKeyPolicy"));
        assert!(Glob::new("kms:put*").matches_lowered("KMS:PutKeyPolicy"));
        assert!(Glob::new("kms:putkeypolicy").matches_lowered("KMS:PutKeyPolicy"));
        assert!(!Glob::new("kms:put*").matches_lowered("kms:Pu"));
        assert!(!Glob::new("é*").matches_lowered("e"));
    }

    /// A matcher that tries every split needs about 2^n steps for these.
    #[test]
    fn many_stars_take_few_steps() {
        for n in [100, 1000, 4000] {
            let mut code = Code::default();
            code.push_pattern(&format!("{}b", "a*".repeat(n)));
            let (matched, steps) = code.run("a".repeat(2 * n).as_bytes(), false);
            assert!(!matched);
            assert!(steps <= 8 * n, "{steps} steps for {n} stars");
        }
    }

    #[test]
    fn steps_stay_far_below_the_product() {
        let n = 8192;
        for pattern in [format!("*{}b*", "a".repeat(n / 2)), format!("*?{}b*", "a".repeat(n / 2))] {
            let mut code = Code::default();
            code.push_pattern(&pattern);
            let (matched, steps) = code.run("a".repeat(n).as_bytes(), false);
            assert!(!matched);
            assert!(steps <= 16 * n + n * n / 2 / 64 + 2 * n, "{steps}");
            let fits = format!("{}b{}", "a".repeat(n / 2 + 1), "a".repeat(n / 2 - 2));
            assert!(code.run(fits.as_bytes(), false).0);
        }
    }

    proptest! {
        #[test]
        fn long_patterns_are_followed_alike(pattern in "[ab]{60,70}[*?]{1,2}[ab?]{0,70}", extra in "[ab]{0,3}") {
            let mut code = Code::default();
            code.push_pattern(&pattern);
            let text = pattern.replace('*', &extra).replace('?', "é");
            prop_assert!(code.simulate(text.as_bytes(), false).0);
            let longer = format!("{text}c");
            prop_assert_eq!(
                code.simulate(longer.as_bytes(), false).0,
                code.backtrack(longer.as_bytes(), false, usize::MAX).unwrap().0
            );
        }

        #[test]
        fn equals_its_definition(pattern in "[abé*?]{0,8}", text in "[abé]{0,8}") {
            fn naive(p: &[char], t: &[char]) -> bool {
                match p.split_first() {
                    None => t.is_empty(),
                    Some(('*', rest)) => (0..=t.len()).any(|n| naive(rest, &t[n..])),
                    Some((c, rest)) => t.split_first()
                        .is_some_and(|(d, more)| (*c == '?' || c == d) && naive(rest, more)),
                }
            }
            let (p, t): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(Glob::new(&pattern).matches(&text), naive(&p, &t));
            let mut code = Code::default();
            code.push_pattern(&pattern);
            prop_assert_eq!(code.matches(&text), naive(&p, &t));
            prop_assert_eq!(code.simulate(text.as_bytes(), false).0, naive(&p, &t));
        }
    }
}
