//! The watch over a server: it is started again after each end, on the same data and socket.
//!
//! A thread waits for the end of the child; nothing polls. Left to others: a start ([`super::programs`]), and the end of
//! the program after too many failures.

use std::process::ExitStatus;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::child::{ProcessLog, Tied, Wish};
use super::error::PrivateError;
use super::programs::Service;

/// Number of failures that end the watch, if they come within [`SPAN`] or without a success in between.
const MOST_FAILURES: usize = 3;
/// See [`MOST_FAILURES`].
const SPAN: Duration = Duration::from_mins(1);
/// Pause before a second start in a row; the first comes at once.
const PAUSE: Duration = Duration::from_secs(1);

/// A server under watch. Dropping it stops the server.
#[derive(Debug)]
pub(super) struct Supervised {
    log: Arc<ProcessLog>,
    lost: watch::Receiver<Option<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Supervised {
    /// Watches a server that was started with this log.
    pub(super) fn watch(server: Tied, service: Service, log: Arc<ProcessLog>) -> Self {
        let (sender, lost) = watch::channel(None);
        let watch = Watch { service, log: Arc::clone(&log), failures: Vec::new() };
        let thread = thread::spawn(move || {
            if let Some(sentence) = watch.run(server) {
                sender.send_replace(Some(sentence));
            }
        });
        Self { log, lost, thread: Some(thread) }
    }

    /// Returns the process id of the present server.
    pub(super) fn pid(&self) -> u32 {
        self.log.state().pid
    }

    /// Leaves the server alone: it is not started again.
    pub(super) fn leave(&self) {
        self.log.wish(Wish::Leave);
    }

    /// Returns the value that becomes a sentence when the server is lost for good.
    pub(super) fn lost(&self) -> watch::Receiver<Option<String>> {
        self.lost.clone()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.log.wish(Wish::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The work of the thread.
#[derive(Debug)]
struct Watch {
    service: Service,
    log: Arc<ProcessLog>,
    /// Ends of the server, and starts without success.
    failures: Vec<Instant>,
}

impl Watch {
    /// Keeps the server running until it is to stop. Returns a sentence if it is lost before.
    fn run(mut self, mut server: Tied) -> Option<String> {
        loop {
            let state = self.log.wait(|state| state.ended || state.wish == Wish::Stop);
            // dropping the server stops it
            if state.wish > Wish::Run {
                return None;
            }
            let how = server.finish().map_or_else(|error| error.to_string(), in_words);
            let last_line = own_words(&state.lines());
            tracing::warn!(how, last_line, "the private PostgreSQL ended; it is started again");
            self.failures.retain(|at| at.elapsed() < SPAN);
            let ended = Instant::now();
            server = match self.start_again(PrivateError::Lost { how, last_line })? {
                Ok(server) => server,
                Err(sentence) => return Some(sentence),
            };
            tracing::info!(after = ?ended.elapsed(), "the private PostgreSQL runs again");
        }
    }

    /// Starts the server again after a failure. Returns a sentence after too many of them, and nothing if it is not to
    /// run any more.
    fn start_again(&mut self, mut failure: PrivateError) -> Option<Result<Tied, String>> {
        loop {
            self.failures.push(Instant::now());
            let failures = self.failures.len();
            if failures >= MOST_FAILURES {
                return Some(Err(failure.to_string()));
            }
            let pause = PAUSE * u32::from(failures > 1);
            if self.log.wait_for(pause, |state| state.wish > Wish::Run).wish > Wish::Run {
                return None;
            }
            let error = match self.service.start(&self.log) {
                Ok(server) => return Some(Ok(server)),
                Err(_) if self.log.state().wish > Wish::Run => return None,
                Err(error) => error,
            };
            failure = match error {
                PrivateError::Failed { log } => {
                    PrivateError::Lost { how: "it could not start".into(), last_line: own_words(&log) }
                }
                PrivateError::TimedOut { log } => {
                    PrivateError::Lost { how: "it was not ready in time".into(), last_line: own_words(&log) }
                }
                error => error,
            };
            tracing::warn!(error = %failure, "the private PostgreSQL could not be started again");
        }
    }
}

/// Returns how a process ended, such as "signal 9 (SIGKILL)" or "exit status 1".
fn in_words(status: ExitStatus) -> String {
    status.to_string().replacen(": ", " ", 1)
}

/// Returns the last line of a log about the server itself.
// Other lines show a client's statement and its values.
fn own_words(log: &str) -> String {
    const LEVELS: [&str; 3] = ["PANIC:", "FATAL:", "LOG:"];
    let about_itself = |line: &str| LEVELS.iter().find_map(|level| Some(line[line.find(level)?..].to_owned()));
    log.lines().rev().find_map(about_itself).unwrap_or_default()
}
