//! Answers that break in the middle of their body.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use crate::web::breaker::Breaker;

/// A body that breaks in the middle and ends its connection.
#[derive(Debug)]
pub struct Truncated {
    body: Body,
    /// Bytes still to send.
    left: u64,
    length: u64,
    breaker: Breaker,
}

impl Truncated {
    /// Truncates a body of that length to its half.
    pub fn new(body: Body, length: u64, breaker: Breaker) -> Self {
        Self { body, left: length / 2, length, breaker }
    }
}

impl HttpBody for Truncated {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.left == 0 {
            // the connection ends once these bytes are sent
            self.breaker.end();
            return Poll::Pending;
        }
        let frame = Pin::new(&mut self.body).poll_frame(context);
        let Poll::Ready(Some(Ok(frame))) = frame else { return frame };
        Poll::Ready(Some(Ok(frame.map_data(|mut data| {
            data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= data.len() as u64;
            data
        }))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
