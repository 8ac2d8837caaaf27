//! An in-process server over a database of its own, with a clock that the test moves.

use std::ops::Deref;
use std::sync::Arc;

use concierge_sandbox::clock::Clock;
use concierge_sandbox::concierge::fixtures::create_account;
use concierge_sandbox::config::Config;
use concierge_sandbox::server::Server;
use sqlx::postgres::{PgConnectOptions, PgPool};
use time::OffsetDateTime;

use super::{Account, START, database, settings};

/// Runs a test against a server with default settings, stops the server and checks the invariants.
pub async fn sandbox<T>(test: impl AsyncFnOnce(&Sandbox) -> T) -> T {
    sandbox_with(|_| {}, test).await
}

/// Like [`sandbox`], with other settings.
pub async fn sandbox_with<T>(change: impl FnOnce(&mut Config), test: impl AsyncFnOnce(&Sandbox) -> T) -> T {
    database(async |database| test(&database.server_with(change).await).await).await
}

/// A server, and a client of its default account.
pub struct Sandbox {
    default: Account,
    server: Arc<Server>,
    pub clock: Clock,
}

impl Deref for Sandbox {
    type Target = Account;

    fn deref(&self) -> &Account {
        &self.default
    }
}

impl Sandbox {
    pub(super) async fn start(options: PgConnectOptions, pool: PgPool, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = settings();
        change(&mut config);
        show_errors();
        let clock = Clock::manual(OffsetDateTime::from_unix_timestamp_nanos(START).unwrap());
        let server = Arc::new(Server::start_on(&config, clock.clone(), options).await.unwrap());
        let default = Account::default_of(Arc::clone(&server), clock.clone(), pool);
        Self { default, server, clock }
    }

    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Makes another account with this key.
    pub async fn second_account(&self, key: &str) {
        let mut connection = self.database().acquire().await.unwrap();
        create_account(&mut connection, key, &[(key, "write")], self.clock.now()).await.unwrap();
    }
}

/// Shows the errors of the servers in the output of a failed test.
fn show_errors() {
    let shown = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_test_writer();
    // the first test of the process has set it for all
    let _ = shown.try_init();
}
