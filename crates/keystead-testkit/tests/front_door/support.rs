//! What several of the tests share.

use std::net::Ipv4Addr;
use std::sync::Arc;

use aws_sdk_kms::Client;
use aws_sdk_kms::types::KeyMetadata;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method};
use keystead_service::{
    Access, MovableClock, RawRequest, RequestId, Root, Service, ServiceSettings,
};
use keystead_store::Store;
use keystead_testkit::Outcome;
use serde_json::Value;

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-west-1";

pub(crate) fn refused(name: &str, message: impl Into<String>) -> Outcome {
    Outcome::Refused { name: name.to_owned(), message: Some(message.into()) }
}

pub(crate) fn refused_silently(name: &str) -> Outcome {
    Outcome::Refused { name: name.to_owned(), message: None }
}

/// A new symmetric key.
pub(crate) async fn new_key(kms: &Client) -> KeyMetadata {
    kms.create_key().send().await.unwrap().key_metadata.unwrap()
}

/// A service without a server, where a test needs the store below or thousands of requests.
pub(crate) async fn open(store: &Arc<dyn Store>, root: Root) -> Arc<Service> {
    let clock = Arc::new(MovableClock::default());
    Service::open(ServiceSettings::default(), Access::Open, Arc::clone(store), root, clock)
        .await
        .unwrap()
}

/// Asks a service without a server.
///
/// # Errors
/// The name of the exception.
pub(crate) async fn ask(
    service: &Service,
    operation: &str,
    body: &str,
) -> Result<Value, &'static str> {
    ask_as(service, ACCOUNT, REGION, operation, body).await
}

/// The same, as the root of an account in a Region.
///
/// # Errors
/// The name of the exception.
pub(crate) async fn ask_as(
    service: &Service,
    account: &str,
    region: &str,
    operation: &str,
    body: &str,
) -> Result<Value, &'static str> {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-target", format!("TrentService.{operation}").parse().unwrap());
    headers.insert("x-amz-date", "20250101T000000Z".parse().unwrap());
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={account}/20250101/{region}/kms/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature={}",
        "0".repeat(64)
    );
    headers.insert("authorization", authorization.parse().unwrap());
    let raw = RawRequest {
        method: &Method::POST,
        path: "/",
        query: None,
        authority: None,
        headers: &headers,
        body: body.as_bytes(),
        source: Ipv4Addr::LOCALHOST.into(),
        request_id: RequestId([7; 16]),
        secure: false,
    };
    match service.answer(raw).await.result {
        Ok(reply) if reply.is_empty() => Ok(Value::Null),
        Ok(reply) => Ok(serde_json::from_slice(&reply).unwrap()),
        Err(error) => Err(error.type_name()),
    }
}

pub(crate) fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}"))
}

pub(crate) fn to_base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn from_base64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

/// The lines of a data file: fields by semicolon, `#` begins a comment.
pub(crate) fn table(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split(';').collect())
        .collect()
}
