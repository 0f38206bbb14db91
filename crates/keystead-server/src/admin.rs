//! The admin listener: liveness, readiness, metrics, explanations of decisions and, in `dev`, the clock.
//! Plain HTTP on loopback.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ORIGIN};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use keystead_service::explain::Question;
use keystead_service::{Clock, Fault, MovableClock, Service};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::metrics::Metrics;

/// The largest move of the clock, in bytes.
const MAX_BODY: usize = 1024;

/// The largest question what would be decided, in bytes: an encryption context may have 8,192, grant
/// tokens 10 times as much.
const MAX_QUESTION: usize = 128 * 1024;

/// The most connections at one time.
const MAX_CONNECTIONS: usize = 32;

/// How long a head or a body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// 9999-12-31T23:59:59Z in milliseconds: the last instant that RFC 3339 can write.
const LAST_INSTANT: i64 = 253_402_300_799_000;

/// What the admin listener shows and moves.
pub(crate) struct Admin {
    pub(crate) metrics: Arc<Metrics>,
    /// Why the server cannot do its work at present, if it cannot.
    pub(crate) unhealthy: Box<dyn Fn() -> Option<String> + Send + Sync>,
    /// What does not keep the server from its work, and yet needs somebody's attention.
    pub(crate) complaints: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Whether a shutdown has begun.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Absent outside `dev`.
    pub(crate) clock: Option<DevClock>,
    /// Whoever is asked what would be decided.
    pub(crate) service: Arc<Service>,
}

/// A clock that may be moved, and what has to follow a move before it is answered.
pub(crate) struct DevClock {
    pub(crate) clock: Arc<MovableClock>,
    pub(crate) sweep: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

/// A move of the clock.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Move {
    /// Seconds to add, negative to go back.
    AdvanceSeconds(f64),
    /// Seconds since the Unix epoch.
    Set(f64),
}

/// Serves until `stop` turns true.
pub(crate) async fn serve(
    listener: TcpListener,
    admin: Arc<Admin>,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let admin = Arc::clone(&admin);
        let mut stop = stop.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let admin = Arc::clone(&admin);
                async move { Ok::<_, Infallible>(admin.handle(request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = connection => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
            drop(permit);
        });
    }
}

impl Admin {
    async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        // No browser has business here: a page could otherwise move the clock of a developer's machine.
        if request.headers().contains_key(ORIGIN) {
            return plain(StatusCode::FORBIDDEN, "requests of web pages are refused\n");
        }
        let path = request.uri().path().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::GET, "/livez") => plain(StatusCode::OK, "ok\n"),
            (&Method::GET, "/readyz") => self.ready(),
            (&Method::GET, "/metrics") => self.metrics(),
            (&Method::GET | &Method::POST, "/clock") => match &self.clock {
                None => plain(StatusCode::FORBIDDEN, "the clock can be moved in dev only\n"),
                Some(clock) if request.method() == Method::POST => clock.post(request).await,
                Some(clock) => clock.show(),
            },
            (&Method::POST, "/explain") => self.explain(request).await,
            (_, "/livez" | "/readyz" | "/metrics" | "/clock" | "/explain") => {
                let mut response =
                    plain(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method\n");
                let allowed = match path.as_str() {
                    "/clock" => "GET, POST",
                    "/explain" => "POST",
                    _ => "GET",
                };
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
                response
            }
            _ => {
                plain(StatusCode::NOT_FOUND, "/livez, /readyz, /metrics, /explain, /clock (dev)\n")
            }
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        if *self.stopping.borrow() {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n");
        }
        match (self.unhealthy)() {
            None => {
                let lines = ["ok".to_owned()].into_iter().chain((self.complaints)());
                plain(StatusCode::OK, lines.map(|line| line + "\n").collect::<String>())
            }
            Some(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        }
    }

    /// Whether a principal would be allowed. Nothing of the question is logged: it holds encryption
    /// context and grant tokens.
    async fn explain(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let body = match whole(request.into_body(), MAX_QUESTION, PATIENCE).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let question = match serde_json::from_slice::<Question>(&body) {
            Ok(question) => question,
            // Its text may repeat a value of the question, to whoever sent that.
            Err(error) => {
                return plain(StatusCode::BAD_REQUEST, format!("no question: {error}\n"));
            }
        };
        match self.service.explain(&question).await {
            Ok(answer) => match serde_json::to_vec(&answer) {
                Ok(json) => respond(StatusCode::OK, "application/json", json),
                Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "cannot write the answer\n"),
            },
            Err(error) if error.fault() == Fault::Client => {
                let text = error.message().unwrap_or_else(|| error.type_name());
                plain(StatusCode::BAD_REQUEST, format!("{text}\n"))
            }
            Err(error) => {
                tracing::error!(detail = error.detail(), "a decision cannot be explained");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "the decision cannot be explained\n")
            }
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        match self.metrics.encode() {
            Ok(text) => respond(
                StatusCode::OK,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                text,
            ),
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "cannot encode the metrics\n"),
        }
    }
}

