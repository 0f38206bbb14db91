//! The `Authorization` header of a request signed with Signature Version 4.

use http::{HeaderMap, header};

use crate::AuthorizationError;

/// The one signing algorithm of the KMS API model (`aws.auth#sigv4`).
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The last element of every credential scope.
pub const TERMINATOR: &str = "aws4_request";

/// The longest header that is looked at, in bytes. SDKs send about 300.
pub const MAX_HEADER_BYTES: usize = 4096;

/// The parts of an `Authorization` header, each as the caller wrote it.
///
/// Source: AWS IAM User Guide, "Elements of an AWS API request signature".
///
/// INVARIANT: no part is empty, and none holds a space, a tab or a comma.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Authorization<'a> {
    /// The whole of `Credential`: the next five parts, joined by `/`.
    pub credential: &'a str,
    /// The access key id: who claims to have signed.
    pub access_key_id: &'a str,
    /// The date of the scope, `yyyymmdd` when well formed.
    pub date: &'a str,
    /// The Region of the scope.
    pub region: &'a str,
    /// The service of the scope, `kms` for this API.
    pub service: &'a str,
    /// The end of the scope, [`TERMINATOR`] when well formed.
    pub terminator: &'a str,
    /// The names of the signed headers, joined by `;`. [`signs`](Self::signs) asks for one of them.
    pub signed_headers: &'a str,
    /// The signature, 64 lower-case hexadecimal digits when well formed.
    pub signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Finds the header of a request and parses it.
    ///
    /// # Errors
    /// [`AuthorizationError`]; besides those of [`parse`](Self::parse) a missing or repeated header, and
    /// a request that has neither `X-Amz-Date` nor `Date`, which AWS reports in one text with missing
    /// parameters.
    pub fn from_headers(headers: &'a HeaderMap) -> Result<Self, AuthorizationError<'a>> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next().ok_or(AuthorizationError::MissingToken)?;
        if values.next().is_some() {
            return Err(AuthorizationError::Repeated);
        }
        if value.len() > MAX_HEADER_BYTES {
            return Err(AuthorizationError::TooLong);
        }
        let value = value.to_str().map_err(|_| AuthorizationError::NotText)?;
        let dated = headers.contains_key("x-amz-date") || headers.contains_key(header::DATE);
        Self::read(value, !dated)
    }

    /// Parses the value of the header. Parameters may stand in any order, separated by commas, spaces or
    /// both, as AWS takes them; parameters of other names are ignored.
    ///
    /// # Errors
    /// [`AuthorizationError`], by the first fault in this order: length, characters, a piece that is not
    /// `key=value`, a repeated parameter, absent parameters, the algorithm, the elements of `Credential`.
    pub fn parse(value: &'a str) -> Result<Self, AuthorizationError<'a>> {
        Self::read(value, false)
    }

    /// The names of the signed headers, in the order given.
    pub fn signed_header_names(&self) -> impl Iterator<Item = &'a str> {
        self.signed_headers.split(';')
    }

    /// Whether the caller signed the header `name` (lower case).
    #[must_use]
    pub fn signs(&self, name: &str) -> bool {
        self.signed_header_names().any(|signed| signed == name)
    }

    fn read(value: &'a str, date_missing: bool) -> Result<Self, AuthorizationError<'a>> {
        if value.len() > MAX_HEADER_BYTES {
            return Err(AuthorizationError::TooLong);
        }
        if !value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            return Err(AuthorizationError::NotText);
        }
        let header = value.trim_matches([' ', '\t']);
        let (algorithm, parameters) = header.split_once([' ', '\t']).unwrap_or((header, ""));

        let (mut credential, mut signed_headers, mut signature) = ("", "", "");
        for piece in parameters.split([',', ' ', '\t']).filter(|piece| !piece.is_empty()) {
            let (name, value) =
                piece.split_once('=').ok_or(AuthorizationError::NotKeyValue { piece, header })?;
            let (parameter, slot) = match name {
                "Credential" => ("Credential", &mut credential),
                "SignedHeaders" => ("SignedHeaders", &mut signed_headers),
                "Signature" => ("Signature", &mut signature),
                _ => continue,
            };
            if !slot.is_empty() {
                return Err(AuthorizationError::Duplicate { parameter });
            }
            *slot = value;
        }

        let missing = [credential, signature, signed_headers].map(str::is_empty);
        if missing.contains(&true) || date_missing {
            let [credential, signature, signed_headers] = missing;
            return Err(AuthorizationError::Missing {
                credential,
                signature,
                signed_headers,
                date: date_missing,
                header,
            });
        }
        if algorithm != ALGORITHM {
            return Err(AuthorizationError::UnsupportedAlgorithm { algorithm });
        }

        let mut elements = credential.split('/');
        let mut next = || {
            elements
                .next()
                .filter(|element| !element.is_empty())
                .ok_or(AuthorizationError::CredentialElements { credential })
        };
        let (access_key_id, date, region, service, terminator) =
            (next()?, next()?, next()?, next()?, next()?);
        if elements.next().is_some() {
            return Err(AuthorizationError::CredentialElements { credential });
        }
        Ok(Self {
            credential,
            access_key_id,
            date,
            region,
            service,
            terminator,
            signed_headers,
            signature,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// The example of the AWS General Reference's signing guide, with the service of this API.
    const GOOD: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/kms/aws4_request, \
        SignedHeaders=content-type;host;x-amz-date, \
        Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";

    fn text(value: &str) -> String {
        Authorization::parse(value).unwrap_err().to_string()
    }

    #[test]
    fn every_part_is_found() {
        let parsed = Authorization::parse(GOOD).unwrap();
        assert_eq!(parsed.credential, "AKIDEXAMPLE/20150830/us-east-1/kms/aws4_request");
        assert_eq!(parsed.access_key_id, "AKIDEXAMPLE");
        assert_eq!(parsed.date, "20150830");
        assert_eq!(parsed.region, "us-east-1");
        assert_eq!(parsed.service, "kms");
        assert_eq!(parsed.terminator, "aws4_request");
        assert_eq!(parsed.signed_headers, "content-type;host;x-amz-date");
        assert!(parsed.signature.starts_with("5d672d79"));
        assert!(parsed.signs("host") && !parsed.signs("x-amz-target") && !parsed.signs(""));
    }

    #[test]
    fn order_and_spaces_do_not_matter() {
        for value in [
            "AWS4-HMAC-SHA256 Signature=s,SignedHeaders=host,Credential=a/b/c/d/e",
            "  AWS4-HMAC-SHA256   SignedHeaders=host ,\tSignature=s  Credential=a/b/c/d/e , ",
            "AWS4-HMAC-SHA256 Extra=1, Credential=a/b/c/d/e, SignedHeaders=host, Signature=s",
        ] {
            let parsed = Authorization::parse(value).unwrap();
            assert_eq!((parsed.access_key_id, parsed.terminator), ("a", "e"), "{value}");
            assert_eq!((parsed.signed_headers, parsed.signature), ("host", "s"), "{value}");
        }
    }

    #[test]
    fn absent_parameters_are_named_in_one_text() {
        assert_eq!(
            text("AWS4-HMAC-SHA256 Signature=s"),
            "Authorization header requires 'Credential' parameter. \
             Authorization header requires 'SignedHeaders' parameter. \
             Authorization=AWS4-HMAC-SHA256 Signature=s"
        );
        assert_eq!(
            text("AWS4-HMAC-SHA256 Credential=, SignedHeaders=host, Signature="),
            "Authorization header requires 'Credential' parameter. \
             Authorization header requires 'Signature' parameter. \
             Authorization=AWS4-HMAC-SHA256 Credential=, SignedHeaders=host, Signature="
        );
    }

    #[test]
    fn a_piece_without_equal_sign_is_quoted() {
        assert_eq!(
            text("Bearer abc"),
            "'abc' not a valid key=value pair (missing equal-sign) in Authorization header: 'Bearer abc'."
        );
        assert_eq!(
            text("AWS4-HMAC-SHA256 Credential=not valid/20180109/us-east-1/kms/aws4_request"),
            "'valid/20180109/us-east-1/kms/aws4_request' not a valid key=value pair (missing equal-sign) \
             in Authorization header: \
             'AWS4-HMAC-SHA256 Credential=not valid/20180109/us-east-1/kms/aws4_request'."
        );
    }

    #[test]
    fn a_credential_has_five_elements() {
        for credential in ["a", "a/b/c/d", "a/b/c/d/e/f", "a//c/d/e", "/b/c/d/e", "a/b/c/d/"] {
            let value = format!(
                "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=s"
            );
            assert_eq!(
                text(&value),
                format!(
                    "Credential must have exactly 5 slash-delimited elements, \
                     e.g. keyid/date/region/service/term, got '{credential}'"
                )
            );
        }
    }

    #[test]
    fn other_algorithms_and_repeats_are_refused() {
        let other = GOOD.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256");
        let error = Authorization::parse(&other).unwrap_err();
        assert_eq!(error.to_string(), "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'.");
        assert_eq!(error.type_name(), "IncompleteSignatureException");
        let twice = format!("{GOOD}, Signature=other");
        assert_eq!(
            Authorization::parse(&twice),
            Err(AuthorizationError::Duplicate { parameter: "Signature" })
        );
    }

    #[test]
    fn long_and_foreign_headers_are_not_parsed() {
        let long = format!("{GOOD}, X={}", "y".repeat(MAX_HEADER_BYTES));
        assert_eq!(Authorization::parse(&long), Err(AuthorizationError::TooLong));
        assert_eq!(Authorization::parse("AWS4 Crédential=x"), Err(AuthorizationError::NotText));
        assert_eq!(Authorization::parse("AWS4 a=b\nc=d"), Err(AuthorizationError::NotText));
    }

    #[test]
    fn headers_of_a_request() {
        let mut headers = HeaderMap::new();
        let error = Authorization::from_headers(&headers).unwrap_err();
        assert_eq!(error.type_name(), "MissingAuthenticationTokenException");
        assert_eq!(error.to_string(), "Missing Authentication Token");

        headers.insert("authorization", HeaderValue::from_static(GOOD));
        let error = Authorization::from_headers(&headers).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. \
                 Authorization={GOOD}"
            )
        );

        headers.insert("x-amz-date", HeaderValue::from_static("20150830T123600Z"));
        assert_eq!(Authorization::from_headers(&headers), Authorization::parse(GOOD));

        headers.append("authorization", HeaderValue::from_static(GOOD));
        assert_eq!(Authorization::from_headers(&headers), Err(AuthorizationError::Repeated));
        headers.insert("authorization", HeaderValue::from_bytes(b"AWS4 \xff=x").unwrap());
        assert_eq!(Authorization::from_headers(&headers), Err(AuthorizationError::NotText));
    }

    #[test]
    fn debug_output_holds_no_token() {
        for value in ["Bearer planted-secret", "Basic x, Credential=planted-secret"] {
            let error = Authorization::parse(value).unwrap_err();
            assert!(!format!("{error:?}").contains("planted"), "{error:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(value in any::<String>()) {
            if let Err(error) = Authorization::parse(&value) {
                let _ = error.to_string();
            }
        }

        #[test]
        fn near_misses_never_yield_empty_parts(
            value in "(AWS4-HMAC-SHA256|AWS4)?[ ,]{0,2}((Credential|SignedHeaders|Signature|X)=?[a-c/;=]{0,12}[ ,\t]{0,2}){0,5}"
        ) {
            if let Ok(parsed) = Authorization::parse(&value) {
                for part in [
                    parsed.access_key_id, parsed.date, parsed.region, parsed.service,
                    parsed.terminator, parsed.signed_headers, parsed.signature,
                ] {
                    prop_assert!(!part.is_empty() && !part.contains([' ', ',', '\t']));
                }
            }
        }

        #[test]
        fn parts_survive_a_round_trip(
            key in "[A-Z0-9]{1,128}", region in "[a-z0-9-]{1,32}", headers in "[a-z;-]{1,64}",
            signature in "[0-9a-f]{64}",
        ) {
            let value = format!(
                "{ALGORITHM} Credential={key}/20260102/{region}/kms/{TERMINATOR}, \
                 SignedHeaders={headers}, Signature={signature}"
            );
            let parsed = Authorization::parse(&value).unwrap();
            prop_assert_eq!(parsed.access_key_id, key.as_str());
            prop_assert_eq!(parsed.region, region.as_str());
            prop_assert_eq!(parsed.signed_headers, headers.as_str());
            prop_assert_eq!(parsed.signature, signature.as_str());
        }
    }
}
