//! The key sets of identity providers: read from files, and from HTTP servers of this machine.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::header::{ACCEPT, HOST};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use keystead_identity::{JwksSource, read_key_set};
use keystead_service::{KeySetError, KeySets, MAX_KEY_SET_BYTES, ReadingKeySet};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::timeout;

/// How long a key set may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Files and loopback addresses of the machine that this program runs on.
#[derive(Debug)]
pub(crate) struct Machine;

impl KeySets for Machine {
    fn read<'a>(&'a self, source: &'a JwksSource) -> ReadingKeySet<'a> {
        Box::pin(async move {
            let reading = async {
                match source {
                    JwksSource::File(path) => {
                        let path = path.clone();
                        let read = spawn_blocking(move || read_key_set(&path)).await?;
                        Ok(read.map_err(anyhow::Error::msg)?.into_bytes())
                    }
                    JwksSource::Url(url) => fetch(url).await,
                }
            };
            match timeout(PATIENCE, reading).await {
                Ok(Ok(bytes)) => Ok(bytes),
                Ok(Err(error)) => Err(KeySetError::Unreadable(format!("{error:#}"))),
                Err(_) => Err(KeySetError::Timeout),
            }
        })
    }
}

/// One GET over a connection of its own. Redirects are not followed: they could lead elsewhere.
async fn fetch(url: &str) -> anyhow::Result<Vec<u8>> {
    let uri: Uri = url.parse().context("the URL")?;
    let authority = uri.authority().context("the URL has no host")?;
    ensure!(uri.scheme_str() == Some("http"), "the URL is not one of http");
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = connect(host, authority.port_u16().unwrap_or(80)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.context("HTTP")?;
    // Ends with this function, whichever way it ends.
    let _connection = Task(
        tokio::spawn(async move {
            // What goes wrong is told by the answer, which does not come.
            let _ = connection.await;
        })
        .abort_handle(),
    );
    let request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(HOST, authority.as_str())
        .header(ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await.context("no answer")?;
    if response.status() != StatusCode::OK {
        bail!("the answer is {}", response.status());
    }
    let body = Limited::new(response.into_body(), MAX_KEY_SET_BYTES).collect().await;
    match body {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(error) => bail!("the answer broke off or is too long: {error}"),
    }
}

/// A connection to a loopback address, whatever the name resolves to.
async fn connect(host: &str, port: u16) -> anyhow::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    for address in addresses.into_iter().filter(|address| address.ip().is_loopback()) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last).context("cannot connect")
}

struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers one request with these bytes, and what it was asked.
    async fn server(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/keys?x=1", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let read = stream.read(&mut asked).await.unwrap();
            // The client may have had enough before the end.
            let _ = stream.write_all(&answer).await;
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        (url, asked)
    }

    async fn read(url: String) -> Result<Vec<u8>, KeySetError> {
        Machine.read(&JwksSource::Url(url)).await
    }

    #[tokio::test]
    async fn a_key_set_is_fetched_from_this_machine() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_vec();
        let (url, asked) = server(answer).await;
        assert_eq!(read(url.clone()).await.unwrap(), b"{}");
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("GET /keys?x=1 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains(url.strip_prefix("http://").unwrap().split('/').next().unwrap()));
    }

    #[tokio::test]
    async fn other_answers_are_no_key_sets() {
        let long = [
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MAX_KEY_SET_BYTES + 1).into(),
            vec![b' '; MAX_KEY_SET_BYTES + 1],
        ];
        for answer in [
            b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"
                .to_vec(),
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
            b"nonsense\r\n\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}".to_vec(),
            long.concat(),
        ] {
            let (url, _asked) = server(answer).await;
            assert!(matches!(read(url).await, Err(KeySetError::Unreadable(_))));
        }
        for url in ["http://192.0.2.1/jwks", "https://127.0.0.1/jwks", "http://127.0.0.1:1/"] {
            assert!(matches!(read(url.to_owned()).await, Err(KeySetError::Unreadable(_))), "{url}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_is_not_waited_for() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        assert!(matches!(read(url).await, Err(KeySetError::Timeout)));
    }

    #[tokio::test]
    async fn files_are_read_if_they_can_be_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        let source = JwksSource::File(path.clone());
        assert!(matches!(Machine.read(&source).await, Err(KeySetError::Unreadable(_))));
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(Machine.read(&source).await.unwrap(), b"{}");
        std::fs::write(&path, vec![b' '; MAX_KEY_SET_BYTES + 1]).unwrap();
        assert!(matches!(Machine.read(&source).await, Err(KeySetError::Unreadable(_))));
    }
}
