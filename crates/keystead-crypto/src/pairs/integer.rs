//! The little arithmetic that the RSA checks need, on unsigned integers as DER gives them:
//! big-endian, with or without leading zeros. Results are secret and wiped.

use std::cmp::Ordering;

use zeroize::Zeroizing;

/// Number of bits without leading zeros.
pub(super) fn bits(number: &[u8]) -> usize {
    let number = stripped(number);
    number.first().map_or(0, |&first| number.len() * 8 - first.leading_zeros() as usize)
}

/// Whether `a` is greater than, equal to or less than `b`.
pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (stripped(a), stripped(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// `a · b`.
pub(super) fn product(a: &[u8], b: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(vec![0; a.len() + b.len()]);
    for (i, &x) in a.iter().enumerate().rev() {
        let mut carry = 0;
        for (j, &y) in b.iter().enumerate().rev() {
            // Never more than 255 + 255 · 255 + 255 = 65535.
            let [high, low] =
                (u16::from(out[i + j + 1]) + u16::from(x) * u16::from(y) + carry).to_be_bytes();
            out[i + j + 1] = low;
            carry = high.into();
        }
        out[i] = carry.to_be_bytes()[1];
    }
    out
}

/// `|a − b|`.
pub(super) fn distance(a: &[u8], b: &[u8]) -> Zeroizing<Vec<u8>> {
    let (greater, less) = if compare(a, b).is_ge() { (a, b) } else { (b, a) };
    let mut out = Zeroizing::new(stripped(greater).to_vec());
    let mut borrow = false;
    let subtrahend = stripped(less).iter().rev().copied().chain(std::iter::repeat(0));
    for (digit, minus) in out.iter_mut().rev().zip(subtrahend) {
        let (difference, first) = digit.overflowing_sub(minus);
        let (difference, second) = difference.overflowing_sub(borrow.into());
        *digit = difference;
        borrow = first || second;
    }
    out
}

fn stripped(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_are_counted_without_leading_zeros() {
        for (number, expected) in
            [(&[][..], 0), (&[0, 0], 0), (&[1], 1), (&[0x80], 8), (&[0, 1, 0], 9)]
        {
            assert_eq!(bits(number), expected, "{number:?}");
        }
    }

    proptest! {
        #[test]
        fn results_are_those_of_machine_integers(a: u64, b: u64, shift in 0u32..64) {
            let (a, b) = (a >> shift, b);
            let number = |bytes: &[u8]| bytes.iter().fold(0u128, |sum, &byte| sum << 8 | u128::from(byte));
            let (x, y) = (&a.to_be_bytes()[..], &b.to_be_bytes()[..]);
            prop_assert_eq!(number(&product(x, y)), u128::from(a) * u128::from(b));
            prop_assert_eq!(number(&distance(x, y)), u128::from(a.abs_diff(b)));
            prop_assert_eq!(number(&distance(stripped(x), y)), u128::from(a.abs_diff(b)));
            prop_assert_eq!(compare(x, y), a.cmp(&b));
            prop_assert_eq!(bits(x), 64 - a.leading_zeros() as usize);
        }
    }

    #[test]
    fn long_carries_are_kept() {
        // (2^1024 − 1)² = 2^2048 − 2^1025 + 1
        let square = product(&[0xff; 128], &[0xff; 128]);
        let mut expected = [vec![0xff; 128], vec![0; 128]].concat();
        expected[127] = 0xfe;
        expected[255] = 1;
        assert_eq!(*square, expected);
        assert_eq!(*distance(&[1, 0, 0, 0], &[1]), [0, 0xff, 0xff, 0xff]);
    }
}
