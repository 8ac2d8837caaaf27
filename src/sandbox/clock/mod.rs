//! An account's clock over HTTP: freeze, resume, advance and set. Work due before the new time runs before the call
//! returns, each at its own due time.

pub mod advance;
pub mod document;
pub mod locks;
pub mod report;
pub mod routes;

crate::codes! {
    CLOCK_BACKWARDS = 422 "clock_backwards" "A clock can't be set back";
    CLOCK_MOVED = 409 "clock_moved" "Another request moved the clock";
}
