//! Timed work. A step runs one batch of the due work of some accounts, each in its own time.
//! [`Lifecycle`] is the loop of steps. Each kind of work has a file.
//!
//! Rows are their own timers (`due_at`). A batch is claimed under locks that other servers skip.
//! It is decided in memory by the pure rules of each resource's `state`, and saved with its events in one transaction.
//! So servers share the work, and a crash neither repeats nor loses any.

mod agenda;
mod run;
pub mod step;
pub mod timers;

pub use agenda::Agenda;
pub use run::{Lifecycle, catch_up};
