//! Waiting for something to happen, instead of asking again and again: `GET /_sandbox/wait`.

mod query;
pub mod routes;
mod store;
mod verdict;
mod words;

crate::codes! {
    WAIT_TIMEOUT = 408 "wait_timeout" "It did not happen in time";
    WAIT_IMPOSSIBLE = 409 "wait_impossible" "It can't happen any more";
}
