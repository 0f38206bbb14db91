//! Why a request has no usable `Authorization` header, in the wording of the real service.

use std::fmt;

/// What is wrong with the `Authorization` header of a request.
///
/// `Display` gives the text that AWS sends to the caller. Several of those texts repeat the header, so
/// they belong in the answer to the caller who sent it and in **no log**; `Debug` leaves the header out.
/// Texts are recorded ones unless marked otherwise on the variant.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum AuthorizationError<'a> {
    /// The request carries no `Authorization` header. The text is unverified.
    MissingToken,
    /// More than one `Authorization` header: which one was signed cannot be told. Own text.
    Repeated,
    /// The header is longer than [`MAX_HEADER_BYTES`](crate::MAX_HEADER_BYTES). Own text.
    TooLong,
    /// The header holds bytes outside visible ASCII, space and tab. Own text.
    NotText,
    /// A piece between commas or spaces has no equal sign.
    NotKeyValue {
        /// The piece.
        piece: &'a str,
        /// The header it stands in.
        header: &'a str,
    },
    /// A parameter stands in the header twice. Own text.
    Duplicate {
        /// `Credential`, `SignedHeaders` or `Signature`.
        parameter: &'static str,
    },
    /// Parameters, or the date header that belongs to them, are absent; an empty value counts as absent.
    Missing {
        /// `Credential` is absent.
        credential: bool,
        /// `Signature` is absent.
        signature: bool,
        /// `SignedHeaders` is absent.
        signed_headers: bool,
        /// Neither `X-Amz-Date` nor `Date` came with the request.
        date: bool,
        /// The header, trimmed.
        header: &'a str,
    },
    /// All parameters are there, yet the algorithm is another than `AWS4-HMAC-SHA256`. The text is
    /// unverified.
    UnsupportedAlgorithm {
        /// The first word of the header.
        algorithm: &'a str,
    },
    /// `Credential` has not exactly five elements, or an empty one.
    CredentialElements {
        /// The value of `Credential`.
        credential: &'a str,
    },
}

impl AuthorizationError<'_> {
    /// The `__type` AWS answers with: `MissingAuthenticationTokenException` without a header, else
    /// `IncompleteSignatureException`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::MissingToken => "MissingAuthenticationTokenException",
            _ => "IncompleteSignatureException",
        }
    }

    /// The code as STS spells it, without the `Exception` ending. Unverified.
    #[must_use]
    pub fn sts_code(&self) -> &'static str {
        match self {
            Self::MissingToken => "MissingAuthenticationToken",
            _ => "IncompleteSignature",
        }
    }
}

impl fmt::Display for AuthorizationError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MissingToken => f.write_str("Missing Authentication Token"),
            Self::Repeated => f.write_str("Request has more than one Authorization header."),
            Self::TooLong => f.write_str("Authorization header is too long."),
            Self::NotText => f.write_str("Authorization header holds characters outside ASCII."),
            Self::NotKeyValue { piece, header } => write!(
                f,
                "'{piece}' not a valid key=value pair (missing equal-sign) in Authorization header: '{header}'."
            ),
            Self::Duplicate { parameter } => {
                write!(f, "Authorization header has more than one '{parameter}' parameter.")
            }
            Self::Missing { credential, signature, signed_headers, date, header } => {
                for (absent, name) in [
                    (credential, "Credential"),
                    (signature, "Signature"),
                    (signed_headers, "SignedHeaders"),
                ] {
                    if absent {
                        write!(f, "Authorization header requires '{name}' parameter. ")?;
                    }
                }
                if date {
                    f.write_str(
                        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
                    )?;
                }
                write!(f, "Authorization={header}")
            }
            Self::UnsupportedAlgorithm { algorithm } => {
                write!(f, "Unsupported AWS 'algorithm': '{algorithm}'.")
            }
            Self::CredentialElements { credential } => write!(
                f,
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
            ),
        }
    }
}

/// Names the event without the header: a foreign scheme (`Bearer`, `Basic`) carries a secret there.
impl fmt::Debug for AuthorizationError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MissingToken => f.write_str("MissingToken"),
            Self::Repeated => f.write_str("Repeated"),
            Self::TooLong => f.write_str("TooLong"),
            Self::NotText => f.write_str("NotText"),
            Self::NotKeyValue { .. } => f.write_str("NotKeyValue"),
            Self::Duplicate { parameter } => write!(f, "Duplicate({parameter})"),
            Self::Missing { credential, signature, signed_headers, date, .. } => f
                .debug_struct("Missing")
                .field("credential", &credential)
                .field("signature", &signature)
                .field("signed_headers", &signed_headers)
                .field("date", &date)
                .finish(),
            Self::UnsupportedAlgorithm { .. } => f.write_str("UnsupportedAlgorithm"),
            Self::CredentialElements { .. } => f.write_str("CredentialElements"),
        }
    }
}

impl std::error::Error for AuthorizationError<'_> {}
