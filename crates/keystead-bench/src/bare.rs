//! The bare server: the least that hyper can do for the same traffic. It reads each request body whole and
//! answers with as many bytes as the path says (`POST /512`), under headers like those of Keystead.
//!
//! Library, connection settings and runtime are those of `keystead-server`'s listener; timeouts, limits,
//! metrics, request ids, graceful shutdown and the wiping of memory are missing on purpose: what they cost
//! belongs to Keystead's side of the comparison.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::process;
use std::thread;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, EXPIRES, HeaderValue, PRAGMA};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

/// The longest answer.
const LIMIT: usize = 1024 * 1024;

/// Serves until standard input ends, so that no server outlives the program that started it.
///
/// # Errors
/// No runtime, or no port.
pub(crate) fn serve() -> Result<()> {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin().lock().take(u64::MAX), &mut io::sink());
        process::exit(0);
    });
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(accept())
}

async fn accept() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen")?;
    let address = listener.local_addr().context("cannot listen")?;
    let mut out = io::stdout().lock();
    writeln!(out, "bare server ready on http://{address}").context("cannot say where")?;
    out.flush().context("cannot say where")?;
    drop(out);

    let answers = Bytes::from(vec![b'x'; LIMIT]);
    loop {
        let (stream, _) = listener.accept().await.context("cannot accept")?;
        let answers = answers.clone();
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let mut protocol = auto::Builder::new(TokioExecutor::new());
            protocol
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(None)
                .max_headers(100)
                .max_buf_size(64 * 1024)
                .writev(true);
            let service = service_fn(move |request| answer(request, answers.clone()));
            let _ = protocol.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    answers: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let length = wanted(request.uri().path());
    let read = request.into_body().collect().await.is_ok();
    let (status, body) = match length {
        Some(length) if read => (StatusCode::OK, answers.slice(..length)),
        _ => (StatusCode::BAD_REQUEST, Bytes::new()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(6);
    headers.insert(
        "x-amzn-requestid",
        HeaderValue::from_static("00000000-0000-4000-8000-000000000000"),
    );
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate, private"),
    );
    headers.insert(EXPIRES, HeaderValue::from_static("0"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// How many bytes a path asks for.
fn wanted(path: &str) -> Option<usize> {
    let length = path.strip_prefix('/')?.parse().ok()?;
    (length <= LIMIT).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_a_length() {
        assert_eq!(wanted("/0"), Some(0));
        assert_eq!(wanted("/512"), Some(512));
        for path in ["", "/", "/x", "/-1", "/1048577", "/99999999999999999999"] {
            assert_eq!(wanted(path), None, "{path}");
        }
    }
}
