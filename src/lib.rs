//! A sandbox for payout integrations: a JSON:API HTTP server that emulates Bitex's Concierge (CrossBorder) API.
//!
//! The modules are rooms, listed here from top to bottom. A room imports only rooms below it.
//! Doors ([`api`], [`sandbox`], [`receipts`]) open onto [`web`]. Behind it, [`lifecycle`] says when, and [`concierge`] says
//! what. [`webhooks`] notifies the outside. All of that happens inside an account ([`accounts`]), on the ground.
//!
//! `docs/architecture.md` has the map and two walk-throughs.

/// Start and stop: binds the address, merges the doors, starts the background tasks.
pub mod server;

/// Every setting: flag, environment variable, default and help.
pub mod config;

/// Control plane, `/_sandbox`: everything that a test does to the system.
pub mod sandbox;

/// The emulated API over HTTP: one file per resource, one table of routes.
pub mod api;

/// Web pages with the receipts of finished requests, outside of the API.
pub mod receipts;

/// Tools of every handler: the application, the request, answers, lists, limits.
pub mod web;

/// The schedule: finds due work and runs it.
pub mod lifecycle;

/// Resources of the emulated API: states, rules, documents, SQL.
pub mod concierge;

/// Deliveries of events: claim, send, record, retry.
pub mod webhooks;

/// The outbox: events, their causes and their receivers.
pub mod events;

/// The list of failures to inject.
pub mod faults;

/// Isolation: callers, ids, clocks, settings, copies.
pub mod accounts;

/// Connections, transactions, migrations, and a private PostgreSQL.
pub mod database;

/// The protocol. It knows no resource.
pub mod jsonapi;

/// Due times by account, and a wake-up for the earliest.
pub mod alarm;

/// The only reader of the machine's clock.
pub mod clock;

/// Counters for operators.
pub mod metrics;

/// Logs, and a span for each request.
pub mod telemetry;
