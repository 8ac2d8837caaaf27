//! Captures the beginning of a body as it streams.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;

use super::{Message, redact};

/// Bytes kept of each body.
pub const LONGEST: usize = 16 << 10;

/// The bytes kept so far of a body. Clones share the same body.
#[derive(Debug, Clone, Default)]
pub struct CapturedBody(Arc<Mutex<BodyStart>>);

#[derive(Debug, Default)]
struct BodyStart {
    bytes: Vec<u8>,
    /// Size of the body so far, in bytes.
    size: usize,
}

impl CapturedBody {
    /// Takes the kept bytes into a message with these headers. Bytes that arrive later are lost.
    pub fn message(&self, headers: Box<str>) -> Message {
        let BodyStart { bytes, size } = std::mem::take(&mut *self.0.lock());
        let is_cut = size > bytes.len();
        Message { headers, body: redact::body(bytes), body_size: size, is_cut }
    }

    fn add(&self, data: &[u8]) {
        let mut beginning = self.0.lock();
        beginning.size += data.len();
        let room = LONGEST - beginning.bytes.len();
        // copied, because a slice would keep the whole read buffer alive
        beginning.bytes.extend_from_slice(&data[..data.len().min(room)]);
    }
}

/// Builds a message from a complete body.
pub fn message(headers: Box<str>, body: &[u8]) -> Message {
    let beginning = &body[..body.len().min(LONGEST)];
    let is_cut = beginning.len() < body.len();
    Message { headers, body: redact::body(beginning.to_vec()), body_size: body.len(), is_cut }
}

/// A body with its beginning captured.
#[derive(Debug)]
pub struct Captured {
    body: Body,
    kept: CapturedBody,
}

impl Captured {
    /// Wraps a body. Its beginning goes to `kept` as it is read.
    pub fn new(body: Body, kept: CapturedBody) -> Self {
        Self { body, kept }
    }
}

impl hyper::body::Body for Captured {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.kept.add(data);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
