//! Connections: their limits, their ends, and answers without a request.

mod corpus;
mod limits;
mod stopping;
mod tls;
mod unreadable;
