//! A database of the test's own, and the servers over it.

use std::ops::Deref;
use std::sync::Arc;

use concierge_sandbox::config::Config;
use concierge_sandbox::server::Server;
use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgPool};

use super::{Program, Sandbox, cluster, world};

/// Runs a test with an up-to-date database, stops every server over it and checks the invariants.
pub async fn database<T>(test: impl AsyncFnOnce(&Database) -> T) -> T {
    let options = cluster::fresh_database().await;
    let result = Database::of(options.clone()).run(test).await;
    cluster::leave(options);
    result
}

/// Like [`database`], but empty: a server of the test has to fill it.
pub async fn empty_database<T>(test: impl AsyncFnOnce(&Database) -> T) -> T {
    Database::of(cluster::empty_database().await).run(test).await
}

/// A database of the test's own, which dereferences to its connection options.
pub struct Database {
    options: PgConnectOptions,
    pool: PgPool,
    servers: Mutex<Vec<Arc<Server>>>,
    programs: Arc<Mutex<Vec<Program>>>,
}

impl Deref for Database {
    type Target = PgConnectOptions;

    fn deref(&self) -> &PgConnectOptions {
        &self.options
    }
}

impl Database {
    fn of(options: PgConnectOptions) -> Self {
        let pool = PgPool::connect_lazy_with(options.clone());
        Self { options, pool, servers: Mutex::default(), programs: Arc::default() }
    }

    /// Runs a test, then stops its servers and programs and checks the invariants.
    ///
    /// A panicking test has failed already: its servers end with its runtime, its programs are killed.
    async fn run<T>(self, test: impl AsyncFnOnce(&Self) -> T) -> T {
        let result = Box::pin(test(&self)).await;
        let servers = std::mem::take(&mut *self.servers.lock());
        for server in servers {
            Self::stop(server).await;
        }
        let programs = std::mem::take(&mut *self.programs.lock());
        for program in programs {
            program.stop().await;
        }
        world::check(&self.pool).await;
        self.pool.close().await;
        result
    }

    async fn stop(server: Arc<Server>) {
        Arc::into_inner(server).expect("the test no longer uses the server").stop().await;
    }

    /// Returns the test's pool of connections.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Starts a server with default settings.
    pub async fn server(&self) -> Sandbox {
        self.server_with(|_| {}).await
    }

    /// Starts a server with other settings.
    pub async fn server_with(&self, change: impl FnOnce(&mut Config)) -> Sandbox {
        self.server_through(self.options.clone(), change).await
    }

    /// Starts a server with other connection options than the test's.
    pub async fn server_through(&self, options: PgConnectOptions, change: impl FnOnce(&mut Config)) -> Sandbox {
        let sandbox = Sandbox::start(options, self.pool.clone(), change).await;
        self.servers.lock().push(Arc::clone(sandbox.server()));
        sandbox
    }

    /// Stops a server before the test ends.
    pub async fn stop_now(&self, sandbox: Sandbox) {
        let server = Arc::clone(sandbox.server());
        drop(sandbox);
        self.servers.lock().retain(|running| !Arc::ptr_eq(running, &server));
        Self::stop(server).await;
    }

    /// Starts the program and waits until it is ready.
    pub async fn program(&self, arguments: &[&str]) -> Program {
        let mut program = self.starting(arguments);
        program.ready().await;
        program
    }

    /// Starts the program.
    pub fn starting(&self, arguments: &[&str]) -> Program {
        Program::starting(Some(&self.options), arguments).given_back_to(&self.programs)
    }
}
