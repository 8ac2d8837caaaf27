//! The limit on requests in flight.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::Semaphore;

use crate::jsonapi::error::{Error, Errors, UNAVAILABLE};

/// Paths of requests without a limit: they only wait, or tell of the server.
const EXEMPT: [&str; 3] = ["/_sandbox/wait", "/_sandbox/health/live", "/_sandbox/health/ready"];

/// The requests in flight. Clones count the same ones.
#[derive(Debug, Clone)]
pub struct InFlight {
    places: Arc<Semaphore>,
    most: usize,
}

impl InFlight {
    /// Allows `most` requests at a time.
    pub fn new(most: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(most)), most }
    }
}

/// Answers 503 to one request too many.
pub async fn limit_in_flight(State(limit): State<InFlight>, request: Request, next: Next) -> Result<Response, Errors> {
    if EXEMPT.contains(&request.uri().path()) {
        return Ok(next.run(request).await);
    }
    let Ok(_place) = limit.places.try_acquire() else {
        let detail = format!(
            "{} requests are in progress, as many as --max-requests allows; nothing was done; repeat the request in a \
             moment",
            limit.most
        );
        return Err(Errors::from(Error::new(UNAVAILABLE, detail)).retry_after(1));
    };
    Ok(next.run(request).await)
}
