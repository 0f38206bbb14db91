//! Tokens of identity providers: JSON Web Tokens (RFC 7519) in the compact form of a JSON Web
//! Signature (RFC 7515).
//!
//! Nothing of a token is believed before its signature is verified, but for two things that are
//! needed to find the key: the header, and the issuer that the payload claims.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystead_crypto::JwsAlgorithm;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use zeroize::Zeroizing;

/// The longest token (API reference of AssumeRoleWithWebIdentity).
const MAX_TOKEN: usize = 20_000;

/// A token whose signature has not been verified.
pub struct Jws<'t> {
    /// `alg`
    pub algorithm: JwsAlgorithm,
    /// `kid`
    pub key_id: Option<String>,
    /// `iss`: a claim, good for finding the key and for nothing else.
    pub issuer: String,
    /// What is signed.
    pub message: &'t [u8],
    /// The signature.
    pub signature: Vec<u8>,
    payload: Zeroizing<Vec<u8>>,
}

/// A text that is no token, or one of a kind that is not taken. Nothing of it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidJws;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    // Whoever made the token must not choose the key, nor what of it has to be understood.
    crit: Option<IgnoredAny>,
    jku: Option<IgnoredAny>,
    x5u: Option<IgnoredAny>,
    jwk: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Issuer {
    iss: String,
}

/// The claims of a token that mean something here. A claim that is given twice, or has another form,
/// refuses the token.
#[derive(Debug, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whom it speaks of.
    pub sub: String,
    /// For whom it is.
    pub aud: OneOrMany,
    /// To whom it was issued, if that is not for whom it is.
    pub azp: Option<String>,
    /// When it ends, seconds since the epoch.
    pub exp: i64,
    /// When it was issued, seconds since the epoch.
    pub iat: i64,
    /// When it begins, seconds since the epoch.
    pub nbf: Option<i64>,
    /// How its subject was authenticated.
    pub amr: Option<OneOrMany>,
    /// Session tags.
    #[serde(rename = "https://aws.amazon.com/tags")]
    pub tags: Option<Tags>,
    /// The source identity.
    #[serde(rename = "https://aws.amazon.com/source_identity")]
    pub source_identity: Option<String>,
}

/// The claim of session tags.
#[derive(Debug, Deserialize)]
pub struct Tags {
    /// Keys and values, in the order of the token.
    #[serde(default, deserialize_with = "pairs")]
    pub principal_tags: Vec<(String, OneOrMany)>,
    /// Keys of those that are transitive.
    #[serde(default)]
    pub transitive_tag_keys: Vec<String>,
    /// A list in the order of the members is not the claim.
    #[serde(flatten)]
    _others: BTreeMap<String, IgnoredAny>,
}

/// A text, or a list of texts.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// A text.
    One(String),
    /// A list.
    Many(Vec<String>),
}

impl OneOrMany {
    /// All texts.
    #[must_use]
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// The members of an object as they come, so that none hides another.
fn pairs<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> std::result::Result<Vec<(String, OneOrMany)>, D::Error> {
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Vec<(String, OneOrMany)>;

        fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str("an object of tags")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> std::result::Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }
    from.deserialize_map(Visitor)
}

impl<'t> Jws<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`InvalidJws`] for anything but three parts of base64url, of at most 20,000 characters, with
    /// an algorithm that is verified here, without `crit`, `jku`, `x5u` and `jwk`.
    pub fn parse(token: &'t str) -> Result<Self, InvalidJws> {
        if token.len() > MAX_TOKEN {
            return Err(InvalidJws);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(InvalidJws)?;
        let (header, payload) = message.split_once('.').ok_or(InvalidJws)?;
        if payload.contains('.') {
            return Err(InvalidJws);
        }
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidJws);
        let header: Header = object(&decoded(header)?)?;
        let forbidden = [&header.crit, &header.jku, &header.x5u, &header.jwk];
        if forbidden.iter().any(|member| member.is_some()) {
            return Err(InvalidJws);
        }
        let payload = Zeroizing::new(decoded(payload)?);
        let Issuer { iss } = object(&payload)?;
        Ok(Self {
            algorithm: JwsAlgorithm::parse(&header.alg).ok_or(InvalidJws)?,
            key_id: header.kid,
            issuer: iss,
            message: message.as_bytes(),
            signature: decoded(signature)?,
            payload,
        })
    }

    /// The claims. To be called once the signature is verified.
    ///
    /// # Errors
    /// [`InvalidJws`] where a claim is missing or has another form.
    pub fn claims(&self) -> Result<Claims, InvalidJws> {
        object(&self.payload)
    }
}

