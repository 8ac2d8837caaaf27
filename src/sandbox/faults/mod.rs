//! Faults: failures injected into an account's requests and webhooks, to test its client.
//!
//! An account's faults are a list in the database. Hits are counted there, so several servers share one count.
//!
//! * The [`directory`] caches the list in memory.
//! * [`intercept`](super::intercept) applies faults of requests.
//! * The dispatcher of webhooks applies faults of webhooks, through [`store::claim_webhook_fault`].

pub mod cache;
mod check;
pub mod prefer;
pub mod routes;
pub mod truncated;
