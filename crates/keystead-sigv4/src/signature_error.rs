//! Why a signed request is refused, in the wording of the real service.

use std::fmt;

use crate::{ALGORITHM, AuthorizationError, TERMINATOR, time::Basic};

/// What is wrong with a signed request.
///
/// `Display` and [`text`](Self::text) give the text for the caller, AWS's own where the variant does not say
/// otherwise. [`kms_code`](Self::kms_code) and [`sts_code`](Self::sts_code) give the code that goes with it. No variant
/// holds a signature, a token or a canonical request; the texts of [`Header`](Self::Header) may repeat the
/// `Authorization` header and belong in no log, `Debug` leaves it out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SignatureError<'a> {
    /// The `Authorization` header.
    Header(AuthorizationError<'a>),
    /// Path, query, headers or the list of signed headers are longer than what is hashed for strangers. Own text.
    TooLarge {
        /// Which of them.
        part: Part,
        /// The largest that is taken, in bytes, of the list in names.
        limit: usize,
    },
    /// The scope names a Region that is not served or no Region at all. Seen on other services.
    Region {
        /// The Region of the scope.
        region: &'a str,
    },
    /// The scope names another service.
    Service {
        /// The service it should name.
        expected: &'static str,
    },
    /// The scope does not end in `aws4_request`.
    Terminator {
        /// Its end.
        terminator: &'a str,
    },
    /// The date header is neither `yyyymmddThhmmssZ` nor, in `Date`, the form of RFC 1123.
    Date {
        /// The header's value as far as it is printable, shortened.
        value: &'a str,
    },
    /// The date of the scope is not that of the request. The end of the text is unverified.
    ScopeDate {
        /// The date of the scope.
        scope: &'a str,
        /// Seconds since 1970 of the request's date.
        request: i64,
    },
    /// Signed too long ago.
    Expired {
        /// Seconds since 1970 of the request's date.
        request: i64,
        /// Seconds since 1970 now.
        now: i64,
        /// Seconds that a date may lie in the past.
        skew: i64,
    },
    /// Signed for later.
    NotYetCurrent {
        /// Seconds since 1970 of the request's date.
        request: i64,
        /// Seconds since 1970 now.
        now: i64,
        /// Seconds that a date may lie in the future.
        skew: i64,
    },
    /// Neither `Host` nor `:authority` was signed. Seen on another JSON service.
    HostNotSigned,
    /// An `x-amz-` header is there and was not signed. The text is the object store's.
    HeaderNotSigned {
        /// Its name, for the log: the text leaves it out.
        name: &'a str,
    },
    /// A header was signed and is not there. Own text.
    HeaderAbsent {
        /// Its name.
        name: &'a str,
    },
    /// `Host` or an `x-amz-` header came twice: which one counts cannot be told. Own text.
    HeaderRepeated {
        /// Its name.
        name: &'a str,
    },
    /// The list of signed headers is not sorted, names one twice, or has capital letters. Own text.
    SignedHeadersForm,
    /// The query holds a raw `+` or a broken escape. Own text.
    QueryForm,
    /// The request is presigned, in full or in part: the query holds `X-Amz-` parameters. Own text.
    Presigned,
    /// The signature, or a declared hash of the body, is not that of the request.
    Mismatch,
    /// The access key is unknown, inactive or deleted, or the session token is missing, broken or of another key.
    InvalidToken,
    /// The session token is past its end. Never given by this room, which does not read tokens.
    ExpiredToken,
}

/// The part of a request that is [`TooLarge`](SignatureError::TooLarge).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// The path.
    Path,
    /// The query.
    Query,
    /// Names and values of all headers.
    Headers,
    /// The list of signed headers.
    SignedHeaders,
}

impl Part {
    fn unit(self) -> &'static str {
        if self == Self::SignedHeaders { "names" } else { "bytes" }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path => "path",
            Self::Query => "query string",
            Self::Headers => "header section",
            Self::SignedHeaders => "list of signed headers",
        })
    }
}

