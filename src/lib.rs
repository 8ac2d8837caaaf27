//! A sandbox for payout integrations: a JSON:API HTTP server that emulates Bitex's Concierge (CrossBorder) API.
//!
//! A request's way: bytes come in at [`server`], are read by [`jsonapi`] (which knows the protocol and no
//! resource), become what a room of [`concierge`] means by them, and go to the [`database`] in one statement; the
//! answer goes back the same way. In the background, [`lifecycle`] moves what is due; [`events`] are written
//! where they are caused, and sent to whoever wants to know.
//!
//! In reading order:

pub mod accounts; // who calls, which ids are next, what a fresh account holds
pub mod alarm;
pub mod api; // the emulated API over HTTP
pub mod clock; // the only reader of the machine's clock
pub mod concierge; // the emulated API, one room a resource
pub mod config; // every setting: flag, environment variable, default and help
pub mod database; // DATABASE_URL or a private PostgreSQL; connections; migrations
pub mod events; // the outbox: what happened, where it is sent, and what came of that
pub mod faults; // what is to go wrong
pub mod jsonapi; // the protocol; knows no resource
pub mod lifecycle; // what moves things in time
pub mod metrics; // what operators watch
pub mod receipts; // of finished requests: pages for people, outside of the API
pub mod sandbox; // the control plane, /_sandbox
pub mod server; // binds, layers the router, starts the background tasks, stops gracefully
pub mod telemetry;
pub mod web;
pub mod webhooks; // logs, and a span for each request
