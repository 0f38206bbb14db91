//! Verification of JSON Web Signatures (RFC 7515): the primitives of RFC 7518, 3.3 and 3.4, over
//! keys given by their numbers as a JWK has them. What a token says is for others to read.
//!
//! | algorithm | key | signature |
//! | --- | --- | --- |
//! | RS256, RS384, RS512 | RSA, 2048 to 8192 bits, odd exponent of 3 to 2^33 − 1 | PKCS #1 v1.5 |
//! | ES256, ES384, ES512 | P-256, P-384, P-521, one curve for each | r ‖ s of fixed length |
//!
//! Only public keys come here, so nothing is secret. There are no HMACs, no `none`, and no way to
//! use a key with an algorithm of the other family.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED,
    EcdsaVerificationAlgorithm, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
};

/// A signature algorithm by its `alg` (RFC 7518, 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwsAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
}

impl JwsAlgorithm {
    /// The algorithm of this name, compared with case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            _ => return None,
        })
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
            Self::Es256 | Self::Es384 | Self::Es512 => None,
        }
    }

    fn curve(self) -> Option<JwsCurve> {
        match self {
            Self::Es256 => Some(JwsCurve::P256),
            Self::Es384 => Some(JwsCurve::P384),
            Self::Es512 => Some(JwsCurve::P521),
            Self::Rs256 | Self::Rs384 | Self::Rs512 => None,
        }
    }
}

/// A curve by its `crv` (RFC 7518, 6.2.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwsCurve {
    /// `P-256`
    P256,
    /// `P-384`
    P384,
    /// `P-521`
    P521,
}

impl JwsCurve {
    /// The curve of this name, compared with case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "P-256" => Some(Self::P256),
            "P-384" => Some(Self::P384),
            "P-521" => Some(Self::P521),
            _ => None,
        }
    }

    /// Bytes of a coordinate.
    fn len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    fn algorithm(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED,
            Self::P384 => &ECDSA_P384_SHA384_FIXED,
            Self::P521 => &ECDSA_P521_SHA512_FIXED,
        }
    }
}

/// A public key that verifies tokens.
#[derive(Debug)]
pub struct JwsKey(Key);

#[derive(Debug)]
enum Key {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    Ec(JwsCurve, ParsedPublicKey),
}

/// Numbers that are no public key, or none that is strong enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid key")]
pub struct InvalidJwsKey;

/// The signature is not that of the message under this key by this algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid signature")]
pub struct InvalidJwsSignature;

