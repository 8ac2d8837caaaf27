//! Accounts: isolated worlds. Who calls ([`caller`]), which ids are next ([`ids`]), and what a fresh account holds
//! ([`fixtures`]).

pub mod caller;
pub mod ids;
pub mod pace;
pub mod reserved;
pub mod settings;
pub mod shared;
pub mod store;
pub mod sweeper;
pub mod time;
pub mod watchers;
