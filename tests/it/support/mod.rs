//! Shared parts of the tests: servers, accounts, clients, receivers.
//!
//! - [`account`]: an account of the test's own on a server that all tests share. Most tests need no more.
//! - [`sandbox`], [`sandbox_with`]: an in-process server over a database of its own, with a clock that the test moves.
//! - [`program`]: the real binary over a database of its own.
//! - [`database`], [`empty_database`]: several servers over one database, at once or one after the other.
//!
//! Each runs a closure, stops every server that the closure started, and checks the invariants ([`world::check`]).

mod account;
mod answer;
mod cluster;
pub mod contract;
mod database;
mod program;
mod proxy;
mod receiver;
mod rows;
mod sandbox;
mod shared;
mod wire;
pub mod world;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use concierge_sandbox::config::Config;
use serde_json::{Value, json};

pub use account::Account;
pub use answer::{Answer, send};
pub use cluster::fresh_database;
pub use database::{Database, database, empty_database};
pub use program::{Ended, Program, count, program, url_of};
pub use proxy::Proxy;
pub use receiver::{Call, Receiver};
pub use rows::{dump, rows, tables};
pub use sandbox::{Sandbox, sandbox, sandbox_with};
pub use shared::account;
pub use wire::Wire;

/// The start of all test clocks: 2019-11-25T12:53:02.741Z.
pub const START: i128 = 1_574_686_382_741_000_000;

/// Returns the documented request for an output.
pub fn documented_output() -> Value {
    json!({"data": {
        "type": "concierge_request_outputs",
        "attributes": {"port_code": "cl_clp", "amount": 1000},
        "relationships": {
            "request": {"data": {"id": 1010, "type": "concierge_requests"}},
            "withdrawal_instruction": {"data": {"id": 2121, "type": "withdrawal_instructions"}},
            "user": {"data": {"id": 20202, "type": "users"}},
        },
    }})
}

/// Returns the settings of the tests: the defaults, on a free port.
pub fn settings() -> Config {
    static DEFAULTS: OnceLock<Config> = OnceLock::new();
    let mut config = DEFAULTS.get_or_init(Config::defaults).clone();
    config.listen = "127.0.0.1:0".parse().unwrap();
    config
}

/// Makes a client of the API.
/// It names a TLS provider, which no test needs, because reqwest has none of its own.
pub fn client() -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap()
}

/// Awaits a future for at most 30 seconds, then panics.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("the future should be ready within 30 s")
}
