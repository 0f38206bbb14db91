//! One request of the main listener: route, body, answer.

use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_util::FutureExt;
use http::header::{EXPECT, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response};
use hyper::body::{Body, Incoming};
use keystead_service::{Answer, Protocol, RawRequest, RequestId, Service};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::body::{self, BodyError, ReplyBody, RequestBody, Room};
use crate::limits::Limits;
use crate::metrics::{Metrics, SUCCESS};
use crate::pulse::InFlight;
use crate::reply::{self, Refusal};

/// What answers requests: the service, or a test's stand-in.
pub trait Answerer: Send + Sync + 'static {
    /// Answers one request.
    fn answer<'a>(
        self: &'a Arc<Self>,
        raw: RawRequest<'a>,
    ) -> impl Future<Output = Answer> + Send + 'a;

    /// Whether an answer is to be worked out to its end even when the client is gone, because it
    /// may change something.
    fn outlives_client(_headers: &HeaderMap) -> bool {
        true
    }
}

impl Answerer for Service {
    fn answer<'a>(
        self: &'a Arc<Self>,
        raw: RawRequest<'a>,
    ) -> impl Future<Output = Answer> + Send + 'a {
        Service::answer(self, raw)
    }

    fn outlives_client(headers: &HeaderMap) -> bool {
        let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
        target.is_some_and(|target| !Service::is_read_only(target))
    }
}

/// Held by everything a shutdown has to wait for.
pub(crate) type Alive = mpsc::Sender<std::convert::Infallible>;

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// Whether the connection is under TLS.
    pub(crate) secure: bool,
}

/// What all requests of a listener share.
pub(crate) struct Front<A> {
    pub(crate) answerer: Arc<A>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    /// What request bodies may hold of memory.
    pub(crate) body_room: Room,
    pub(crate) alive: Alive,
}

impl<A: Answerer> Front<A> {
    /// Answers one request.
    pub(crate) async fn handle(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        in_flight: InFlight,
    ) -> Response<ReplyBody> {
        let response = match (request.method(), request.uri().path()) {
            // A page that rebinds its own host name to this address needs nobody's leave to send any
            // header, and no signature holds it up; but what it posts, a browser marks with its origin.
            (&Method::POST, _) if request.headers().contains_key(ORIGIN) => {
                self.refuse(Refusal::WebPage, request)
            }
            (&Method::POST, "/") => self.call(request, peer).await,
            (&Method::GET, "/healthz") => reply::healthy(),
            _ => self.refuse(Refusal::NoSuchRoute, request),
        };
        response.map(|body| body.ends(in_flight))
    }

    async fn call(&self, mut request: Request<Incoming>, peer: Peer) -> Response<ReplyBody> {
        let limit = self.limits.request_body_bytes as usize;
        let reading = body::collect(request.body_mut(), limit, &self.body_room);
        let body = match timeout(self.limits.body_timeout(), reading).await {
            Ok(Ok(body)) => body,
            Ok(Err(BodyError::TooLarge)) => return self.refuse(Refusal::BodyTooLarge, request),
            Ok(Err(BodyError::Broken)) => return self.refuse(Refusal::BodyBroken, request),
            Ok(Err(BodyError::NoRoom)) => return self.refuse(Refusal::NoRoom, request),
            Err(_) => return self.refuse(Refusal::BodyTimeout, request),
        };
        let version = request.version();
        let (parts, _) = request.into_parts();
        let id = request_id();
        let outlives_client = A::outlives_client(&parts.headers);
        let protocol = Protocol::of(&parts.headers);
        let call = Call::run(
            Arc::clone(&self.answerer),
            Arc::clone(&self.metrics),
            self.alive.clone(),
            parts,
            body,
            peer,
            id,
        );
        let Call { answer, .. } = Finish::new(Box::pin(call), outlives_client).await;
        match answer {
            Some(answer) => reply::answer(answer, &RequestId(id)),
            None => reply::panicked(protocol, version, &RequestId(id)),
        }
    }

