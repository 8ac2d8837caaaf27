//! The phase of a connection, seen from both sides: by the stream under the HTTP layer, and by the service above it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing of the next request has arrived.
    Idle,
    /// A new connection, or part of a request's head has arrived.
    Head,
    /// The body of a request is arriving, the request is at work, or its answer is being rendered.
    Working,
    /// The end of an answer is being sent.
    Sending,
    /// The HTTP layer has ended the connection; the client may still read the last answer.
    Parting,
}

/// Time limits of the phases between answers.
#[derive(Debug, Clone, Copy)]
pub struct PhaseLimits {
    /// Time for the head of a request to arrive.
    pub head: Duration,
    /// Time between two requests.
    pub idle: Duration,
}

/// The phase of a connection and its beginning. Clones are of one connection.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Mutex<(Phase, Instant)>>);

impl Pulse {
    /// Returns the pulse of a new connection.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new((Phase::Head, Instant::now()))))
    }

    /// Returns the phase.
    pub fn phase(&self) -> Phase {
        self.0.lock().0
    }

    /// Begins a phase.
    pub fn enter(&self, phase: Phase) {
        *self.0.lock() = (phase, Instant::now());
    }

    /// Begins a phase if the connection is in `from`.
    pub fn pass(&self, from: Phase, to: Phase) {
        let mut at = self.0.lock();
        if at.0 == from {
            *at = (to, Instant::now());
        }
    }

    /// Returns the instant at which the present phase has lasted too long, if it has a limit.
    pub fn deadline(&self, limits: PhaseLimits) -> Option<Instant> {
        let (phase, since) = *self.0.lock();
        match phase {
            Phase::Idle => Some(since + limits.idle),
            Phase::Head => Some(since + limits.head),
            Phase::Working | Phase::Sending | Phase::Parting => None,
        }
    }
}
