//! What a connection waits for, and until when it may.
//!
//! hyper's own header timer covers a started head and an idle connection alike, and costs a timer per
//! request. A [`Pulse`] tells the two apart and costs the usual request two atomic writes: the timer of the
//! connection is touched only when a deadline moves *forward* in time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::limits::Limits;

/// The state of one connection as its timer sees it.
///
/// Only the tasks of one connection write here and each field stands alone, hence the relaxed ordering.
pub(crate) struct Pulse {
    born: Instant,
    header_timeout: Duration,
    idle_timeout: Duration,
    /// Requests whose answer hyper has not taken yet.
    in_flight: AtomicU32,
    waiting: AtomicU8,
    /// When the present wait began, in milliseconds after `born`.
    since: AtomicU64,
}

/// A new connection: nothing has been read yet.
const FRESH: u8 = 0;
/// HTTP/1: a head is being read.
const HEAD: u8 = 1;
/// Between two requests, or the last answer is still being written.
const IDLE: u8 = 2;
/// HTTP/2: bytes between requests are control frames, and say nothing about a head.
const MULTIPLEXED: u8 = 3;

impl Pulse {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            header_timeout: limits.header_timeout(),
            idle_timeout: limits.idle_timeout(),
            in_flight: AtomicU32::new(0),
            waiting: AtomicU8::new(FRESH),
            since: AtomicU64::new(0),
        })
    }

    /// A request's head is complete.
    pub(crate) fn begin(self: &Arc<Self>, version: Version) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        let next = if version == Version::HTTP_2 { MULTIPLEXED } else { IDLE };
        self.waiting.store(next, Relaxed);
        InFlight { pulse: Arc::clone(self) }
    }

    /// When the client will have kept the connection waiting for too long; `None` while it is the server
    /// that works.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.in_flight.load(Relaxed) > 0 {
            return None;
        }
        let patience = match self.waiting.load(Relaxed) {
            FRESH | HEAD => self.header_timeout,
            _ => self.idle_timeout,
        };
        Some(self.born + Duration::from_millis(self.since.load(Relaxed)) + patience)
    }

    fn arrived(&self, bytes: &[u8]) {
        match self.waiting.load(Relaxed) {
            // The preface of HTTP/2 begins with a method that no other request has (RFC 9113, 3.4).
            FRESH if bytes.starts_with(b"PRI") => {
                self.waiting.store(MULTIPLEXED, Relaxed);
                self.mark();
            }
            IDLE if self.in_flight.load(Relaxed) > 0 => {}
            FRESH | IDLE => {
                self.waiting.store(HEAD, Relaxed);
                self.mark();
            }
            _ => {}
        }
    }

    fn mark(&self) {
        let since = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since.store(since, Relaxed);
    }
}

/// A request on its way; dropping it starts the idle time of its connection.
pub(crate) struct InFlight {
    pulse: Arc<Pulse>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.pulse.mark();
        self.pulse.in_flight.fetch_sub(1, Relaxed);
    }
}

/// A stream that tells its pulse of each arrival.
pub(crate) struct Watched<T> {
    pub(crate) stream: T,
    pub(crate) pulse: Arc<Pulse>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(bytes) = buf.filled().get(before..)
            && !bytes.is_empty()
        {
            self.pulse.arrived(bytes);
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse() -> Arc<Pulse> {
        Pulse::new(&Limits { header_timeout_ms: 10, idle_timeout_ms: 1000, ..Limits::default() })
    }

    fn patience(pulse: &Pulse) -> Option<u128> {
        let began = pulse.born + Duration::from_millis(pulse.since.load(Relaxed));
        pulse.deadline().map(|deadline| (deadline - began).as_millis())
    }

    #[test]
    fn a_head_is_hurried_and_an_idle_connection_is_not() {
        let pulse = pulse();
        assert_eq!(patience(&pulse), Some(10));
        pulse.arrived(b"POST / HT");
        assert_eq!(patience(&pulse), Some(10));
        let request = pulse.begin(Version::HTTP_11);
        assert_eq!(patience(&pulse), None);
        pulse.arrived(b"body");
        drop(request);
        assert_eq!(patience(&pulse), Some(1000));
        pulse.arrived(b"P");
        assert_eq!(patience(&pulse), Some(10));
    }

    #[test]
    fn frames_between_http2_requests_are_not_a_head() {
        let pulse = pulse();
        pulse.arrived(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert_eq!(patience(&pulse), Some(1000));
        let (one, two) = (pulse.begin(Version::HTTP_2), pulse.begin(Version::HTTP_2));
        drop(one);
        assert_eq!(patience(&pulse), None);
        drop(two);
        pulse.arrived(b"\0\0\x08\x06\0\0\0\0\0");
        assert_eq!(patience(&pulse), Some(1000));
    }
}
