//! The two steps from an untrusted request to a proof: examine without a secret, verify with one.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderMap, HeaderValue, Method, header};

use crate::{
    ALGORITHM, Authorization, Part, SignatureError, SigningKey, TERMINATOR,
    canonical::{Canonical, is_amazon_header, is_presigned, normalized},
    hash::{Hasher, sha256_hex, unhex},
    time::{Basic, parse_basic, parse_http},
};

/// The most bytes of header names and values, of a request whose headers are hashed.
pub const MAX_REQUEST_HEADER_BYTES: usize = 64 * 1024;
/// The longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 8192;
/// The longest query, in bytes.
pub const MAX_QUERY_BYTES: usize = 8192;
/// The most names in `SignedHeaders`. SDKs sign about ten.
pub const MAX_SIGNED_HEADERS: usize = 100;

const SECURITY_TOKEN: &str = "x-amz-security-token";

/// A request as it arrived.
#[derive(Clone, Copy)]
pub struct SignedRequest<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as on the request line: encoded, not normalized.
    pub path: &'a str,
    /// What follows `?` on the request line, as sent.
    pub query: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// `:authority` of HTTP/2, which counts as `Host` if there is no such header.
    pub authority: Option<&'a str>,
    /// The body as received, before anything decodes it.
    pub body: &'a [u8],
}

/// What a server expects of the requests it takes.
#[derive(Clone, Copy)]
pub struct Expectation<'a> {
    /// The service of the scope: `kms` or `sts`.
    pub service: &'static str,
    /// Which Regions of the scope are served; `None`: every one that is well-formed (1 to 32 lower-case letters,
    /// digits and hyphens).
    pub regions: Option<&'a (dyn Fn(&str) -> bool + Sync)>,
    /// Milliseconds since 1970.
    pub now: i64,
    /// Milliseconds that a request's date may lie in the past or in the future: 15 minutes on AWS's services.
    pub skew: i64,
    /// Takes a session token that was added after signing. What KMS does is not known, signers of today sign it:
    /// `false` unless an old client needs it. The token is then bound by what it says of its access key alone.
    pub unsigned_token: bool,
}

/// A request that has everything but a verified signature. Made only by [`examine`].
#[derive(Clone, Copy)]
pub struct Examined<'a> {
    authorization: Authorization<'a>,
    token: Option<&'a str>,
    /// Seconds since 1970.
    time: i64,
    /// `yyyymmddThhmmssZ`.
    date: [u8; 16],
    /// Of the canonical request, in hexadecimal digits.
    hash: [u8; 64],
    signature: [u8; 32],
}

/// The proof that the holder of a secret access key sent a request. Made only by a comparison of signatures.
#[derive(Clone, Copy)]
pub struct Verified<'a> {
    authorization: Authorization<'a>,
    token: Option<&'a str>,
    time: i64,
}

/// Checks all of a signed request for which no secret is needed, and hashes it.
///
/// First sizes and scope, then the date, then what has to be signed, the hashes last: a request that is not worth
/// hashing is not hashed.
///
/// # Errors
/// [`SignatureError`].
pub fn examine<'a>(
    request: &SignedRequest<'a>,
    authorization: &Authorization<'a>,
    expectation: &Expectation<'_>,
) -> Result<Examined<'a>, SignatureError<'a>> {
    let query = request.query.unwrap_or_default();
    check_sizes(request, query, authorization)?;
    check_scope(authorization, expectation)?;
    let (time, date) = request_date(request.headers)?;
    check_date(authorization, time, &date, expectation)?;
    if is_presigned(query)? {
        return Err(SignatureError::Presigned);
    }
    check_signed_headers(request.headers, authorization, expectation)?;
    let token = session_token(request.headers)?;
    let signature = unhex(authorization.signature).ok_or(SignatureError::Mismatch)?;

    let payload = sha256_hex(request.body);
    if let Some(declared) = request.headers.get("x-amz-content-sha256")
        && declared.as_bytes() != payload
    {
        // UNSIGNED-PAYLOAD and STREAMING-… end here too: they belong to the object store.
        return Err(SignatureError::Mismatch);
    }
    let mut hasher = Hasher::new();
    Canonical {
        method: request.method.as_str(),
        path: &normalized(request.path),
        query,
        headers: request.headers,
        authority: request.authority,
        signed_headers: authorization.signed_headers,
        payload: &payload,
    }
    .write(&mut hasher)?;
    Ok(Examined {
        authorization: *authorization,
        token,
        time,
        date,
        hash: hasher.finish(),
        signature,
    })
}

impl<'a> Examined<'a> {
    /// The header, as the caller wrote it: the claim that remains to be proved.
    #[must_use]
    pub fn authorization(&self) -> &Authorization<'a> {
        &self.authorization
    }

    /// The session token. Whether it belongs to the access key, and whether it is in date, is for its issuer to
    /// say, before the signature is compared.
    #[must_use]
    pub fn token(&self) -> Option<&'a str> {
        self.token
    }

    /// Compares the signature with that of a key, in constant time.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`].
    pub fn verify(&self, key: &SigningKey) -> Result<Verified<'a>, SignatureError<'static>> {
        let scope = self.authorization.credential.get(self.authorization.access_key_id.len() + 1..);
        let tag = key.sign(&[
            ALGORITHM.as_bytes(),
            b"\n",
            &self.date,
            b"\n",
            scope.unwrap_or_default().as_bytes(),
            b"\n",
            &self.hash,
        ]);
        verify_slices_are_equal(tag.as_ref(), &self.signature)
            .map_err(|_| SignatureError::Mismatch)?;
        Ok(Verified { authorization: self.authorization, token: self.token, time: self.time })
    }
}

