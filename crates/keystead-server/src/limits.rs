//! What one client may cost the server: sizes, times and counts.

use std::time::Duration;

use serde::Deserialize;

/// The limits of the main listener, each settable in `[limits]` of the configuration file.
///
/// Together they bound what a hostile client can hold: one connection, its header buffer, and one request
/// body per stream, for no longer than the sum of the timeouts.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest request body, in bytes. Larger ones get `RequestEntityTooLargeException`. The largest
    /// legal KMS request carries a policy of 128 KiB or an attestation document of 256 KiB in base64.
    pub request_body_bytes: u32,
    /// What bodies that arrive in pieces may hold of memory, of all connections together, in bytes. A body
    /// for which nothing is left gets `ServiceUnavailable`; one that arrives whole, as those of a usual
    /// size do, does not count.
    pub body_memory_bytes: u32,
    /// How much of a body that is too large is read and thrown away, in bytes, so that a client which
    /// writes all of it before it reads gets the answer instead of a reset connection.
    pub drain_bytes: u32,
    /// The largest request head, in bytes: at least 8192. Also the size of a connection's buffers.
    pub header_bytes: u32,
    /// The most headers in a request.
    pub headers: u16,
    /// From the first byte of a request to the end of its head, in milliseconds; also the time a new
    /// connection has for its first byte, and for its TLS handshake.
    pub header_timeout_ms: u32,
    /// From the end of the head to the end of the body, in milliseconds.
    pub body_timeout_ms: u32,
    /// How long a connection may stand without a request, or without reading its answer, in
    /// milliseconds. Longer than the pools of the SDKs keep theirs, so that the client closes first.
    pub idle_timeout_ms: u32,
    /// The most connections at one time. While they are taken no further one is accepted: new ones wait
    /// in the kernel's backlog, which holds 1024 more before it ignores connection attempts. Fewer where
    /// the operating system's bound of open files leaves room for fewer.
    pub connections: u32,
    /// The most concurrent streams of one HTTP/2 connection.
    pub http2_streams: u32,
    /// How long a shutdown waits for requests in flight, in milliseconds.
    pub shutdown_timeout_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_body_bytes: 1024 * 1024,
            body_memory_bytes: 256 * 1024 * 1024,
            drain_bytes: 16 * 1024 * 1024,
            header_bytes: 64 * 1024,
            headers: 100,
            header_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            idle_timeout_ms: 120_000,
            connections: 1024,
            http2_streams: 128,
            shutdown_timeout_ms: 30_000,
        }
    }
}

impl Limits {
    /// The name and complaint of the first limit with which the server could not work.
    pub(crate) fn fault(&self) -> Option<(&'static str, &'static str)> {
        let positive = [
            ("request_body_bytes", self.request_body_bytes),
            ("headers", self.headers.into()),
            ("header_timeout_ms", self.header_timeout_ms),
            ("body_timeout_ms", self.body_timeout_ms),
            ("idle_timeout_ms", self.idle_timeout_ms),
            ("connections", self.connections),
            ("http2_streams", self.http2_streams),
        ];
        if let Some((name, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Some((name, "must not be 0"));
        }
        // While a body grows, its old and its new block exist together.
        if u64::from(self.body_memory_bytes) < 2 * u64::from(self.request_body_bytes) {
            return Some(("body_memory_bytes", "must be at least twice request_body_bytes"));
        }
        if self.header_bytes < 8192 {
            return Some(("header_bytes", "must be at least 8192"));
        }
        // The head is parsed again with each piece that arrives, so its size is kept moderate.
        if self.header_bytes > 1024 * 1024 {
            return Some(("header_bytes", "must be at most 1048576"));
        }
        None
    }

    pub(crate) fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header_timeout_ms.into())
    }

    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms.into())
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms.into())
    }

    pub(crate) fn shutdown_timeout(&self) -> Duration {
        Duration::from_millis(self.shutdown_timeout_ms.into())
    }
}
