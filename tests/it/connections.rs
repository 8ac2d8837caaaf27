//! Connections: their limits, their ends, and answers without a request.

mod limits;
mod stopping;
mod tls;
mod unreadable;
