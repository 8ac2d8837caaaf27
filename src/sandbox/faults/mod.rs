//! Faults of requests: their routes, the list in memory ([`cache`]) and the answers they inject.
//!
//! [`intercept`](super::intercept) applies them. Left to others: the list itself ([`faults`](crate::faults)), and faults
//! of webhooks ([`webhooks`](crate::webhooks)).

pub mod cache;
mod check;
pub mod delayed;
pub mod prefer;
pub mod routes;
pub mod truncated;
