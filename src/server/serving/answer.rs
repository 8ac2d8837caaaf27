//! The body of an answer: its end begins the next phase of the connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use super::phase::{Phase, Pulse};

/// The body of an answer on its way to the client.
#[derive(Debug)]
pub struct AnswerBody {
    body: Body,
    pulse: Pulse,
}

impl AnswerBody {
    /// Wraps the body of an answer on this connection.
    pub fn new(body: Body, pulse: Pulse) -> Self {
        Self { body, pulse }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.pulse.enter(Phase::Sending);
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
