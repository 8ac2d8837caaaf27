//! A sandbox for payout integrations: a JSON:API HTTP server that emulates Bitex's Concierge (CrossBorder) API.
//!
//! A request arrives at [`server`]. [`jsonapi`] reads it; it knows the protocol and no resource. A module of
//! [`concierge`] handles its resource, in one statement to the [`database`]. The answer returns the same way.
//!
//! In the background, [`lifecycle`] runs transitions when they are due. [`events`] are recorded with their cause, then
//! delivered to webhooks.

pub mod accounts; // who calls, which ids are next, what a fresh account holds
pub mod alarm;
pub mod api; // the emulated API over HTTP
pub mod clock; // the only reader of the machine's clock
pub mod concierge; // the emulated API, one module per resource
pub mod config; // every setting: flag, environment variable, default and help
pub mod database; // DATABASE_URL or a private PostgreSQL; connections; migrations
pub mod events; // the outbox: what happened, where it is sent, and what came of that
pub mod faults; // what is to go wrong
pub mod jsonapi; // the protocol; knows no resource
pub mod lifecycle; // the schedule: runs transitions when they are due
pub mod metrics; // counters for operators
pub mod receipts; // web pages with the receipts of finished requests, outside of the API
pub mod sandbox; // the control plane, /_sandbox
pub mod server; // binds, layers the router, starts the background tasks, stops gracefully
pub mod telemetry;
pub mod web;
pub mod webhooks; // logs, and a span for each request
