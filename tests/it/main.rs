//! Integration tests: clients of a real server over HTTP, each with its own account or database.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod support;

mod accounts;
mod advice;
mod architecture;
mod attempts;
mod batch;
mod cash_wallets;
mod causes;
mod clocks;
mod cors;
mod documents;
mod estimates;
mod events_api;
mod faults;
mod headers;
mod impossible_transitions;
mod jsonapi;
mod lifecycle;
mod migrations;
mod origins;
mod outage;
mod outputs;
mod payouts;
mod private_database;
mod process;
mod properties;
mod receipts;
mod redaction;
mod request_log;
mod resources;
mod sandbox_accounts;
mod seed;
mod sharing;
mod simulations;
mod snapshots;
mod test_values;
mod timeline;
mod transport;
mod wait;
mod webhook_setting;
mod webhook_urls;
mod webhooks;
