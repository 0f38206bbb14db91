//! A stand-in for the service, and a client that can misbehave.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keystead_server::{Answerer, HttpListener, Limits};
use keystead_service::{Answer, Error, Protocol, RawRequest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// Longer than anything here takes unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Answers with the length of the body; some targets do otherwise.
pub struct Stand {
    /// Told of each request to `wait`.
    pub entered: Semaphore,
    /// Lets one request to `wait` go on.
    pub gate: Semaphore,
    /// Told of each request to `wait` that came to its end.
    pub left: Semaphore,
}

impl Stand {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            entered: Semaphore::new(0),
            gate: Semaphore::new(0),
            left: Semaphore::new(0),
        })
    }

    pub async fn entered(&self) {
        timeout(PATIENCE, self.entered.acquire()).await.unwrap().unwrap().forget();
    }

    pub async fn left(&self) {
        timeout(PATIENCE, self.left.acquire()).await.unwrap().unwrap().forget();
    }
}

impl Answerer for Stand {
    async fn answer<'a>(self: &'a Arc<Self>, raw: RawRequest<'a>) -> Answer {
        let target = raw.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        match target {
            Some("wait" | "wait, reading") => {
                self.entered.add_permits(1);
                self.gate.acquire().await.unwrap().forget();
                self.left.add_permits(1);
            }
            Some("panic") => panic!("planted secret"),
            Some("fault") => {
                return Answer {
                    operation: "Stand",
                    protocol: Protocol::Json,
                    result: Err(Error::internal("detail")),
                };
            }
            _ => {}
        }
        let sum: u64 = raw.body.iter().map(|byte| u64::from(*byte)).sum();
        let reply = format!("{{\"length\":{},\"sum\":{sum}}}", raw.body.len());
        Answer {
            operation: "Stand",
            protocol: Protocol::Json,
            result: Ok(Zeroizing::new(reply.into_bytes())),
        }
    }

    fn outlives_client(headers: &http::HeaderMap) -> bool {
        headers.get("x-amz-target").is_none_or(|target| target != "wait, reading")
    }
}

/// A listener with the stand-in behind it, on a free port.
pub async fn listen(limits: Limits) -> (HttpListener, Arc<Stand>) {
    let stand = Stand::new();
    let free = "127.0.0.1:0".parse().unwrap();
    (HttpListener::start(Arc::clone(&stand), free, None, limits).await.unwrap(), stand)
}

/// An answer as it came off the wire.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

pub async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

pub async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: impl AsRef<[u8]>) {
    stream.write_all(bytes.as_ref()).await.unwrap();
}

/// Reads one response that tells its length.
pub async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Response {
    timeout(PATIENCE, async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a response head"));
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut response = Response { status, headers, body: String::new() };
        let length = response.header("content-length").unwrap_or("0").parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        response.body = String::from_utf8(body).unwrap();
        response
    })
    .await
    .expect("a response in time")
}

/// Waits until the server closes the connection; panics when it sends something first.
pub async fn closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    // A reset is a close too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("a close in time");
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

/// The head and body of a call.
pub fn call(target: &str, body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: {target}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
