//! Request bodies on their way in and replies on their way out, neither left behind in memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::pulse::InFlight;

/// Why a request body could not be read.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// It is longer than the limit, or says so.
    TooLarge,
    /// The client went away or broke the framing.
    Broken,
    /// Bodies on their way in hold all the memory they may.
    NoRoom,
}

/// A whole request body.
pub(crate) enum RequestBody {
    /// It came in one frame and lies where hyper read it: nothing was copied. That memory is the read
    /// buffer of the connection; the allocator of the program wipes it when the buffer is let go.
    Frame(Bytes),
    /// It came in pieces.
    Joined(Joined),
}

/// Pieces put together, with the room they take.
pub(crate) struct Joined {
    bytes: Zeroizing<Vec<u8>>,
    _share: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for RequestBody {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Frame(bytes) => bytes,
            Self::Joined(joined) => &joined.bytes,
        }
    }
}

/// The memory that bodies in pieces may hold, of all connections together. Without it the limits of one
/// connection times their number would be many times what a machine has: over HTTP/2 each stream
/// may bring a body.
#[derive(Clone)]
pub(crate) struct Room(Arc<Semaphore>);

/// What a body is given room for at first, and the unit of [`Room`], in bytes.
const BLOCK: usize = 16 * 1024;

impl Room {
    pub(crate) fn new(bytes: u32) -> Self {
        Self(Arc::new(Semaphore::new((bytes as usize).div_ceil(BLOCK))))
    }

    /// Room for so many bytes, or none: waiting for it would let those who hold some wait for each other.
    fn share(&self, bytes: usize) -> Result<OwnedSemaphorePermit, BodyError> {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).map_err(|_| BodyError::NoRoom)?;
        Arc::clone(&self.0).try_acquire_many_owned(blocks).map_err(|_| BodyError::NoRoom)
    }
}

/// Whether the body announces more than `limit` bytes, before any of it is read.
pub(crate) fn announces_more(incoming: &Incoming, limit: usize) -> bool {
    incoming.size_hint().lower() > limit as u64
}

/// Reads a body of at most `limit` bytes. One in pieces takes its share of `room` as it arrives, not as it
/// is announced: an announcement costs the client nothing.
pub(crate) async fn collect(
    incoming: &mut Incoming,
    limit: usize,
    room: &Room,
) -> Result<RequestBody, BodyError> {
    if announces_more(incoming, limit) {
        return Err(BodyError::TooLarge);
    }
    let Some(first) = next_data(incoming).await? else {
        return Ok(RequestBody::Frame(Bytes::new()));
    };
    if first.len() > limit {
        return Err(BodyError::TooLarge);
    }
    if incoming.is_end_stream() {
        return Ok(RequestBody::Frame(first));
    }
    // INVARIANT: the announced length is at most `limit`, see above.
    let announced = usize::try_from(incoming.size_hint().lower()).unwrap_or(limit);
    let capacity = first.len().saturating_add(announced).min(first.len().max(BLOCK));
    let mut share = room.share(capacity)?;
    let mut joined = Zeroizing::new(Vec::with_capacity(capacity));
    joined.extend_from_slice(&first);
    drop(first);
    while let Some(data) = next_data(incoming).await? {
        if data.len() > limit - joined.len() {
            return Err(BodyError::TooLarge);
        }
        if data.len() > joined.capacity() - joined.len() {
            // `Vec` would leave the old block unwiped.
            let capacity = (joined.len() + data.len()).saturating_mul(2).min(limit);
            // For the moment of the copy both blocks exist, and both are counted.
            let grown = room.share(capacity)?;
            let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
            larger.extend_from_slice(&joined);
            joined = larger;
            share = grown;
        }
        joined.extend_from_slice(&data);
    }
    Ok(RequestBody::Joined(Joined { bytes: joined, _share: share }))
}

/// Reads and throws away at most `limit` bytes.
pub(crate) async fn drain(mut incoming: Incoming, limit: usize) {
    let mut left = limit;
    while let Ok(Some(data)) = next_data(&mut incoming).await {
        match left.checked_sub(data.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// The next non-empty piece of data; trailers are skipped.
async fn next_data(incoming: &mut Incoming) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = incoming.frame().await {
        if let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// The body of an answer: one piece, wiped once hyper has written it.
pub(crate) struct ReplyBody {
    bytes: Option<ReplyBytes>,
    /// Ends the request for the connection's timer when the answer is handed over.
    in_flight: Option<InFlight>,
}

impl ReplyBody {
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        let bytes = (!bytes.is_empty()).then_some(ReplyBytes { bytes, at: 0 });
        Self { bytes, in_flight: None }
    }

    pub(crate) fn ends(mut self, in_flight: InFlight) -> Self {
        self.in_flight = Some(in_flight);
        self
    }
}

impl Body for ReplyBody {
    type Data = ReplyBytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<ReplyBytes>, Infallible>>> {
        self.in_flight = None;
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.remaining() as u64))
    }
}

/// A reply being written. hyper queues it as it is (vectored writes are forced) and drops it, which wipes
/// it, when its last byte went to the socket or into the TLS record layer. HTTP/2 copies answers below
/// some hundred bytes into its frame buffer; that buffer is wiped by the allocator with its connection.
pub(crate) struct ReplyBytes {
    bytes: Zeroizing<Vec<u8>>,
    at: usize,
}

impl Buf for ReplyBytes {
    fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.at = self.at.saturating_add(count).min(self.bytes.len());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_one_frame_of_known_size() {
        let mut body = ReplyBody::new(Zeroizing::new(b"secret".to_vec()));
        assert_eq!(body.size_hint().exact(), Some(6));
        assert!(!body.is_end_stream());
        let mut context = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) else {
            panic!("no frame");
        };
        let mut data = frame.into_data().ok().unwrap();
        assert!(body.is_end_stream());
        data.advance(4);
        assert_eq!((data.remaining(), data.chunk()), (2, &b"et"[..]));
        data.advance(99);
        assert_eq!((data.remaining(), data.chunk()), (0, &b""[..]));
    }

    #[test]
    fn an_empty_reply_has_no_frame() {
        let body = ReplyBody::new(Zeroizing::new(Vec::new()));
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
    }
}