impl DevClock {
    async fn post(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let body = match whole(request.into_body(), MAX_BODY, PATIENCE).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let Ok(change) = serde_json::from_slice::<Move>(&body) else {
            return plain(
                StatusCode::BAD_REQUEST,
                "expected {\"advance_seconds\": N} or {\"set\": SECONDS_SINCE_EPOCH}\n",
            );
        };
        let now = self.clock.now();
        let moved = match change {
            Move::AdvanceSeconds(seconds) => {
                milliseconds(seconds).and_then(|by| now.checked_add(by))
            }
            Move::Set(seconds) => milliseconds(seconds),
        };
        let Some(target) = moved.filter(|target| (0..=LAST_INSTANT).contains(target)) else {
            return plain(StatusCode::BAD_REQUEST, "that lies outside the years 1970 to 9999\n");
        };
        match change {
            // By the difference, not to the target, so that the clock keeps running meanwhile.
            Move::AdvanceSeconds(_) => self.clock.advance(target - now),
            Move::Set(_) => self.clock.set(target),
        }
        tracing::info!(from = now, to = target, "clock moved");
        // Whoever moved the clock past a deletion date finds the key gone when this is answered.
        (self.sweep)().await;
        self.show()
    }

    fn show(&self) -> Response<Full<Bytes>> {
        let now = self.clock.now();
        let text = format!("{{\"now\": {}.{:03}}}\n", now.div_euclid(1000), now.rem_euclid(1000));
        respond(StatusCode::OK, "application/json", text)
    }
}

/// Reads a body within its limits of size and time: who holds a connection without end would keep the
/// probes out.
async fn whole<B>(body: B, most: usize, patience: Duration) -> Result<Bytes, Response<Full<Bytes>>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match timeout(patience, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => {
            Err(plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long or broke off\n"))
        }
        Err(_) => Err(plain(StatusCode::REQUEST_TIMEOUT, "the body is too slow\n")),
    }
}

/// Seconds to milliseconds; `None` when they are not a number of a sane size.
fn milliseconds(seconds: f64) -> Option<i64> {
    let milliseconds = (seconds * 1000.0).round();
    // 2^53: up to here every whole number is exact.
    #[allow(clippy::cast_possible_truncation, reason = "whole and within 2^53, as checked")]
    (milliseconds.abs() < 9_007_199_254_740_992.0).then_some(milliseconds as i64)
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", text)
}

fn respond(
    status: StatusCode,
    content_type: &'static str,
    text: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn moves_are_one_of_two_members() {
        let parse = |text| serde_json::from_str::<Move>(text).ok();
        assert_eq!(parse(r#"{"advance_seconds": 1.5}"#), Some(Move::AdvanceSeconds(1.5)));
        assert_eq!(parse(r#"{"set": 1700000000}"#), Some(Move::Set(1_700_000_000.0)));
        assert_eq!(parse(r#"{"set": 1, "advance_seconds": 1}"#), None);
        assert_eq!(parse(r#"{"set": "1"}"#), None);
        assert_eq!(parse("{}"), None);
    }

    #[tokio::test]
    async fn bodies_are_bounded_in_size_and_time() {
        struct Silent;

        impl Body for Silent {
            type Data = Bytes;
            type Error = Infallible;

            fn poll_frame(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>>
            {
                std::task::Poll::Pending
            }
        }

        let short = Duration::from_millis(1);
        assert_eq!(whole(Silent, MAX_BODY, short).await.unwrap_err().status(), 408);
        let full = |length| Full::new(Bytes::from(vec![b'x'; length]));
        assert_eq!(whole(full(MAX_BODY), MAX_BODY, PATIENCE).await.unwrap().len(), MAX_BODY);
        assert_eq!(whole(full(MAX_BODY + 1), MAX_BODY, PATIENCE).await.unwrap_err().status(), 413);
    }

    #[test]
    fn seconds_become_milliseconds() {
        assert_eq!(milliseconds(1.5), Some(1500));
        assert_eq!(milliseconds(-0.0004), Some(0));
        assert_eq!(milliseconds(1e300), None);
        assert_eq!(milliseconds(f64::NAN), None);
    }
}
