use std::cmp::Ordering;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey,
};
use der::asn1::UintRef;
use der::{Decode, Reader, SliceReader};

use super::{DataKeyPair, PairSpec, integer, pkcs8};
use crate::error::CryptoError;
use crate::secret::Secret;

pub(super) fn generate(spec: PairSpec) -> Result<DataKeyPair, CryptoError> {
    let failed = |_| CryptoError::Library("RSA key generation");
    let size = match spec {
        PairSpec::Rsa2048 => KeySize::Rsa2048,
        PairSpec::Rsa3072 => KeySize::Rsa3072,
        PairSpec::Rsa4096 => KeySize::Rsa4096,
        _ => return Err(CryptoError::Library("choice of the RSA key size")),
    };
    let pair = KeyPair::generate(size).map_err(failed)?;
    let private: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
    Ok(DataKeyPair {
        private_pkcs8: Secret::from_slice(private.as_ref()),
        public_spki: public.as_ref().to_vec(),
    })
}

/// Checks the exported integers and has the exported public key verify a signature of the exported
/// private key.
pub(super) fn is_consistent(spec: PairSpec, private: &[u8], spki: &[u8]) -> bool {
    let (modulus_bits, spki_len) = match spec {
        PairSpec::Rsa2048 => (2048, 294),
        PairSpec::Rsa3072 => (3072, 422),
        PairSpec::Rsa4096 => (4096, 550),
        _ => return false,
    };
    let integers_hold = pkcs8::private_key(private)
        .and_then(Integers::parse)
        .is_ok_and(|integers| integers.hold(modulus_bits));
    integers_hold && spki.len() == spki_len && sign_and_verify(private, spki)
}

fn sign_and_verify(private: &[u8], spki: &[u8]) -> bool {
    const MESSAGE: &[u8] = b"keystead/v1/pairwise-consistency";
    let Ok(pair) = KeyPair::from_pkcs8(private) else { return false };
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), MESSAGE, &mut signature).is_ok()
        && UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, spki)
            .verify(MESSAGE, &signature)
            .is_ok()
}

/// An RSAPrivateKey (RFC 8017, A.1.2), as far as it is checked here; the CRT values are checked by
/// the library when it parses the key.
struct Integers<'a> {
    n: &'a [u8],
    e: &'a [u8],
    d: &'a [u8],
    p: &'a [u8],
    q: &'a [u8],
}

impl<'a> Integers<'a> {
    fn parse(inner: &'a [u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(inner)?;
        let integers = reader.sequence(|key: &mut SliceReader<'a>| -> der::Result<_> {
            // Two primes.
            pkcs8::version(key, 0)?;
            let [n, e, d, p, q] = {
                let mut next = || UintRef::decode(key).map(|integer| integer.as_bytes());
                [next()?, next()?, next()?, next()?, next()?]
            };
            for _crt_value in 0..3 {
                UintRef::decode(key)?;
            }
            Ok(Self { n, e, d, p, q })
        })?;
        reader.finish()?;
        Ok(integers)
    }

    /// FIPS 186-5, A.1.1 and A.1.3: sizes of n, p and q, e = 65537, |p − q| > 2^(nlen/2 − 100), d >
    /// 2^(nlen/2).
    fn hold(&self, modulus_bits: usize) -> bool {
        let half = modulus_bits / 2;
        integer::bits(self.n) == modulus_bits
            && self.e == [1, 0, 1]
            && integer::bits(self.p) == half
            && integer::bits(self.q) == half
            && integer::compare(&integer::product(self.p, self.q), self.n) == Ordering::Equal
            && exceeds_power_of_two(&integer::distance(self.p, self.q), half - 100)
            && exceeds_power_of_two(self.d, half)
            && integer::compare(self.d, self.n) == Ordering::Less
    }
}

/// Whether `number` > 2^`exponent`.
fn exceeds_power_of_two(number: &[u8], exponent: usize) -> bool {
    let mut power = vec![0; exponent / 8 + 1];
    power[0] = 1 << (exponent % 8);
    integer::compare(number, &power) == Ordering::Greater
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const BITS: usize = 2048;

    /// Numbers of the right sizes; that they are no primes does not matter to what is checked here.
    struct Numbers {
        n: Vec<u8>,
        e: Vec<u8>,
        d: Vec<u8>,
        p: Vec<u8>,
        q: Vec<u8>,
    }

    impl Numbers {
        fn good() -> Self {
            Self::of([vec![0xf0], vec![0x11; 127]].concat(), [vec![0xe0], vec![0x22; 127]].concat())
        }

        fn of(p: Vec<u8>, q: Vec<u8>) -> Self {
            let n = integer::product(&p, &q).to_vec();
            Self { n, e: vec![1, 0, 1], d: vec![0x55; 256], p, q }
        }

        fn hold(&self) -> bool {
            let Self { n, e, d, p, q } = self;
            Integers { n, e, d, p, q }.hold(BITS)
        }
    }

    #[test]
    fn each_condition_is_checked() {
        assert!(Numbers::good().hold());
        assert!(!Numbers { e: vec![3], ..Numbers::good() }.hold());
        assert!(!Numbers { d: vec![0xff; 128], ..Numbers::good() }.hold(), "d below 2^(nlen/2)");
        assert!(!Numbers { d: vec![0xff; 256], ..Numbers::good() }.hold(), "d above n");
        let mut n = Numbers::good().n;
        n[255] ^= 1;
        assert!(!Numbers { n, ..Numbers::good() }.hold(), "n is not p · q");
        // 0x90·0x80 < 0x8000: a modulus of 2047 bits.
        assert!(
            !Numbers::of([vec![0x90], vec![0; 127]].concat(), [vec![0x80], vec![1; 127]].concat())
                .hold()
        );
        assert!(!Numbers::of(vec![0xff; 129], vec![0xff; 127]).hold(), "factors of unequal size");
        let small = Numbers::of(vec![0xf0; 127], vec![0xe0; 127]);
        assert!(!small.hold(), "a modulus of 2032 bits");
    }

    #[test]
    fn factors_must_be_far_apart() {
        // |p − q| = 2^924 is just not enough, one more is.
        let p = [vec![0xf0], vec![0; 127]].concat();
        let mut q = p.clone();
        q[127 - 924 / 8] |= 1 << (924 % 8);
        assert!(!Numbers::of(p.clone(), q.clone()).hold());
        q[127] |= 1;
        assert!(Numbers::of(p, q).hold());
    }

    #[test]
    fn d_must_exceed_the_power() {
        let power = [vec![1], vec![0; 128]].concat();
        assert!(!Numbers { d: power.clone(), ..Numbers::good() }.hold());
        let mut more = power;
        more[128] = 1;
        assert!(Numbers { d: more, ..Numbers::good() }.hold());
    }
}