/// A JSON object; a list of its values in their order is none.
fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, InvalidJws> {
    match bytes.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(bytes).map_err(|_| InvalidJws),
        _ => Err(InvalidJws),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn token(header: &str, payload: &str, signature: &[u8]) -> String {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let parts = [header.as_bytes(), payload.as_bytes(), signature].map(encode);
        parts.join(".")
    }

    const CLAIMS: &str = r#"{"iss":"https://i","sub":"subject","aud":"a","exp":2,"iat":1}"#;

    #[test]
    fn a_token_comes_apart() {
        let text = token(r#"{"alg":"ES256","kid":"k","typ":"JWT"}"#, CLAIMS, b"sig");
        let jws = Jws::parse(&text).unwrap();
        assert_eq!(jws.algorithm, JwsAlgorithm::Es256);
        assert_eq!((jws.key_id.as_deref(), jws.issuer.as_str()), (Some("k"), "https://i"));
        assert_eq!(jws.message, text.rsplit_once('.').unwrap().0.as_bytes());
        assert_eq!(jws.signature, b"sig");
        let claims = jws.claims().unwrap();
        assert_eq!((claims.exp, claims.iat, claims.nbf), (2, 1, None));
        assert_eq!(claims.aud.all(), ["a"]);
    }

    #[test]
    fn what_is_no_token_here() {
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"rs256"}"#,
            r#"{"kid":"k"}"#,
            r#"{"alg":"RS256","alg":"RS256"}"#,
            r#"{"alg":"RS256","crit":["exp"]}"#,
            r#"{"alg":"RS256","jku":"https://x"}"#,
            r#"{"alg":"RS256","x5u":"https://x"}"#,
            r#"{"alg":"RS256","jwk":{}}"#,
            r#"{"alg":"RS256","kid":1}"#,
            "[]",
            r#"["RS256"]"#,
            r#"["RS256",null,null,null,null,null]"#,
            "",
        ] {
            assert!(Jws::parse(&token(header, CLAIMS, b"sig")).is_err(), "{header}");
        }
        let good = token(r#"{"alg":"RS256"}"#, CLAIMS, b"sig");
        assert!(Jws::parse(&good).is_ok());
        for bad in [
            format!("{good}.x"),
            format!("{good}="),
            format!(".{good}"),
            good.replace('.', ""),
            good.replacen('.', "", 1),
            format!("{good}{}", "A".repeat(MAX_TOKEN)),
        ] {
            assert!(Jws::parse(&bad).is_err(), "{bad}");
        }
        let nested = "[".repeat(10_000);
        assert!(Jws::parse(&token(&nested, CLAIMS, b"sig")).is_err());
        assert!(Jws::parse(&token(r#"{"alg":"RS256"}"#, &nested, b"sig")).is_err());
    }

    #[test]
    fn claims_have_one_form() {
        let claims = |payload: &str| {
            let text = token(r#"{"alg":"RS256"}"#, payload, b"sig");
            Jws::parse(&text).unwrap().claims()
        };
        let with = |more: &str| claims(&CLAIMS.replace('}', &format!(",{more}}}")));
        for more in [
            r#""exp":3"#,
            r#""nbf":1.5"#,
            r#""nbf":"1""#,
            r#""amr":[1]"#,
            r#""https://aws.amazon.com/tags":[]"#,
            r#""https://aws.amazon.com/tags":{"principal_tags":{"a":1}}"#,
            r#""https://aws.amazon.com/source_identity":1"#,
        ] {
            assert!(with(more).is_err(), "{more}");
        }
        for missing in ["\"sub\":\"subject\",", "\"aud\":\"a\",", ",\"iat\":1", "\"exp\":2,"] {
            assert!(claims(&CLAIMS.replace(missing, "")).is_err(), "{missing}");
        }
        let tags = with(
            r#""https://aws.amazon.com/tags":{"principal_tags":{"a":["1"],"a":"2"},"transitive_tag_keys":["a"]}"#,
        );
        let tags = tags.unwrap().tags.unwrap();
        let pairs: Vec<_> =
            tags.principal_tags.iter().map(|(key, value)| (key.as_str(), value.all())).collect();
        assert_eq!(pairs, [("a", &["1".to_owned()][..]), ("a", &["2".to_owned()][..])]);
        assert_eq!(tags.transitive_tag_keys, ["a"]);
        assert_eq!(with(r#""unknown":{"x":[]},"azp":"b""#).unwrap().azp.as_deref(), Some("b"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(header in ".{0,40}", payload in ".{0,80}", text in ".{0,80}") {
            let _ = Jws::parse(&text);
            if let Ok(jws) = Jws::parse(&token(&header, &payload, b"sig")) {
                let _ = jws.claims();
            }
        }
    }
}