    /// Refuses a request whose body was not read to its end.
    fn refuse(&self, refusal: Refusal, request: Request<Incoming>) -> Response<ReplyBody> {
        self.metrics.count("unknown", refusal.type_name());
        let version = request.version();
        // A client that writes all before it reads would find a reset connection in place of the answer,
        // so the rest is read for it, within bounds, while the answer is already on its way. Who asked
        // first (`Expect: 100-continue`) has sent nothing yet, and who was too slow has had his time.
        let worthwhile = matches!(
            refusal,
            Refusal::BodyTooLarge | Refusal::NoRoom | Refusal::NoSuchRoute | Refusal::WebPage
        );
        let unsent = request.headers().contains_key(EXPECT);
        if worthwhile && !unsent && !request.body().is_end_stream() {
            let drain = body::drain(request.into_body(), self.limits.drain_bytes as usize);
            let limit = self.limits.body_timeout();
            let alive = self.alive.clone();
            tokio::spawn(async move {
                let _ = timeout(limit, drain).await;
                drop(alive);
            });
        }
        reply::refuse(refusal, version, &RequestId(request_id()))
    }
}

/// What an operation came to.
struct Call {
    /// `None` if it panicked.
    answer: Option<Answer>,
    /// Until here a shutdown waits.
    _alive: Alive,
}

impl Call {
    /// Owns all it needs, so that it can outlive its connection.
    async fn run<A: Answerer>(
        answerer: Arc<A>,
        metrics: Arc<Metrics>,
        alive: Alive,
        parts: Parts,
        body: RequestBody,
        peer: Peer,
        id: [u8; 16],
    ) -> Self {
        // A guard, since a call may be dropped with its client.
        let in_flight = metrics.one_in_flight();
        let begun = Instant::now();
        let raw = RawRequest {
            method: &parts.method,
            path: parts.uri.path(),
            query: parts.uri.query(),
            authority: parts.uri.authority().map(Authority::as_str),
            headers: &parts.headers,
            body: body.as_ref(),
            source: peer.address,
            request_id: RequestId(id),
            secure: peer.secure,
        };
        // State shared between requests lives in the store, whose commits are atomic, and in caches that
        // its change feed invalidates: neither is torn by unwinding.
        let answer = AssertUnwindSafe(answerer.answer(raw)).catch_unwind().await.ok();
        drop(in_flight);
        let (operation, outcome) = match &answer {
            Some(Answer { operation, result: Ok(_), .. }) => (*operation, SUCCESS),
            Some(Answer { operation, result: Err(error), .. }) => (*operation, error.type_name()),
            None => {
                metrics.panics.inc();
                tracing::error!(request_id = %RequestId(id), "an operation panicked");
                ("unknown", Refusal::Panicked.type_name())
            }
        };
        if let Some(Answer { result: Err(error), .. }) = &answer
            && let Some(detail) = error.detail()
        {
            tracing::error!(request_id = %RequestId(id), operation, outcome, detail, "request failed");
        }
        metrics.count(operation, outcome);
        let took = begun.elapsed();
        metrics.time(operation, took);
        tracing::debug!(
            request_id = %RequestId(id),
            operation,
            outcome,
            micros = took.as_micros(),
            "request"
        );
        Self { answer, _alive: alive }
    }
}

/// Drives a future in the task of its connection and, should the connection go away, hands what is left
/// to a task of its own if it may change something: such an operation is never cut off between two steps.
/// The usual request thus pays one allocation and no switch of tasks. What only reads is dropped.
struct Finish<T: Send + 'static> {
    left: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    outlives_client: bool,
}

impl<T: Send + 'static> Finish<T> {
    fn new(future: Pin<Box<dyn Future<Output = T> + Send>>, outlives_client: bool) -> Self {
        Self { left: Some(future), outlives_client }
    }
}

impl<T: Send + 'static> Future for Finish<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(future) = self.left.as_mut() else { return Poll::Pending };
        let done = ready!(future.as_mut().poll(cx));
        self.left = None;
        Poll::Ready(done)
    }
}

impl<T: Send + 'static> Drop for Finish<T> {
    fn drop(&mut self) {
        // Without a runtime the process is on its way out and nothing can go on.
        if let Some(future) = self.left.take()
            && self.outlives_client
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(future);
        }
    }
}

/// The id of a request, a version 4 UUID (RFC 9562). Uniqueness is all it needs, so a failing random
/// source, which the operation itself will report, is no reason to refuse here.
fn request_id() -> [u8; 16] {
    let mut id = keystead_crypto::random_bytes::<16>().unwrap_or_default();
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    id
}
