//! The ways to a server: the AWS SDK over plain HTTP, and bare requests.
//!
//! The SDK's packaged HTTP clients bring a TLS library of their own. A server on loopback needs
//! none, so the SDK gets a connector over hyper here.

use aws_sdk_kms::config::http::{HttpRequest, HttpResponse};
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Connections to servers, kept and used again.
#[derive(Clone, Debug)]
pub(crate) struct Wire(Client<Tcp, Full<Bytes>>);

/// What came back for a bare request.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body; `Null` if it has no bytes.
    pub body: Value,
}

/// What a request came to, as a table can state it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Ok,
    /// The service refused it.
    Refused {
        /// The exception's name.
        name: String,
        /// Its text, if it has one.
        message: Option<String>,
    },
    /// It did not come to an answer of the service.
    Broken(String),
}

/// What an SDK call came to.
pub fn outcome<T, E>(result: Result<T, SdkError<E>>) -> Outcome
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match result {
        Ok(_) => Outcome::Ok,
        Err(error) => match error.as_service_error() {
            Some(refusal) => Outcome::Refused {
                name: refusal.code().unwrap_or_default().to_owned(),
                message: refusal.message().map(str::to_owned),
            },
            None => Outcome::Broken(format!("{error:?}")),
        },
    }
}

/// The SDK for the server at `url`, signing with an access key.
pub(crate) fn sdk(url: &str, id: &str, secret: &str, region: &str) -> aws_sdk_kms::Client {
    let wire = SharedHttpConnector::new(Wire::new());
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new(region.to_owned()))
        .credentials_provider(Credentials::new(id, secret, None, None, "test"))
        .http_client(http_client_fn(move |_, _| wire.clone()))
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    aws_sdk_kms::Client::from_conf(config)
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    pub(crate) async fn call(
        &self,
        url: &str,
        account: &str,
        region: &str,
        operation: &str,
        body: &Value,
    ) -> anyhow::Result<Response> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={account}/20250101/{region}/kms/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={}",
            "0".repeat(64)
        );
        let request = http::Request::post(url)
            .header("x-amz-target", format!("TrentService.{operation}"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-date", "20250101T000000Z")
            .header("authorization", authorization)
            .body(Full::from(body.to_string()))?;
        let (parts, body) = self.0.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? };
        Ok(Response { status: parts.status.as_u16(), body })
    }

    async fn carry(self, request: HttpRequest) -> Result<HttpResponse, Fault> {
        let mut outgoing = http::Request::builder().method(request.method()).uri(request.uri());
        for (name, value) in request.headers() {
            outgoing = outgoing.header(name, value);
        }
        // KMS has no streams: every body is in memory.
        let body = request.body().bytes().ok_or("a body that is a stream")?;
        let outgoing = outgoing.body(Full::from(Bytes::copy_from_slice(body)))?;
        let (parts, body) = self.0.request(outgoing).await?.into_parts();
        let body = body.collect().await?.to_bytes().to_vec();
        let mut response = HttpResponse::new(parts.status.as_u16().try_into()?, body.into());
        for (name, value) in &parts.headers {
            response
                .headers_mut()
                .try_append(name.as_str().to_owned(), value.to_str()?.to_owned())?;
        }
        Ok(response)
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let wire = self.clone();
        HttpConnectorFuture::new(async move {
            wire.carry(request).await.map_err(|fault| ConnectorError::other(fault, None))
        })
    }
}
