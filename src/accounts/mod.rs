//! Accounts, the unit of isolation.
//!
//! [`caller`] authorizes requests, [`ids`] hands out ids, and [`reserved`] lists the first ids. Each account has its
//! own [`time`] and [`settings`]. [`store`] holds the SQL.

pub mod caller;
pub mod ids;
pub mod reserved;
pub mod settings;
pub mod shared;
pub mod store;
pub mod sweeper;
pub mod time;
pub mod timing;
pub mod watchers;
