//! An account's clock: it stands still, runs on, and is moved on, and whatever is due on the way happens, at its own due
//! time and before the call returns.

mod document;
mod happened;
pub mod routes;
pub mod turns;
pub mod walk;

crate::codes! {
    CLOCK_BACKWARDS = 422 "clock_backwards" "A clock can't be set back";
    CLOCK_MOVED = 409 "clock_moved" "Somebody else moved the clock meanwhile";
}
