//! One keep-alive HTTP/1.1 connection that costs as little CPU as possible: the machine is shared with the
//! server that is measured.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The account of all requests: a 12-digit access key names the account in `keystead dev`.
const ACCOUNT: &str = "111122223333";

/// The most bytes of a response's head, and of its body.
const HEAD_LIMIT: usize = 16 * 1024;
const BODY_LIMIT: usize = 1024 * 1024;

/// A whole request to the API, with the headers an AWS SDK sends. The signature is a fixed one of the right
/// form: `keystead dev` verifies none.
pub(crate) fn api_request(operation: &str, region: &str, body: &str) -> Vec<u8> {
    post("/", operation, region, body.as_bytes())
}

/// The request that asks the bare server for `answer` bytes: the head is that of the API but for the path.
pub(crate) fn bare_request(operation: &str, region: &str, body: &str, answer: usize) -> Vec<u8> {
    post(&format!("/{answer}"), operation, region, body.as_bytes())
}

fn post(path: &str, operation: &str, region: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\n\
         Host: kms.{region}.amazonaws.com\r\n\
         Accept-Encoding: identity\r\n\
         X-Amz-Target: TrentService.{operation}\r\n\
         Content-Type: application/x-amz-json-1.1\r\n\
         User-Agent: Boto3/1.43.11 md/Botocore#1.43.11 ua/2.1 os/linux md/arch#x86_64 lang/python#3.11\r\n\
         X-Amz-Date: 20261124T120000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential={ACCOUNT}/20261124/{region}/kms/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={signature}\r\n\
         Content-Length: {length}\r\n\r\n",
        signature = "5f".repeat(32),
        length = body.len(),
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// A connection between two requests.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A response, until the next request.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Connection {
    /// # Errors
    /// Nobody listens.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let failed = || format!("cannot connect to {address}");
        let stream = TcpStream::connect(address).await.with_context(failed)?;
        stream.set_nodelay(true).with_context(failed)?;
        Ok(Self { stream, received: Vec::with_capacity(HEAD_LIMIT) })
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    /// The connection broke, or what came is no response this client understands.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Response<'_>> {
        self.stream.write_all(request).await.context("cannot send")?;
        self.received.clear();
        let head = loop {
            self.receive().await?;
            if let Some(head) = Head::parse(&self.received)? {
                break head;
            }
            ensure!(self.received.len() <= HEAD_LIMIT, "the head of a response never ends");
        };
        let end = head.length + head.body_length;
        while self.received.len() < end {
            self.receive().await?;
        }
        ensure!(self.received.len() == end, "more than one response came");
        Ok(Response { status: head.status, body: &self.received[head.length..end] })
    }

    async fn receive(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.received).await.context("cannot receive")?;
        ensure!(read > 0, "the server closed the connection");
        Ok(())
    }
}

/// The part of a response's head that matters here (RFC 9112).
#[derive(Debug, Eq, PartialEq)]
struct Head {
    status: u16,
    /// Of the head itself, in bytes.
    length: usize,
    body_length: usize,
}

impl Head {
    /// `None` if its end has not come yet.
    fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes[..end]).context("the head is no text")?;
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 "))
            .and_then(|rest| rest.get(..3))
            .and_then(|code| code.parse().ok())
            .context("no status line of HTTP/1.1")?;
        let mut body_length = None;
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { bail!("not a header: {line}") };
            if name.eq_ignore_ascii_case("content-length") {
                let value = value.trim().parse::<usize>().context("not a content length")?;
                ensure!(value <= BODY_LIMIT, "a body of {value} bytes");
                body_length = Some(value);
            } else if name.eq_ignore_ascii_case("connection") {
                ensure!(!value.trim().eq_ignore_ascii_case("close"), "the server wants to close");
            }
        }
        let body_length = body_length.context("a response without content length")?;
        Ok(Some(Self { status, length: end + 4, body_length }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_once_complete() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-type: a\r\nContent-LENGTH:  12 \r\n\r\nbody";
        for cut in 0..whole.len() - 4 {
            assert_eq!(Head::parse(&whole[..cut]).unwrap(), None, "{cut}");
        }
        assert_eq!(
            Head::parse(whole).unwrap(),
            Some(Head { status: 200, length: whole.len() - 4, body_length: 12 })
        );
        let error = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(Head::parse(error).unwrap().unwrap().status, 400);
    }

    #[test]
    fn heads_that_cannot_be_relied_on_are_refused() {
        for head in [
            "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\ncontent-length: 1\r\n\r\n",
            "HTTP/1.1 20\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert!(Head::parse(head.as_bytes()).is_err(), "{head}");
        }
    }

    #[test]
    fn a_bare_request_differs_in_its_path_alone() {
        let api = String::from_utf8(api_request("Encrypt", "us-east-1", "{}")).unwrap();
        let bare = String::from_utf8(bare_request("Encrypt", "us-east-1", "{}", 512)).unwrap();
        assert_eq!(api.replacen("POST / ", "POST /512 ", 1), bare);
        assert!(api.ends_with("Content-Length: 2\r\n\r\n{}"));
    }
}
