//! The main listener: accepting, the life of a connection, shutdown.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use crate::body::Room;
use crate::http::{Answerer, Front, Peer};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::pulse::{Pulse, Watched};

/// How long an expired connection may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long accepting rests after an error of the kernel, such as running out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Serves until `stop` turns true, then until the requests in flight are answered or
/// `shutdown_timeout_ms` is over. Returns whether everything ended in time.
pub(crate) async fn serve<A: Answerer>(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    answerer: Arc<A>,
    limits: Limits,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) -> bool {
    let (alive, mut ended) = mpsc::channel::<Infallible>(1);
    let patience = limits.shutdown_timeout();
    let room = Arc::new(Semaphore::new(limits.connections as usize));
    let protocol = Arc::new(protocol(&limits));
    let tls = tls.map(TlsAcceptor::from);
    let body_room = Room::new(limits.body_memory_bytes);
    let front =
        Arc::new(Front { answerer, limits, metrics: Arc::clone(&metrics), body_room, alive });

    let mut failing = false;
    loop {
        let permit = match Arc::clone(&room).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                metrics.accept_pauses.inc();
                tracing::debug!("connection limit reached, new connections wait");
                tokio::select! {
                    permit = Arc::clone(&room).acquire_owned() => match permit {
                        Ok(permit) => permit,
                        Err(_) => break,
                    },
                    _ = stop.wait_for(|stop| *stop) => break,
                }
            }
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Once, not ten times a second for as long as it lasts.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept connections at present");
                }
                sleep(ACCEPT_REST).await;
                continue;
            }
        };
        failing = false;
        metrics.accepted.inc();
        let connection = Connection {
            front: Arc::clone(&front),
            protocol: Arc::clone(&protocol),
            peer,
            stop: stop.clone(),
        };
        let (tls, metrics) = (tls.clone(), Arc::clone(&metrics));
        tokio::spawn(async move {
            metrics.connections.inc();
            connection.run(stream, tls).await;
            metrics.connections.dec();
            drop(permit);
        });
    }

    drop(listener);
    drop(front);
    // Every connection and every call holds a sender through the front; none ever sends.
    timeout(patience, ended.recv()).await.is_ok()
}

fn protocol(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // A `Pulse` tells a slow head from an idle connection; hyper's timer does not.
        .header_read_timeout(None)
        .max_headers(limits.headers.into())
        // Bounds the head, there is no setting of its own here.
        .max_buf_size(limits.header_bytes as usize)
        // Otherwise replies would be copied into a buffer that lives as long as the connection.
        .writev(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(limits.header_bytes)
        // One body per stream within the window: what a connection can make the server hold.
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_local_error_reset_streams(Some(64))
        .max_pending_accept_reset_streams(Some(32));
    builder
}

struct Connection<A> {
    front: Arc<Front<A>>,
    protocol: Arc<auto::Builder<TokioExecutor>>,
    peer: SocketAddr,
    stop: watch::Receiver<bool>,
}

impl<A: Answerer> Connection<A> {
    async fn run(mut self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        // Answers are small and written whole: waiting to fill a packet only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let Some(tls) = tls else { return self.drive(stream, false).await };
        let patience = self.front.limits.header_timeout();
        let handshake = tokio::select! {
            handshake = timeout(patience, tls.accept(stream)) => handshake,
            _ = self.stop.wait_for(|stop| *stop) => return,
        };
        match handshake {
            Ok(Ok(stream)) => self.drive(stream, true).await,
            Ok(Err(error)) => {
                self.front.metrics.handshake_failures.inc();
                tracing::debug!(peer = %self.peer, %error, "TLS handshake failed");
            }
            Err(_) => {
                self.front.metrics.handshake_failures.inc();
                tracing::debug!(peer = %self.peer, "TLS handshake timed out");
            }
        }
    }

    /// Polls the connection, and beside it the two things that end it from our side: the shutdown, and
    /// the deadline of its [`Pulse`].
    async fn drive<T: AsyncRead + AsyncWrite + Unpin + 'static>(mut self, stream: T, secure: bool) {
        let pulse = Pulse::new(&self.front.limits);
        let recheck = self.front.limits.header_timeout();
        let service = {
            let (front, pulse) = (Arc::clone(&self.front), Arc::clone(&pulse));
            let peer = Peer { address: self.peer.ip(), secure };
            service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let (front, in_flight) = (Arc::clone(&front), pulse.begin(request.version()));
                async move { Ok::<_, Infallible>(front.handle(request, peer, in_flight).await) }
            })
        };
        let stream = TokioIo::new(Watched { stream, pulse: Arc::clone(&pulse) });
        let mut connection = pin!(self.protocol.serve_connection(stream, service));
        let mut stop = pin!(self.stop.wait_for(|stop| *stop));
        let mut stopping = false;
        let mut leaving = false;
        let mut armed = Instant::now() + recheck;
        let mut timer = pin!(sleep_until(armed));

        std::future::poll_fn(|cx| {
            loop {
                if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                    if let Err(error) = ended {
                        tracing::debug!(peer = %self.peer, %error, "connection ended");
                    }
                    return Poll::Ready(());
                }
                if !stopping && stop.as_mut().poll(cx).is_ready() {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
                let deadline = pulse.deadline();
                if let Some(deadline) = deadline
                    && deadline < armed
                    && !leaving
                {
                    armed = deadline;
                    timer.as_mut().reset(armed);
                }
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let now = Instant::now();
                match deadline {
                    // It works, or has started to since the timer was set: look again later.
                    None => armed = now + recheck,
                    Some(_) if leaving => return Poll::Ready(()),
                    Some(deadline) if deadline <= now => {
                        self.front.metrics.timeouts.inc();
                        leaving = true;
                        armed = now + FAREWELL.min(recheck);
                        connection.as_mut().graceful_shutdown();
                    }
                    Some(deadline) => armed = deadline,
                }
                timer.as_mut().reset(armed);
            }
        })
        .await;
    }
}
