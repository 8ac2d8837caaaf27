//! Requests that wait before they go on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use http_body_util::BodyExt;
use hyper::body::Frame;

use crate::sandbox::request_log::capture::LONGEST;

/// Delays a request. Reads the beginning of its body meanwhile, because a client that gives up leaves only this much
/// for the request log and the advice.
pub async fn delay(request: Request, latency: Duration) -> Request {
    let (parts, mut rest) = request.into_parts();
    let mut begun = VecDeque::new();
    let reading = async {
        let mut length = 0;
        while length < LONGEST
            && let Some(frame) = rest.frame().await
        {
            let data = frame.as_ref().ok().and_then(Frame::data_ref);
            length += data.map_or(LONGEST, Bytes::len);
            begun.push_back(frame);
        }
    };
    let sleep = tokio::time::sleep(latency);
    tokio::pin!(sleep);
    tokio::select! {
        () = &mut sleep => {}
        () = reading => sleep.await,
    }
    Request::from_parts(parts, Body::new(Resumed { begun, rest }))
}

/// A body that was read in part.
#[derive(Debug)]
struct Resumed {
    begun: VecDeque<Result<Frame<Bytes>, axum::Error>>,
    rest: Body,
}

impl HttpBody for Resumed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.begun.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.begun.is_empty() && self.rest.is_end_stream()
    }
}
