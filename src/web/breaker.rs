//! A handle for a request to break its own connection, as some faults demand.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The connection continues.
const WHOLE: u8 = 0;
/// The connection closes once everything written so far is sent.
const ENDING: u8 = 1;
/// Nothing more is sent, and the connection is closed.
const CLOSED: u8 = 2;
/// Nothing more is sent, and the connection is reset.
const RESET: u8 = 3;

/// A handle to break a connection. Clones break the same one.
#[derive(Debug, Clone)]
pub struct Breaker(Arc<AtomicU8>);

impl Default for Breaker {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(WHOLE)))
    }
}

impl Breaker {
    /// Closes the connection; anything not written yet is dropped.
    pub fn close(&self) {
        self.0.store(CLOSED, Ordering::Release);
    }

    /// Resets the connection, so that the client's system reports a reset instead of an end.
    pub fn reset(&self) {
        self.0.store(RESET, Ordering::Release);
    }

    /// Closes the connection once everything written is sent.
    pub fn end(&self) {
        self.0.store(ENDING, Ordering::Release);
    }

    /// Returns whether the connection closes once everything written is sent.
    pub fn is_ending(&self) -> bool {
        self.0.load(Ordering::Acquire) == ENDING
    }

    /// Returns whether the connection is to be reset.
    pub fn is_reset(&self) -> bool {
        self.0.load(Ordering::Acquire) == RESET
    }

    /// Checks that the connection may still send.
    ///
    /// # Errors
    /// `ConnectionAborted` after [`Breaker::close`] or [`Breaker::reset`].
    pub fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Acquire) >= CLOSED { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}
