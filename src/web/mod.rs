//! Tools of every handler: the application ([`app`]), the request ([`call`]), lists, includes, layers, limits
//! and remarks.
//!
//! Left to others: the routes and the meaning of a request.

pub mod account_limits;
pub mod answers;
pub mod app;
pub mod breaker;
pub mod browsers;
pub mod call;
pub mod cors;
pub mod guard;
pub mod host;
pub mod include;
pub mod list;
pub mod listing;
pub mod numbered;
pub mod open_accounts;
pub mod origin;
pub mod rate_limit;
pub mod remarks;
pub mod route;
pub mod stopping;
