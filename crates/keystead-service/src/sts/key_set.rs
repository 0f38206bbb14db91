//! The keys of an identity provider: a JSON Web Key Set (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystead_crypto::{JwsAlgorithm, JwsCurve, JwsKey};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// The longest key set, in bytes.
pub const MAX_KEY_SET_BYTES: usize = 1 << 20;
/// The most keys of a set.
const MAX_KEYS: usize = 256;

/// The keys of a provider that can verify tokens. Those of other kinds, for other uses, or too weak
/// are not among them, as RFC 7517, 5 has it for what is not understood.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Entry>,
}

/// Bytes that are no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidKeySet;

#[derive(Debug)]
struct Entry {
    id: Option<String>,
    algorithm: Option<JwsAlgorithm>,
    key: JwsKey,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<IgnoredAny>,
}

impl KeySet {
    /// Reads a set.
    ///
    /// # Errors
    /// [`InvalidKeySet`] if it is no JSON object with a list `keys`, is longer than
    /// [`MAX_KEY_SET_BYTES`] or has more than 256 keys.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidKeySet> {
        if bytes.len() > MAX_KEY_SET_BYTES {
            return Err(InvalidKeySet);
        }
        let set: Set = serde_json::from_slice(bytes).map_err(|_| InvalidKeySet)?;
        if set.keys.len() > MAX_KEYS {
            return Err(InvalidKeySet);
        }
        Ok(Self { keys: set.keys.into_iter().filter_map(entry).collect() })
    }

    /// The key of a token: by its id, or without an id the only one that fits. `None` also where
    /// several fit.
    #[must_use]
    pub fn find(&self, id: Option<&str>, algorithm: JwsAlgorithm) -> Option<&JwsKey> {
        let mut fitting = self.keys.iter().filter(|entry| {
            entry.key.fits(algorithm)
                && entry.algorithm.is_none_or(|own| own == algorithm)
                && id.is_none_or(|id| entry.id.as_deref() == Some(id))
        });
        let found = fitting.next()?;
        fitting.next().is_none().then_some(&found.key)
    }
}

fn entry(value: Value) -> Option<Entry> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let for_tokens = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
        && jwk.key_ops.is_none_or(|all| all.iter().any(|operation| operation == "verify"));
    // A private key that lies open can sign for anybody.
    if !for_tokens || jwk.d.is_some() {
        return None;
    }
    let algorithm = match jwk.alg {
        Some(name) => Some(JwsAlgorithm::parse(&name)?),
        None => None,
    };
    let number = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
    let key = match jwk.kty.as_str() {
        "RSA" => JwsKey::rsa(&number(jwk.n)?, &number(jwk.e)?),
        "EC" => JwsKey::ec(JwsCurve::parse(&jwk.crv?)?, &number(jwk.x)?, &number(jwk.y)?),
        _ => return None,
    };
    Some(Entry { id: jwk.kid, algorithm, key: key.ok()? })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The key of RFC 7515, A.3.
    fn curve_key() -> Value {
        json!({
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        })
    }

    fn rsa_key() -> Value {
        json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 256]), "e": "AQAB"})
    }

    fn with(mut key: Value, more: Value) -> Value {
        let members = more.as_object().unwrap().clone();
        key.as_object_mut().unwrap().extend(members);
        key
    }

    fn set(keys: &[Value]) -> KeySet {
        KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn keys_are_found_by_id_and_kind() {
        let keys = set(&[
            with(curve_key(), json!({"kid": "a", "use": "sig"})),
            with(curve_key(), json!({"kid": "b", "alg": "ES256", "key_ops": ["verify"]})),
            with(rsa_key(), json!({"kid": "a"})),
            with(rsa_key(), json!({"kid": "c", "alg": "RS384"})),
        ]);
        let found = |id, algorithm| keys.find(id, algorithm).is_some();
        assert!(found(Some("a"), JwsAlgorithm::Es256));
        assert!(found(Some("b"), JwsAlgorithm::Es256));
        assert!(found(Some("a"), JwsAlgorithm::Rs512));
        assert!(found(Some("c"), JwsAlgorithm::Rs384));
        assert!(!found(Some("c"), JwsAlgorithm::Rs256));
        assert!(!found(Some("a"), JwsAlgorithm::Es384));
        assert!(!found(Some("d"), JwsAlgorithm::Es256));
        assert!(!found(None, JwsAlgorithm::Es256), "two fit");
        assert!(found(None, JwsAlgorithm::Rs256), "one fits");
        let twice =
            set(&[with(rsa_key(), json!({"kid": "a"})), with(rsa_key(), json!({"kid": "a"}))]);
        assert!(twice.find(Some("a"), JwsAlgorithm::Rs256).is_none());
    }

    #[test]
    fn keys_that_verify_nothing_are_passed_over() {
        for key in [
            with(rsa_key(), json!({"use": "enc"})),
            with(rsa_key(), json!({"key_ops": ["encrypt"]})),
            with(rsa_key(), json!({"alg": "PS256"})),
            with(rsa_key(), json!({"d": "AQAB"})),
            with(rsa_key(), json!({"n": "AQAB"})),
            with(rsa_key(), json!({"kty": "EC"})),
            with(rsa_key(), json!({"kid": 1})),
            with(curve_key(), json!({"crv": "P-384"})),
            with(curve_key(), json!({"crv": "secp256k1"})),
            with(curve_key(), json!({"x": "AAAA"})),
            json!({"kty": "oct", "k": "AAAA"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
            json!(1),
        ] {
            assert!(set(std::slice::from_ref(&key)).keys.is_empty(), "{key}");
        }
        assert_eq!(set(&[rsa_key(), curve_key()]).keys.len(), 2);
    }

    #[test]
    fn what_is_no_key_set() {
        for text in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "\u{0}"] {
            assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
        }
        let many = json!({"keys": vec![json!({}); MAX_KEYS + 1]}).to_string();
        assert!(KeySet::parse(many.as_bytes()).is_err());
        let long = format!("{{\"keys\":[]{}}}", " ".repeat(MAX_KEY_SET_BYTES));
        assert!(KeySet::parse(long.as_bytes()).is_err());
        assert!(KeySet::parse("[".repeat(100_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = KeySet::parse(&bytes);
        }
    }
}
