//! An account's clock over HTTP: freeze, resume, advance and set. Work due before the new time runs before the call
//! returns, each at its own due time.

mod document;
mod happened;
pub mod routes;
pub mod turns;
pub mod walk;

crate::codes! {
    CLOCK_BACKWARDS = 422 "clock_backwards" "A clock can't be set back";
    CLOCK_MOVED = 409 "clock_moved" "Another request moved the clock";
}
