//! Request bodies that nobody read: the rest is read before the answer, or the answer announces the end of the
//! connection. Otherwise the rest would be taken for the next request.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use hyper::body::{Frame, Incoming, SizeHint};
use parking_lot::Mutex;

use crate::web::call::discard;
use crate::web::stopping::Stopping;

/// The body of a request. What its reader leaves, stays readable.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Option<Incoming>,
    shared: Arc<Shared>,
}

/// What is left of a request's body.
#[derive(Debug)]
pub struct Rest {
    shared: Arc<Shared>,
    /// True if the client sends the body only after a sign from its reader.
    awaits_sign: bool,
}

#[derive(Debug, Default)]
struct Shared {
    left: Mutex<Option<Incoming>>,
    has_begun: AtomicBool,
    has_ended: AtomicBool,
}

/// Splits a request's body into the one to read and the rest to look after.
pub fn watched(headers: &HeaderMap, incoming: Incoming) -> (Body, Rest) {
    let shared = Arc::new(Shared::default());
    let rest = Rest { shared: Arc::clone(&shared), awaits_sign: headers.contains_key(header::EXPECT) };
    if incoming.is_end_stream() {
        shared.has_ended.store(true, Ordering::Release);
        return (Body::empty(), rest);
    }
    (Body::new(RequestBody { incoming: Some(incoming), shared }), rest)
}

impl Rest {
    /// Reads the rest of the body before its answer is sent, for at most `time`. If some is left, the answer announces
    /// the end of the connection.
    pub async fn settle<B>(self, response: &mut Response<B>, time: Duration, stopping: &Stopping) {
        if self.shared.has_ended.load(Ordering::Acquire) {
            return;
        }
        let waits = self.awaits_sign && !self.shared.has_begun.load(Ordering::Acquire);
        let left = self.shared.left.lock().take();
        if let Some(incoming) = left.filter(|_| !waits) {
            let body = RequestBody { incoming: Some(incoming), shared: Arc::clone(&self.shared) };
            drop(stopping.unless(discard(Body::new(body), time)).await);
        }
        if !self.shared.has_ended.load(Ordering::Acquire) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.shared.has_begun.store(true, Ordering::Release);
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(incoming).poll_frame(context));
        if frame.is_none() {
            self.shared.has_ended.store(true, Ordering::Release);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            if incoming.is_end_stream() {
                self.shared.has_ended.store(true, Ordering::Release);
            } else if !self.shared.has_ended.load(Ordering::Acquire) {
                *self.shared.left.lock() = Some(incoming);
            }
        }
    }
}
