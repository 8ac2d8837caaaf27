//! `GET /_sandbox/wait`: blocks until a resource reaches a state or an event occurs, so that clients need not poll.

pub mod document;
pub mod explanation;
mod query;
pub mod routes;
mod store;
mod verdict;

crate::codes! {
    WAIT_TIMEOUT = 408 "wait_timeout" "The wait timed out";
    WAIT_IMPOSSIBLE = 409 "wait_impossible" "The awaited state or event is no longer possible";
}
