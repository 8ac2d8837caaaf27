//! Faults of requests: their routes, what a server keeps in memory of them ([`directory`]), and how they act (with
//! [`intercept`](super::intercept)).

mod check;
pub mod directory;
pub mod prefer;
pub mod routes;
pub mod truncated;