impl JwsKey {
    /// An RSA key by its modulus and its public exponent, most significant byte first.
    ///
    /// # Errors
    /// [`InvalidJwsKey`] for a modulus of fewer than 2048 or more than 8192 bits, an even modulus or
    /// exponent, and an exponent outside 3 to 2^33 − 1.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, InvalidJwsKey> {
        // A modulus may come with leading zeros, as some issuers encode it.
        let modulus = without_zeros(modulus);
        let exponent = without_zeros(exponent);
        let top = modulus.first().ok_or(InvalidJwsKey)?.leading_zeros() as usize;
        let bits = modulus.len() * 8 - top;
        let odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
        let small = exponent.len() > 5 || exponent.len() == 5 && exponent.first() > Some(&1);
        if !(2048..=8192).contains(&bits)
            || !odd(modulus)
            || !odd(exponent)
            || exponent == [1]
            || small
        {
            return Err(InvalidJwsKey);
        }
        Ok(Self(Key::Rsa(RsaPublicKeyComponents { n: modulus.to_vec(), e: exponent.to_vec() })))
    }

    /// A key on a curve by its coordinates, each in the full length of the field (RFC 7518,
    /// 6.2.1.2).
    ///
    /// # Errors
    /// [`InvalidJwsKey`] for coordinates of another length, and for a point that is not on the curve.
    pub fn ec(curve: JwsCurve, x: &[u8], y: &[u8]) -> Result<Self, InvalidJwsKey> {
        if x.len() != curve.len() || y.len() != curve.len() {
            return Err(InvalidJwsKey);
        }
        let point = [&[4], x, y].concat();
        let key = ParsedPublicKey::new(curve.algorithm(), point).map_err(|_| InvalidJwsKey)?;
        Ok(Self(Key::Ec(curve, key)))
    }

    /// Whether the key can be used with an algorithm.
    #[must_use]
    pub fn fits(&self, algorithm: JwsAlgorithm) -> bool {
        match &self.0 {
            Key::Rsa(_) => algorithm.rsa().is_some(),
            Key::Ec(curve, _) => algorithm.curve() == Some(*curve),
        }
    }

    /// Verifies the signature of `message`, the two first parts of a token with the dot between.
    ///
    /// # Errors
    /// [`InvalidJwsSignature`], also where the key does not fit the algorithm.
    pub fn verify(
        &self,
        algorithm: JwsAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidJwsSignature> {
        let valid = match &self.0 {
            Key::Rsa(key) => algorithm
                .rsa()
                .is_some_and(|parameters| key.verify(parameters, message, signature).is_ok()),
            Key::Ec(curve, key) => {
                algorithm.curve() == Some(*curve)
                    && signature.len() == 2 * curve.len()
                    && key.verify_sig(message, signature).is_ok()
            }
        };
        if valid { Ok(()) } else { Err(InvalidJwsSignature) }
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    &number[start..]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text.replace([' ', '\n'], "")).unwrap()
    }

    const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl\
                           LmNvbS9pc19yb290Ijp0cnVlfQ";

    /// RFC 7515, A.2.
    #[test]
    fn the_rsa_example_of_the_rfc() {
        let modulus = bytes(
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt
             0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSX
             ndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5
             IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        );
        let signature = bytes(
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W
             2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkS
             jtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnv
             Wh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        );
        let message = format!("eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}");
        let key = JwsKey::rsa(&modulus, &[1, 0, 1]).unwrap();
        refuses_what_is_changed(&key, JwsAlgorithm::Rs256, message.as_bytes(), &signature);
        let padded = JwsKey::rsa(&[&[0], &modulus[..]].concat(), &[0, 1, 0, 1]).unwrap();
        assert!(padded.verify(JwsAlgorithm::Rs256, message.as_bytes(), &signature).is_ok());
    }

    /// RFC 7515, A.3.
    #[test]
    fn the_curve_example_of_the_rfc() {
        let x = bytes("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
        let y = bytes("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let signature = bytes(
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        );
        let message = format!("eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}");
        let key = JwsKey::ec(JwsCurve::P256, &x, &y).unwrap();
        refuses_what_is_changed(&key, JwsAlgorithm::Es256, message.as_bytes(), &signature);
        assert!(JwsKey::ec(JwsCurve::P256, &y, &x).is_err());
        assert!(JwsKey::ec(JwsCurve::P384, &x, &y).is_err());
        assert!(JwsKey::ec(JwsCurve::P256, &x[1..], &y).is_err());
    }

    fn refuses_what_is_changed(
        key: &JwsKey,
        algorithm: JwsAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) {
        assert_eq!(key.verify(algorithm, message, signature), Ok(()));
        for other in ALL.into_iter().filter(|other| *other != algorithm) {
            assert!(key.verify(other, message, signature).is_err(), "{other:?}");
        }
        for at in 0..signature.len() {
            let mut changed = signature.to_vec();
            changed[at] ^= 1;
            assert!(key.verify(algorithm, message, &changed).is_err(), "{at}");
        }
        assert!(key.verify(algorithm, &message[1..], signature).is_err());
        assert!(key.verify(algorithm, message, &signature[1..]).is_err());
        assert!(key.verify(algorithm, message, &[]).is_err());
        assert!(key.verify(algorithm, message, &vec![0; signature.len()]).is_err());
    }

    const ALL: [JwsAlgorithm; 6] = [
        JwsAlgorithm::Rs256,
        JwsAlgorithm::Rs384,
        JwsAlgorithm::Rs512,
        JwsAlgorithm::Es256,
        JwsAlgorithm::Es384,
        JwsAlgorithm::Es512,
    ];

    #[test]
    fn signatures_of_every_algorithm() {
        use aws_lc_rs::rand::SystemRandom;
        use aws_lc_rs::signature::{
            ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
            ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256,
            RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaKeyPair,
        };
        let random = SystemRandom::new();
        for (algorithm, curve, signing) in [
            (JwsAlgorithm::Es256, JwsCurve::P256, &ECDSA_P256_SHA256_FIXED_SIGNING),
            (JwsAlgorithm::Es384, JwsCurve::P384, &ECDSA_P384_SHA384_FIXED_SIGNING),
            (JwsAlgorithm::Es512, JwsCurve::P521, &ECDSA_P521_SHA512_FIXED_SIGNING),
        ] {
            let pair = EcdsaKeyPair::generate(signing).unwrap();
            let (x, y) = pair.public_key().as_ref()[1..].split_at(curve.len());
            let signature = pair.sign(&random, b"message").unwrap();
            let key = JwsKey::ec(curve, x, y).unwrap();
            refuses_what_is_changed(&key, algorithm, b"message", signature.as_ref());
        }
        let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        // RSAPublicKey in DER: the headers of sequence and modulus, the modulus, and `02 03 01 00 01`.
        let der = pair.public_key().as_ref();
        let key = JwsKey::rsa(&der[8..8 + 257], &[1, 0, 1]).unwrap();
        for (algorithm, encoding) in [
            (JwsAlgorithm::Rs256, &RSA_PKCS1_SHA256),
            (JwsAlgorithm::Rs384, &RSA_PKCS1_SHA384),
            (JwsAlgorithm::Rs512, &RSA_PKCS1_SHA512),
        ] {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &random, b"message", &mut signature).unwrap();
            assert!(key.fits(algorithm));
            assert_eq!(key.verify(algorithm, b"message", &signature), Ok(()));
            assert!(key.verify(algorithm, b"massage", &signature).is_err());
        }
    }

    #[test]
    fn weak_and_impossible_rsa_keys_are_refused() {
        let mut modulus = [0xff; 256];
        assert!(JwsKey::rsa(&modulus, &[3]).is_ok());
        for exponent in [&[][..], &[0], &[1], &[2], &[1, 0], &[2, 0, 0, 0, 1], &[1; 6]] {
            assert!(JwsKey::rsa(&modulus, exponent).is_err(), "{exponent:?}");
        }
        assert!(JwsKey::rsa(&[0xff; 1025], &[3]).is_err());
        assert!(JwsKey::rsa(&[], &[3]).is_err());
        assert!(JwsKey::rsa(&[0; 300], &[3]).is_err());
        modulus[0] = 0x7f;
        assert!(JwsKey::rsa(&modulus, &[3]).is_err(), "2047 bits");
        modulus[0] = 0xff;
        modulus[255] = 0xfe;
        assert!(JwsKey::rsa(&modulus, &[3]).is_err(), "even");
    }

    #[test]
    fn names() {
        for (name, algorithm) in
            ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"].into_iter().zip(ALL)
        {
            assert_eq!(JwsAlgorithm::parse(name), Some(algorithm));
        }
        for name in ["none", "HS256", "rs256", "PS256", "ES256K", "EdDSA", ""] {
            assert_eq!(JwsAlgorithm::parse(name), None);
        }
    }
}
