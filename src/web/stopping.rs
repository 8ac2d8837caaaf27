//! The end of the server, for requests that only wait: they are answered at once.

use std::sync::Arc;

use tokio::sync::watch;

use crate::jsonapi::error::{Error, Errors, UNAVAILABLE};

/// Tells when the server stops. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stopping(Arc<watch::Receiver<bool>>);

impl Stopping {
    /// Makes it of a value that becomes true when the server stops.
    pub fn new(stopped: watch::Receiver<bool>) -> Self {
        Self(Arc::new(stopped))
    }

    /// Waits until the server stops.
    pub async fn requested(&self) {
        let mut stopped = watch::Receiver::clone(&self.0);
        // the sender lives as long as the server
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }

    /// Returns whether the server stops.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for `work`, unless the server stops first. Only for work that changes nothing.
    ///
    /// # Errors
    /// 503 if the server stops.
    pub async fn unless<T>(&self, work: impl Future<Output = T>) -> Result<T, Errors> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.requested() => Err(stopping()),
        }
    }
}

/// Returns the 503 of a request that was not begun because the server stops.
pub fn stopping() -> Errors {
    let detail = "the server is stopping; nothing was done; repeat the request in a moment";
    Errors::from(Error::new(UNAVAILABLE, detail)).retry_after(1)
}
