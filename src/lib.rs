//! A sandbox for payout integrations: a JSON:API HTTP server that emulates Bitex's Concierge (CrossBorder) API.
//!
//! The modules are rooms, listed here from top to bottom. A room imports only rooms below it.
//! Doors ([`api`], [`sandbox`], [`receipts`]) open onto [`web`]. Behind it, [`lifecycle`] says when, and [`concierge`] says
//! what. [`webhooks`] notifies the outside. All of that happens inside an account ([`accounts`]), on the ground.
//!
//! `docs/architecture.md` has the map and two walk-throughs.

pub mod server; // start and stop: binds the address, merges the doors, starts the background tasks

pub mod config; // every setting: flag, environment variable, default and help

pub mod contract; // the OpenAPI document, made of the tables of the doors, and its page

pub mod sandbox; // control plane, `/_sandbox`: everything that a test does to the system

pub mod api; // the emulated API over HTTP: one file per resource, one table of routes
pub mod receipts; // web pages with the receipts of finished requests, outside of the API

pub mod web; // tools of every handler: the application, the request, answers, lists, limits

pub mod lifecycle; // the schedule: finds due work and runs it

pub mod concierge; // resources of the emulated API: states, rules, documents, SQL

pub mod webhooks; // deliveries of events: claim, send, record, retry

pub mod events; // the outbox: events, their causes and their receivers
pub mod faults; // the list of failures to inject

pub mod accounts; // isolation: callers, ids, clocks, settings, copies

pub mod alarm; // due times by account, and a wake-up for the earliest
pub mod clock; // the only reader of the machine's clock
pub mod database; // connections, transactions, migrations, and a private PostgreSQL
pub mod jsonapi; // the protocol: it knows no resource
pub mod metrics; // counters for operators
pub mod telemetry; // logs, and a span for each request
