//! HTTP/2 and TLS of the main listener.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use keystead_server::{HttpListener, Limits, TlsFiles};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use support::{PATIENCE, Stand, call, closed, connect, listen, receive, send};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Sender {
    http2_to_the_end(stream).await.0
}

/// With a task that ends when the connection does.
async fn http2_to_the_end(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> (Sender, JoinHandle<()>) {
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let ended = tokio::spawn(async move {
        let _ = connection.await;
    });
    (sender, ended)
}

async fn post(sender: &mut Sender, target: &str, body: Vec<u8>) -> (u16, String) {
    let request = http::Request::post("http://localhost/")
        .header("x-amz-target", target)
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let response = timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert!(response.headers().contains_key("x-amzn-requestid"));
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn http2_without_tls_by_prior_knowledge() {
    let (server, _) = listen(Limits::default()).await;
    let mut sender = http2(connect(server.address).await).await;
    let (status, body) = post(&mut sender, "x", b"abc".to_vec()).await;
    assert_eq!((status, body.as_str()), (200, r#"{"length":3,"sum":294}"#));
    // More than one window.
    let (status, body) = post(&mut sender, "x", vec![1; 500_000]).await;
    assert_eq!((status, body.as_str()), (200, r#"{"length":500000,"sum":500000}"#));
    let (status, body) = post(&mut sender, "panic", Vec::new()).await;
    assert_eq!((status, body.as_str()), (500, r#"{"__type":"KMSInternalException"}"#));
    let (status, body) = post(&mut sender, "x", vec![1; 2_000_000]).await;
    assert_eq!((status, body.as_str()), (413, r#"{"__type":"RequestEntityTooLargeException"}"#));
    let (status, _) = post(&mut sender, "x", b"still here".to_vec()).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn streams_of_one_connection_do_not_wait_for_each_other() {
    let (server, stand) = listen(Limits::default()).await;
    let mut sender = http2(connect(server.address).await).await;
    let mut other = sender.clone();
    let waiting = tokio::spawn(async move { post(&mut other, "wait", Vec::new()).await });
    stand.entered().await;
    assert_eq!(post(&mut sender, "x", Vec::new()).await.0, 200);
    // A shutdown lets the waiting stream finish.
    let shutdown = tokio::spawn(server.shutdown());
    stand.gate.add_permits(1);
    assert_eq!(waiting.await.unwrap().0, 200);
    assert!(timeout(PATIENCE, shutdown).await.unwrap().unwrap());
}

#[tokio::test]
async fn an_idle_http2_connection_is_told_to_go() {
    let limits = Limits { header_timeout_ms: 50, idle_timeout_ms: 500, ..Limits::default() };
    let (server, _) = listen(limits).await;
    let (mut sender, ended) = http2_to_the_end(connect(server.address).await).await;
    post(&mut sender, "x", Vec::new()).await;
    let begun = std::time::Instant::now();
    timeout(PATIENCE, ended).await.unwrap().unwrap();
    assert!(sender.is_closed());
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_client_that_never_opens_its_window_is_told_to_go() {
    let limits = Limits { header_timeout_ms: 50, idle_timeout_ms: 200, ..Limits::default() };
    let (server, _) = listen(limits).await;
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(TokioIo::new(connect(server.address).await))
        .await
        .unwrap();
    let ended = tokio::spawn(async move {
        let _ = connection.await;
    });
    let request = http::Request::post("http://localhost/").body(Full::new(Bytes::new())).unwrap();
    let response = timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    timeout(PATIENCE, ended).await.expect("the connection ends").unwrap();
}

/// A server with a certificate of its own, and a client that trusts it and offers `alpn`.
async fn with_tls(limits: Limits) -> (HttpListener, tempfile::TempDir, RootCertStore) {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
    };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let free = "127.0.0.1:0".parse().unwrap();
    let server = HttpListener::start(Stand::new(), free, Some(&files), limits).await.unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    (server, folder, roots)
}

async fn handshake(
    server: &HttpListener,
    roots: RootCertStore,
    versions: &[&'static rustls::SupportedProtocolVersion],
    alpn: &[&str],
) -> TlsStream<TcpStream> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
        .connect("localhost".try_into().unwrap(), connect(server.address).await)
        .await
        .unwrap()
}

#[tokio::test]
async fn tls_agrees_on_a_hybrid_group_and_http2() {
    let (server, _folder, roots) = with_tls(Limits::default()).await;
    let stream = handshake(&server, roots, &[&rustls::version::TLS13], &["h2", "http/1.1"]).await;
    let (_, session) = stream.get_ref();
    assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
    let group = session.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    let mut sender = http2(stream).await;
    assert_eq!(post(&mut sender, "x", b"abc".to_vec()).await.0, 200);
}

#[tokio::test]
async fn tls_1_2_and_http_1_are_served_too() {
    let (server, _folder, roots) = with_tls(Limits::default()).await;
    let mut stream = handshake(&server, roots, &[&rustls::version::TLS12], &[]).await;
    send(&mut stream, call("x", "abc")).await;
    assert_eq!(receive(&mut stream).await.body, r#"{"length":3,"sum":294}"#);
    let body = "\u{1}".repeat(300_000);
    send(&mut stream, call("x", &body)).await;
    assert_eq!(receive(&mut stream).await.body, r#"{"length":300000,"sum":300000}"#);
}

#[tokio::test]
async fn a_handshake_that_stalls_or_fails_ends() {
    let limits = Limits { header_timeout_ms: 100, ..Limits::default() };
    let (server, _folder, _) = with_tls(limits).await;
    let mut silent = connect(server.address).await;
    closed(&mut silent).await;
    let mut plain = connect(server.address).await;
    send(&mut plain, call("x", "")).await;
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut rest)).await;
    assert!(!rest.starts_with(b"HTTP"), "plain HTTP was answered on a TLS port");
    timeout(PATIENCE, async {
        while !server.metrics().unwrap().contains("keystead_tls_handshake_failures_total 2") {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn unusable_tls_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
    };
    let complaint = |files: TlsFiles| async move {
        let free = "127.0.0.1:0".parse().unwrap();
        let started = HttpListener::start(Stand::new(), free, Some(&files), Limits::default());
        format!("{:#}", started.await.err().unwrap())
    };
    let missing = complaint(files.clone()).await;
    assert!(missing.contains("cannot read the TLS certificate") && missing.contains("cert.pem"));
    std::fs::write(&files.certificate, "").unwrap();
    assert!(complaint(files.clone()).await.contains("holds no certificate"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    write_other_key(&files.key);
    assert!(complaint(files).await.contains("do not work together"));
}

fn write_other_key(path: &Path) {
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(path, other.signing_key.serialize_pem()).unwrap();
}