impl SignatureError<'_> {
    /// The `__type` of KMS's answer.
    #[must_use]
    pub fn kms_code(&self) -> &'static str {
        match self {
            Self::Header(error) => error.type_name(),
            Self::Date { .. } | Self::SignedHeadersForm | Self::Presigned => {
                "IncompleteSignatureException"
            }
            Self::InvalidToken => "UnrecognizedClientException",
            Self::ExpiredToken => "ExpiredTokenException",
            _ => "InvalidSignatureException",
        }
    }

    /// The `Code` of STS's answer.
    #[must_use]
    pub fn sts_code(&self) -> &'static str {
        match self {
            Self::Header(error) => error.sts_code(),
            Self::Date { .. } | Self::SignedHeadersForm | Self::Presigned => "IncompleteSignature",
            Self::InvalidToken => "InvalidClientTokenId",
            Self::ExpiredToken => "ExpiredToken",
            _ => "SignatureDoesNotMatch",
        }
    }

    /// The text for the caller.
    #[must_use]
    pub fn text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for SignatureError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Header(error) => error.fmt(f),
            Self::TooLarge { part, limit } => {
                write!(f, "Signed request with too large a {part}: at most {limit} {}.", part.unit())
            }
            Self::Region { region } => {
                write!(f, "Credential should be scoped to a valid region, not '{region}'. ")
            }
            Self::Service { expected } => {
                write!(f, "Credential should be scoped to correct service: '{expected}'. ")
            }
            Self::Terminator { terminator } => write!(
                f,
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'."
            ),
            Self::Date { value } => write!(
                f,
                "Date must be in ISO-8601 'basic format'. Got '{value}'. See http://en.wikipedia.org/wiki/ISO_8601"
            ),
            Self::ScopeDate { scope, request } => {
                let request = Basic(request).to_string();
                write!(
                    f,
                    "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
                     '{scope}' != '{}', from '{request}'.",
                    request.split('T').next().unwrap_or_default()
                )
            }
            Self::Expired { request, now, skew } => write!(
                f,
                "Signature expired: {} is now earlier than {} ({} - {} min.)",
                Basic(request),
                Basic(now.saturating_sub(skew)),
                Basic(now),
                skew / 60
            ),
            Self::NotYetCurrent { request, now, skew } => write!(
                f,
                "Signature not yet current: {} is still later than {} ({} + {} min.)",
                Basic(request),
                Basic(now.saturating_add(skew)),
                Basic(now),
                skew / 60
            ),
            Self::HostNotSigned => f.write_str(
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
            ),
            Self::HeaderNotSigned { .. } => {
                f.write_str("There were headers present in the request which were not signed")
            }
            Self::HeaderAbsent { name } => {
                write!(f, "Header '{name}' is a 'SignedHeader' and not in the request.")
            }
            Self::HeaderRepeated { name } => write!(f, "Request has more than one '{name}' header."),
            Self::SignedHeadersForm => f.write_str(
                "'SignedHeaders' must be names in lower case, each once, in alphabetical order.",
            ),
            Self::QueryForm => f.write_str(
                "The query string has a '+' or an incomplete '%' escape, which cannot be signed.",
            ),
            Self::Presigned => write!(
                f,
                "Query-string authentication is not supported. Sign with an {ALGORITHM} Authorization header."
            ),
            Self::Mismatch => f.write_str(
                "The request signature we calculated does not match the signature you provided. Check your AWS \
                 Secret Access Key and signing method. Consult the service documentation for details.",
            ),
            Self::InvalidToken => {
                f.write_str("The security token included in the request is invalid.")
            }
            Self::ExpiredToken => {
                f.write_str("The security token included in the request is expired")
            }
        }
    }
}

impl std::error::Error for SignatureError<'_> {}

impl<'a> From<AuthorizationError<'a>> for SignatureError<'a> {
    fn from(error: AuthorizationError<'a>) -> Self {
        Self::Header(error)
    }
}
