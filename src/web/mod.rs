//! Everything that a handler is given, whichever door it stands behind: the application ([`app`]), the request as it was read
//! ([`call`]), pages of collections, and the limits.

pub mod app;
pub mod call;
pub mod connection;
pub mod guard;
pub mod include;
pub mod listing;
pub mod numbered;
pub mod open_accounts;
pub mod rate_limit;
