//! Data key pairs: generation, encodings, consistency tests.
//!
//! Public keys are DER SubjectPublicKeyInfo (RFC 5280), private keys DER PKCS #8 PrivateKeyInfo of
//! version 0 without attributes (RFC 5208):
//!
//! | spec | SPKI bytes | PKCS #8 bytes | private key inside |
//! | --- | --- | --- | --- |
//! | RSA_2048 | 294 | 1216–1219, rarely less | RSAPrivateKey (RFC 8017), two primes, e = 65537; algorithm parameters NULL |
//! | RSA_3072 | 422 | 1792–1795, rarely less | same |
//! | RSA_4096 | 550 | 2373–2376, rarely less | same |
//! | ECC_NIST_P256 | 91 | 138 | ECPrivateKey (RFC 5915) with the public point, without curve parameters |
//! | ECC_NIST_P384 | 120 | 185 | same |
//! | ECC_NIST_P521 | 158 | 241 | same |
//! | ECC_SECG_P256K1 | 88 | 135 | same |
//! | ECC_NIST_EDWARDS25519 | 44 | 48 | seed (RFC 8410), version 0, without the public key |
//! | SM2 | 91 | 138 | ECPrivateKey as above, curve 1.2.156.10197.1.301 |
//!
//! No pair leaves this module without its pairwise consistency test on the bytes as exported: a
//! public key recomputed from the private one, or for RSA a signature by one half and its
//! verification by the other together with the checks of FIPS 186-5, A.1, that the generation of
//! AWS-LC's default build does not promise.

mod edwards;
mod elliptic;
mod integer;
mod pkcs8;
mod rsa;
mod sm2;

use std::fmt;

use crate::error::CryptoError;
use crate::secret::Secret;

/// The kinds of data key pairs, as AWS KMS names them (`DataKeyPairSpec`).
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum PairSpec {
    /// RSA with a modulus of 2048 bits.
    Rsa2048,
    /// RSA with a modulus of 3072 bits.
    Rsa3072,
    /// RSA with a modulus of 4096 bits.
    Rsa4096,
    /// NIST curve P-256 (secp256r1).
    EccNistP256,
    /// NIST curve P-384 (secp384r1).
    EccNistP384,
    /// NIST curve P-521 (secp521r1).
    EccNistP521,
    /// Curve secp256k1. Not approved by NIST for general use.
    EccSecgP256k1,
    /// Ed25519 (RFC 8032).
    EccNistEdwards25519,
    /// SM2 (GM/T 0003). Not approved by NIST; comes from an implementation that has not been
    /// audited.
    Sm2,
}

impl PairSpec {
    /// All specs, in the order of AWS's model.
    pub const ALL: [Self; 9] = [
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::EccNistP256,
        Self::EccNistP384,
        Self::EccNistP521,
        Self::EccSecgP256k1,
        Self::Sm2,
        Self::EccNistEdwards25519,
    ];

    /// The name in AWS's model.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rsa2048 => "RSA_2048",
            Self::Rsa3072 => "RSA_3072",
            Self::Rsa4096 => "RSA_4096",
            Self::EccNistP256 => "ECC_NIST_P256",
            Self::EccNistP384 => "ECC_NIST_P384",
            Self::EccNistP521 => "ECC_NIST_P521",
            Self::EccSecgP256k1 => "ECC_SECG_P256K1",
            Self::EccNistEdwards25519 => "ECC_NIST_EDWARDS25519",
            Self::Sm2 => "SM2",
        }
    }

    /// The spec of this name, which must be spelled exactly as in AWS's model.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|spec| spec.as_str() == name)
    }

    /// Whether generation takes a tenth of a second to some seconds of CPU time, rather than less
    /// than a millisecond.
    #[must_use]
    pub fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }
}

/// A new key pair that has passed its consistency test.
pub struct DataKeyPair {
    /// The private key: DER PKCS #8.
    pub private_pkcs8: Secret,
    /// The public key: DER SubjectPublicKeyInfo.
    pub public_spki: Vec<u8>,
}

impl fmt::Debug for DataKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKeyPair")
            .field("private_pkcs8", &self.private_pkcs8)
            .field("public_spki", &format_args!("{} bytes", self.public_spki.len()))
            .finish()
    }
}

