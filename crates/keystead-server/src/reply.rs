//! From outcomes to HTTP: the only place that knows status codes and response headers.

use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, EXPIRES, PRAGMA};
use http::{HeaderValue, Response, StatusCode, Version};
use keystead_service::{Answer, Error, Fault, Protocol, RequestId, sts_refusal};
use zeroize::Zeroizing;

use crate::body::ReplyBody;

/// Why a request never reached an operation, or came back from it without an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// Another method or path than the API's one route.
    NoSuchRoute,
    /// It comes from a web page.
    WebPage,
    /// The body is over the limit.
    BodyTooLarge,
    /// There is no memory left for bodies.
    NoRoom,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body broke off or its framing is wrong. Usually nobody is left to read the answer.
    BodyBroken,
    /// The operation panicked: a bug.
    Panicked,
}

impl Refusal {
    /// The `__type` of the error body. Sources: the list of errors common to AWS services;
    /// `RequestTimeoutException` is the name that SDKs of every language retry.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::NoSuchRoute => "UnknownOperationException",
            Self::WebPage => "AccessDeniedException",
            Self::BodyTooLarge => "RequestEntityTooLargeException",
            Self::NoRoom => "ServiceUnavailable",
            Self::BodyTimeout => "RequestTimeoutException",
            Self::BodyBroken => "SerializationException",
            Self::Panicked => "KMSInternalException",
        }
    }

    /// Whether what remains of the request makes the connection useless.
    fn closes(self) -> bool {
        matches!(self, Self::BodyTooLarge | Self::NoRoom | Self::BodyTimeout | Self::BodyBroken)
    }

    fn status(self) -> StatusCode {
        match self {
            Self::NoSuchRoute => StatusCode::NOT_FOUND,
            Self::WebPage => StatusCode::FORBIDDEN,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The status of an error of the service: 400 for every fault of the client, also for
/// `NotFoundException` and `AccessDeniedException`, 500 for every fault of the server, but for the names of
/// the common list that mean another status to any HTTP client.
fn status_of(error: &Error) -> StatusCode {
    match (error.fault(), error.type_name()) {
        (_, "RequestEntityTooLargeException") => StatusCode::PAYLOAD_TOO_LARGE,
        (_, "ServiceUnavailable" | "ServiceUnavailableException") => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        (Fault::Client, _) => StatusCode::BAD_REQUEST,
        (Fault::Server, _) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The status of an error of STS: 403 for whoever is not known or may not, 400 for every other fault of
/// the client (botocore's model of STS, and the list of errors common to AWS services).
fn sts_status_of(error: &Error) -> StatusCode {
    match (error.fault(), error.type_name()) {
        (
            _,
            "AccessDenied"
            | "InvalidClientTokenId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "MissingAuthenticationToken",
        ) => StatusCode::FORBIDDEN,
        (Fault::Client, _) => StatusCode::BAD_REQUEST,
        (Fault::Server, _) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The answer of an operation.
pub(crate) fn answer(answer: Answer, id: &RequestId) -> Response<ReplyBody> {
    match (answer.protocol, answer.result) {
        (protocol, Ok(reply)) => respond(StatusCode::OK, protocol, reply, id),
        (Protocol::Json, Err(error)) => {
            let body = error_body(error.type_name(), error.message());
            respond(status_of(&error), Protocol::Json, body, id)
        }
        (Protocol::Query, Err(error)) => {
            respond(sts_status_of(&error), Protocol::Query, sts_refusal(&error, *id), id)
        }
    }
}

/// The answer to a request whose operation panicked.
pub(crate) fn panicked(
    protocol: Protocol,
    version: Version,
    id: &RequestId,
) -> Response<ReplyBody> {
    match protocol {
        Protocol::Json => refuse(Refusal::Panicked, version, id),
        Protocol::Query => {
            let status = Refusal::Panicked.status();
            respond(status, Protocol::Query, sts_refusal(&Error::internal("a panic"), *id), id)
        }
    }
}

/// The answer to a request that no operation answered.
pub(crate) fn refuse(refusal: Refusal, version: Version, id: &RequestId) -> Response<ReplyBody> {
    let body = error_body(refusal.type_name(), None);
    let mut response = respond(refusal.status(), Protocol::Json, body, id);
    // HTTP/2 resets the stream instead; it has no such header (RFC 9113, 8.2.2).
    if refusal.closes() && version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The answer to a probe.
pub(crate) fn healthy() -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::new(Zeroizing::new(b"ok\n".to_vec())));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `{"__type":"<name>","message":"<text>"}`. The member is left out when there is no text, and is spelled
/// `Message` for AccessDeniedException alone; both as recorded from the real service.
fn error_body(type_name: &str, message: Option<&str>) -> Zeroizing<Vec<u8>> {
    let mut body = Vec::with_capacity(64 + type_name.len() + message.map_or(0, str::len));
    body.extend_from_slice(b"{\"__type\":");
    push_json(&mut body, type_name);
    if let Some(message) = message {
        let member: &[u8] = match type_name {
            "AccessDeniedException" => b",\"Message\":",
            _ => b",\"message\":",
        };
        body.extend_from_slice(member);
        push_json(&mut body, message);
    }
    body.push(b'}');
    Zeroizing::new(body)
}

fn push_json(out: &mut Vec<u8>, text: &str) {
    // A string always serializes and a `Vec` always takes it; should that change, an empty string is
    // valid JSON still.
    let start = out.len();
    if serde_json::to_writer(&mut *out, text).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"\"\"");
    }
}

/// `Date` and `Content-Length` are added by hyper.
fn respond(
    status: StatusCode,
    protocol: Protocol,
    body: Zeroizing<Vec<u8>>,
    id: &RequestId,
) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(6);
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert("x-amzn-requestid", id);
    }
    let kind = match protocol {
        Protocol::Json => "application/x-amz-json-1.1",
        Protocol::Query => "text/xml",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate, private"),
    );
    headers.insert(EXPIRES, HeaderValue::from_static("0"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn text(type_name: &str, message: Option<&str>) -> String {
        String::from_utf8(error_body(type_name, message).to_vec()).unwrap()
    }

    #[test]
    fn error_bodies_as_recorded() {
        assert_eq!(
            text("NotFoundException", Some("Key 'arn' does not exist")),
            r#"{"__type":"NotFoundException","message":"Key 'arn' does not exist"}"#
        );
        assert_eq!(
            text("InvalidCiphertextException", None),
            r#"{"__type":"InvalidCiphertextException"}"#
        );
        assert_eq!(
            text("AccessDeniedException", Some("no")),
            r#"{"__type":"AccessDeniedException","Message":"no"}"#
        );
        assert_eq!(
            text("ValidationException", Some("a \"quote\"\n\u{1}ü")),
            "{\"__type\":\"ValidationException\",\"message\":\"a \\\"quote\\\"\\n\\u0001ü\"}"
        );
    }

    #[test]
    fn a_panic_is_told_in_the_protocol_of_the_request() {
        let id = RequestId([7; 16]);
        for (protocol, kind) in
            [(Protocol::Json, "application/x-amz-json-1.1"), (Protocol::Query, "text/xml")]
        {
            let response = panicked(protocol, Version::HTTP_11, &id);
            assert_eq!(response.status(), 500);
            assert_eq!(response.headers().get(CONTENT_TYPE).unwrap(), kind);
        }
    }

    #[test]
    fn every_refusal_has_a_status_and_only_broken_bodies_close() {
        let id = RequestId([7; 16]);
        for (refusal, status, closes) in [
            (Refusal::NoSuchRoute, 404, false),
            (Refusal::WebPage, 403, false),
            (Refusal::BodyTooLarge, 413, true),
            (Refusal::NoRoom, 503, true),
            (Refusal::BodyTimeout, 408, true),
            (Refusal::BodyBroken, 400, true),
            (Refusal::Panicked, 500, false),
        ] {
            let response = refuse(refusal, Version::HTTP_11, &id);
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().contains_key(CONNECTION), closes, "{refusal:?}");
            assert!(!refuse(refusal, Version::HTTP_2, &id).headers().contains_key(CONNECTION));
            assert_eq!(response.headers().get("x-amzn-requestid").unwrap(), &id.to_string());
        }
    }
}