impl<'a> Verified<'a> {
    /// The header whose signature was verified.
    #[must_use]
    pub fn authorization(&self) -> &Authorization<'a> {
        &self.authorization
    }

    /// The session token that came with the request.
    #[must_use]
    pub fn token(&self) -> Option<&'a str> {
        self.token
    }

    /// When the request was signed: seconds since 1970.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.time
    }
}

fn check_sizes<'a>(
    request: &SignedRequest<'_>,
    query: &str,
    authorization: &Authorization<'_>,
) -> Result<(), SignatureError<'a>> {
    let headers = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    let names = authorization.signed_headers.bytes().filter(|byte| *byte == b';').count() + 1;
    for (part, size, limit) in [
        (Part::Path, request.path.len(), MAX_PATH_BYTES),
        (Part::Query, query.len(), MAX_QUERY_BYTES),
        (Part::Headers, headers.sum(), MAX_REQUEST_HEADER_BYTES),
        (Part::SignedHeaders, names, MAX_SIGNED_HEADERS),
    ] {
        if size > limit {
            return Err(SignatureError::TooLarge { part, limit });
        }
    }
    Ok(())
}

fn check_scope<'a>(
    authorization: &Authorization<'a>,
    expectation: &Expectation<'_>,
) -> Result<(), SignatureError<'a>> {
    let Authorization { region, service, terminator, .. } = *authorization;
    let is_served = match expectation.regions {
        Some(serves) => serves(region),
        None => {
            (1..=32).contains(&region.len())
                && region.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        }
    };
    if !is_served {
        return Err(SignatureError::Region { region });
    }
    if service != expectation.service {
        return Err(SignatureError::Service { expected: expectation.service });
    }
    if terminator != TERMINATOR {
        return Err(SignatureError::Terminator { terminator });
    }
    Ok(())
}

/// The date of a request in seconds and in the form that is signed. `X-Amz-Date` wins over `Date`.
fn request_date(headers: &HeaderMap) -> Result<(i64, [u8; 16]), SignatureError<'_>> {
    let (value, time) = if let Some(value) = headers.get("x-amz-date") {
        let value = value.to_str().unwrap_or_default();
        (value, parse_basic(value))
    } else {
        let value = headers.get(header::DATE).map(HeaderValue::to_str);
        let value = value.and_then(Result::ok).unwrap_or_default();
        (value, parse_basic(value).or_else(|| parse_http(value)))
    };
    // Printable ASCII: every index is a boundary.
    let fault = SignatureError::Date { value: value.get(..64).unwrap_or(value) };
    let time = time.ok_or(fault)?;
    let date = match value.as_bytes().try_into() {
        Ok(basic) => basic,
        Err(_) => Basic(time).to_string().as_bytes().try_into().map_err(|_| fault)?,
    };
    Ok((time, date))
}

fn check_date<'a>(
    authorization: &Authorization<'a>,
    request: i64,
    date: &[u8; 16],
    expectation: &Expectation<'_>,
) -> Result<(), SignatureError<'a>> {
    let scope = authorization.date;
    if scope.as_bytes() != &date[..8] {
        return Err(SignatureError::ScopeDate { scope, request });
    }
    let Expectation { now, skew, .. } = *expectation;
    let age = now.saturating_sub(request.saturating_mul(1000));
    let (now, skew_seconds) = (now.div_euclid(1000), skew / 1000);
    if age > skew {
        return Err(SignatureError::Expired { request, now, skew: skew_seconds });
    }
    if age < skew.saturating_neg() {
        return Err(SignatureError::NotYetCurrent { request, now, skew: skew_seconds });
    }
    Ok(())
}

/// What a signer may leave out and a server may not: `Host` and every `x-amz-` header are signed, and are there once.
fn check_signed_headers<'a>(
    headers: &'a HeaderMap,
    authorization: &Authorization<'a>,
    expectation: &Expectation<'_>,
) -> Result<(), SignatureError<'a>> {
    let mut previous = "";
    for name in authorization.signed_header_names() {
        if name <= previous || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(SignatureError::SignedHeadersForm);
        }
        previous = name;
    }
    if !authorization.signs("host") {
        return Err(SignatureError::HostNotSigned);
    }
    let has_repeats = headers.len() > headers.keys_len();
    for name in headers.keys() {
        let name = name.as_str();
        let is_amazon = is_amazon_header(name.as_bytes());
        if has_repeats
            && (is_amazon || name == "host")
            && headers.get_all(name).iter().nth(1).is_some()
        {
            return Err(SignatureError::HeaderRepeated { name });
        }
        if is_amazon
            && !authorization.signs(name)
            && !(expectation.unsigned_token && name == SECURITY_TOKEN)
        {
            return Err(SignatureError::HeaderNotSigned { name });
        }
    }
    Ok(())
}

fn session_token(headers: &HeaderMap) -> Result<Option<&str>, SignatureError<'static>> {
    match headers.get(SECURITY_TOKEN).map(HeaderValue::to_str) {
        None => Ok(None),
        Some(Ok(token)) if !token.is_empty() => Ok(Some(token)),
        Some(_) => Err(SignatureError::InvalidToken),
    }
}

/// Without the token, which is half of a credential.
impl fmt::Debug for Examined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Examined")
            .field("credential", &self.authorization.credential)
            .field("token", &self.token.map(|_| ".."))
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

/// Without the token, which is half of a credential.
impl fmt::Debug for Verified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("credential", &self.authorization.credential)
            .field("token", &self.token.map(|_| ".."))
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}