/// Generates a key pair and tests it. Every call is independent of every other; randomness is
/// AWS-LC's.
///
/// Blocks for as long as [`PairSpec::is_rsa`] says: RSA belongs on threads of its own.
///
/// # Errors
/// [`CryptoError::ConsistencyTest`]: the pair was discarded, and the machine is not to be trusted.
/// [`CryptoError::Random`], [`CryptoError::Library`].
pub fn generate_pair(spec: PairSpec) -> Result<DataKeyPair, CryptoError> {
    let pair = match spec {
        PairSpec::Rsa2048 | PairSpec::Rsa3072 | PairSpec::Rsa4096 => rsa::generate(spec),
        PairSpec::EccNistP256
        | PairSpec::EccNistP384
        | PairSpec::EccNistP521
        | PairSpec::EccSecgP256k1 => elliptic::generate(spec),
        PairSpec::EccNistEdwards25519 => edwards::generate(),
        PairSpec::Sm2 => sm2::generate(),
    }?;
    if is_consistent(spec, pair.private_pkcs8.expose(), &pair.public_spki) {
        Ok(pair)
    } else {
        Err(CryptoError::ConsistencyTest(spec))
    }
}

/// The pairwise consistency test, on nothing but the exported bytes.
fn is_consistent(spec: PairSpec, pkcs8: &[u8], spki: &[u8]) -> bool {
    match spec {
        PairSpec::Rsa2048 | PairSpec::Rsa3072 | PairSpec::Rsa4096 => {
            rsa::is_consistent(spec, pkcs8, spki)
        }
        PairSpec::EccNistP256
        | PairSpec::EccNistP384
        | PairSpec::EccNistP521
        | PairSpec::EccSecgP256k1 => elliptic::is_consistent(spec, pkcs8, spki),
        PairSpec::EccNistEdwards25519 => edwards::is_consistent(pkcs8, spki),
        PairSpec::Sm2 => sm2::is_consistent(pkcs8, spki),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_model() {
        for spec in PairSpec::ALL {
            assert_eq!(PairSpec::parse(spec.as_str()), Some(spec));
        }
        assert_eq!(PairSpec::parse("rsa_2048"), None);
        assert_eq!(PairSpec::parse("SYMMETRIC_DEFAULT"), None);
    }

    #[test]
    fn halves_of_different_pairs_fail_the_test() {
        for spec in PairSpec::ALL
            .into_iter()
            .filter(|spec| !matches!(spec, PairSpec::Rsa3072 | PairSpec::Rsa4096))
        {
            let [one, two] = [0, 1].map(|_| generate_pair(spec).unwrap());
            assert!(is_consistent(spec, one.private_pkcs8.expose(), &one.public_spki), "{spec:?}");
            assert!(!is_consistent(spec, one.private_pkcs8.expose(), &two.public_spki), "{spec:?}");
            assert!(!is_consistent(spec, two.private_pkcs8.expose(), &one.public_spki), "{spec:?}");
        }
    }

    #[test]
    fn a_pair_damaged_anywhere_fails_the_test() {
        for spec in PairSpec::ALL.into_iter().filter(|spec| !spec.is_rsa()) {
            let pair = generate_pair(spec).unwrap();
            let (private, public) = (pair.private_pkcs8.expose(), &pair.public_spki[..]);
            for index in 0..private.len() {
                let mut changed = private.to_vec();
                changed[index] ^= 1;
                assert!(!is_consistent(spec, &changed, public), "{spec:?}: private byte {index}");
            }
            for index in 0..public.len() {
                let mut changed = public.to_vec();
                changed[index] ^= 1;
                assert!(!is_consistent(spec, private, &changed), "{spec:?}: public byte {index}");
            }
            assert!(!is_consistent(spec, &private[..private.len() - 1], public));
            assert!(!is_consistent(spec, private, &public[..public.len() - 1]));
            assert!(!is_consistent(spec, &[], &[]));
        }
    }

    #[test]
    fn an_rsa_pair_damaged_in_any_part_fails_the_test() {
        let spec = PairSpec::Rsa2048;
        let pair = generate_pair(spec).unwrap();
        let (private, public) = (pair.private_pkcs8.expose(), &pair.public_spki[..]);
        // Each of the eight integers of the key is longer than the step, so each is hit.
        for index in (0..private.len()).step_by(100).chain([4, 12, 24, 26, 30]) {
            let mut changed = private.to_vec();
            changed[index] ^= 1;
            assert!(!is_consistent(spec, &changed, public), "private byte {index}");
        }
        for index in (0..public.len()).step_by(40) {
            let mut changed = public.to_vec();
            changed[index] ^= 1;
            assert!(!is_consistent(spec, private, &changed), "public byte {index}");
        }
    }
}
