//! The database: its location, connections and schema.
//!
//! It is the one in `DATABASE_URL` if set, else a [private] PostgreSQL. Stores get only connections here; the SQL is
//! in the stores.

pub mod batch;
pub mod error;
mod lease;
pub mod migrations;
mod outage;
pub mod private;
mod progress;
mod readiness;

use std::path::PathBuf;
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Acquire, ConnectOptions, Executor, Postgres, Transaction};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

pub use error::{DatabaseError, OUTCOME_UNKNOWN, StoreError, is_unavailable, outcome_unknown, silence};
use lease::Idle;
pub use lease::LeasedConnection;
use outage::Outage;
use private::PrivatePostgres;
pub use progress::Progress;

use crate::jsonapi::error::Errors;

/// Longest wait of a request for a connection. After it, the database counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time limit of the first connection. After it, the database counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of every session: whatever the database or its role set, answers are the same.
///
/// A statement is planned once, perhaps on empty tables, and its plan must serve millions of rows. So every plan looks
/// its rows up in an index, one after the other.
///
/// Left to the database:
/// * `default_transaction_read_only`: hosts set it to protect a full disk. Writes then answer 503.
/// * `search_path`: it chooses the schema, in the role or in `DATABASE_URL`.
/// * `synchronous_commit`: its owner chooses between speed and durability.
/// * Settings without effect on the statements here: output of views, row security, other planner settings, memory.
pub const SESSION: [(&str, &str); 17] = [
    // first, because a time limit of the database applies to each of these statements (ms)
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    // idle connections are kept for later requests
    ("idle_session_timeout", "0"),
    // statements read again what a concurrent change left; a stricter level would fail instead
    ("default_transaction_isolation", "'read committed'"),
    // instants, numbers and bytes have one spelling in JSON and text
    ("datestyle", "'ISO, MDY'"),
    ("intervalstyle", "postgres"),
    ("timezone", "'UTC'"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("standard_conforming_strings", "on"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
    ("client_min_messages", "warning"),
    // a server that stalls in a transaction must not block other servers for ever (ms)
    ("idle_in_transaction_session_timeout", "10000"),
];

/// Settings of newer versions, set where they exist: sqlx sends its own at the start of a session.
const NEWER_SETTINGS: &str =
    "select set_config(name, '0', false) from pg_settings where name = 'transaction_timeout' and setting <> '0'";

/// Minimum time between two attempts to reach the database, at the start.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(250);

/// Location of the data.
#[derive(Debug, Clone)]
pub enum Location {
    /// An existing server.
    Url(String),
    /// A private server with its data in this folder.
    Kept(PathBuf),
    /// A private server whose data is deleted on exit.
    Temporary,
}

/// Connections to the database. Cheap to clone.
///
/// After a successful statement, the connection stays idle here for the next request. The pool would test it after
/// each use, which costs a round trip per request. A connection dropped in the middle of its work is closed.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
    idle: Arc<Mutex<Idle>>,
    permits: Arc<Semaphore>,
    /// Notifies waiting requests that another request found the database unavailable.
    unavailable: Arc<Notify>,
    outage: Arc<Outage>,
}

impl Database {
    /// Runs work on a leased connection, and releases it. Logs a failure here, once, and converts it to an answer.
    ///
    /// # Errors
    /// The refusal of the request; 503 if the database is unavailable, else 500. The 503 says whether the work may be
    /// stored.
    pub async fn run<T, E: Into<StoreError>>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, Errors> {
        let mut lease = self.connection().await?;
        let outcome = work(&mut lease).await;
        lease.finish(outcome)
    }

    /// Like [`Database::run`], for work that changes nothing that a client sees: after a failure it can be repeated.
    ///
    /// # Errors
    /// As in [`Database::run`].
    pub async fn run_repeatable<T, E: Into<StoreError>>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, Errors> {
        let mut lease = self.lease().await?;
        let outcome = work(&mut lease).await;
        lease.finish(outcome)
    }

    /// Connects, checks the version and migrates the schema. Several servers may do so at once. `wait` is the time to
    /// wait for a database that is about to start.
    ///
    /// # Errors
    /// If the database is unreachable or too old, or its schema can't be migrated.
    pub async fn open(options: PgConnectOptions, connections: u32, wait: Duration) -> Result<Self, DatabaseError> {
        let at = describe(&options);
        let unreachable = |cause| DatabaseError::unreachable(&options, &at, &cause);
        // statements rather than startup options, which PgBouncer refuses; all of them in one round trip
        let settings = SESSION.map(|(name, value)| format!("set {name} = {value}")).join("; ");
        let settings = format!("{settings}; {NEWER_SETTINGS}");
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .after_connect({
                let settings = settings.clone();
                move |connection, _| {
                    let settings = sqlx::AssertSqlSafe(settings.clone());
                    Box::pin(async move { connection.execute(settings).await.map(|_| ()) })
                }
            });
        // a separate connection first: the pool would hide the cause of a failure behind a time-out
        let mut first = connect(&options, &settings, &at, wait).await.map_err(unreachable)?;
        let version: String =
            sqlx::query_scalar("show server_version_num").fetch_one(&mut first).await.map_err(unreachable)?;
        let found = version.parse::<i32>().unwrap_or_default() / 10_000;
        if found < 15 {
            return Err(DatabaseError::TooOld { at, found });
        }
        migrations::migrator().run(&mut first).await.map_err(|cause| DatabaseError::Migration { at, cause })?;
        sqlx::Connection::close(first).await.ok();
        let permits = Arc::new(Semaphore::new(connections as usize));
        // callers give up slow statements, and log that themselves
        let options = options.disable_statement_logging();
        let pool = pool.connect_lazy_with(options);
        Ok(Self { pool, idle: Arc::default(), permits, unavailable: Arc::default(), outage: Arc::default() })
    }

    /// Leases a connection for work that may change something.
    ///
    /// # Errors
    /// [`sqlx::Error::PoolTimedOut`] if all connections are at work; others if the database is unavailable.
    pub async fn connection(&self) -> Result<LeasedConnection, sqlx::Error> {
        let mut lease = self.lease().await?;
        let progress = Progress::current();
        progress.begin();
        lease.progress = Some(progress);
        Ok(lease)
    }

    async fn lease(&self) -> Result<LeasedConnection, sqlx::Error> {
        self.try_lease().await.inspect_err(|error| self.outage.note(error))
    }

    async fn try_lease(&self) -> Result<LeasedConnection, sqlx::Error> {
        let permit = self.unless_unavailable(Arc::clone(&self.permits).acquire_owned()).await?;
        let permit = permit.map_err(|_| sqlx::Error::PoolClosed)?;
        let (connection, generation) = {
            let mut idle = self.idle.lock();
            (idle.connections.pop(), idle.generation)
        };
        let connection = match connection {
            Some(connection) => connection,
            None => {
                // boxed, because it is large and rare: otherwise it enlarges every future that leases a connection
                let new = Box::pin(self.pool.acquire()).await.inspect_err(|_| self.unavailable.notify_waiters());
                // the permit stands for a connection, so the pool ran out of time and not of connections
                let mut new = new.map_err(|error| match error {
                    sqlx::Error::PoolTimedOut => silence(ACQUIRE_TIMEOUT),
                    error => error,
                })?;
                // the pool would test a returned connection first, and wait for ever for a silent server
                new.close_on_drop();
                new
            }
        };
        let (idle, outage) = (Arc::clone(&self.idle), Arc::clone(&self.outage));
        Ok(LeasedConnection { connection, idle, generation, outage, progress: None, permit })
    }

    /// Awaits a value held by other requests, unless one of them finds the database unavailable. So requests fail
    /// together in an outage, instead of one after the other.
    ///
    /// # Errors
    /// [`sqlx::Error::PoolTimedOut`] if the wait takes too long; another if the database is unavailable.
    pub async fn unless_unavailable<T>(&self, wait: impl Future<Output = T>) -> Result<T, sqlx::Error> {
        let begun = Instant::now();
        let mut wait = pin!(wait);
        loop {
            tokio::select! {
                biased;
                value = &mut wait => return Ok(value),
                // the failed request had begun a while ago: a new one tries for itself
                () = self.unavailable.notified() => if begun.elapsed() >= ACQUIRE_TIMEOUT / 2 {
                    return Err(silence(ACQUIRE_TIMEOUT));
                },
                () = tokio::time::sleep_until(begun + 2 * ACQUIRE_TIMEOUT) => return Err(sqlx::Error::PoolTimedOut),
            }
        }
    }

    /// Discards the idle connections: after the failure of one, the rest may be broken too.
    pub fn discard_idle(&self) {
        let discarded = self.idle.lock().discard();
        drop(discarded);
    }

    /// Checks that requests can be served: the database answers, has its schema and accepts writes.
    ///
    /// # Errors
    /// 503 with the reason.
    pub async fn check_ready(&self) -> Result<(), Errors> {
        let is_full = self.outage.is_full();
        self.run_repeatable(async |connection| {
            let checked = tokio::time::timeout(ACQUIRE_TIMEOUT, readiness::check(connection, is_full)).await;
            checked.unwrap_or_else(|_| Err(silence(ACQUIRE_TIMEOUT).into()))
        })
        .await?;
        if is_full {
            self.outage.has_room();
        }
        Ok(())
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.discard_idle();
        self.pool.close().await;
    }
}

/// Opens the first connection. Waits for a database that is about to start, for `wait` at most.
async fn connect(
    options: &PgConnectOptions,
    settings: &str,
    at: &str,
    wait: Duration,
) -> Result<PgConnection, sqlx::Error> {
    let begun = Instant::now();
    let mut logged: Option<Instant> = None;
    loop {
        let attempt = async {
            let mut connection = options.connect().await?;
            connection.execute(sqlx::AssertSqlSafe(settings.to_owned())).await?;
            Ok(connection)
        };
        let attempt = tokio::time::timeout(CONNECT_TIMEOUT, attempt).await;
        let error = match attempt.unwrap_or_else(|_| Err(silence(CONNECT_TIMEOUT))) {
            Ok(connection) => {
                if logged.is_some() {
                    tracing::info!(database = at, waited = ?begun.elapsed(), "the database is there");
                }
                return Ok(connection);
            }
            Err(error) => error,
        };
        let left = wait.saturating_sub(begun.elapsed());
        if left.is_zero() || !error::is_temporary(&error) {
            return Err(error);
        }
        if logged.is_none_or(|logged| logged.elapsed() >= outage::PAUSE) {
            logged = Some(Instant::now());
            tracing::warn!(database = at, %error, "waiting for the database");
        }
        tokio::time::sleep(ATTEMPT_PAUSE.min(left)).await;
    }
}

/// Runs work in a transaction. Commits on `Ok`, rolls back on `Err`.
///
/// # Errors
/// The error of the work, or of the transaction.
pub async fn transaction<T, E: From<sqlx::Error>>(
    connection: &mut PgConnection,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    Progress::current().open();
    let mut transaction = connection.begin().await?;
    let outcome = work(&mut transaction).await;
    commit_or_rollback(transaction, outcome).await
}

async fn commit_or_rollback<T, E: From<sqlx::Error>>(
    transaction: Transaction<'_, Postgres>,
    outcome: Result<T, E>,
) -> Result<T, E> {
    match outcome {
        Ok(value) => {
            let progress = Progress::current();
            progress.commit();
            transaction.commit().await?;
            progress.committed();
            Ok(value)
        }
        // explicit, because the connection is kept: a dropped transaction holds its locks until the next use
        Err(error) => {
            transaction.rollback().await?;
            Err(error)
        }
    }
}

/// Commits on `Ok`, rolls back on `Err`, as [`transaction`] does.
///
/// # Errors
/// The error of the outcome, or of the commit.
pub async fn settle<T>(
    transaction: Transaction<'_, Postgres>,
    outcome: Result<T, StoreError>,
) -> Result<T, StoreError> {
    commit_or_rollback(transaction, outcome).await
}

/// Returns the connection options of a location, and the private server started for it, if any.
///
/// # Errors
/// If the URL is invalid, or no private server can be started.
pub async fn locate(location: Location) -> Result<(PgConnectOptions, Option<PrivatePostgres>), DatabaseError> {
    let data_dir = match location {
        Location::Url(url) => return Ok((read_url(&url).map_err(DatabaseError::Url)?, None)),
        Location::Kept(folder) => Some(folder),
        Location::Temporary => None,
    };
    let options = private::Options { data_dir, settings: Vec::new() };
    let started = tokio::task::spawn_blocking(|| PrivatePostgres::start(options));
    let server = started.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    Ok((connect_options(&server, "postgres"), Some(server)))
}

/// Parses a URL and checks its scheme, because sqlx accepts any.
fn read_url(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if !["postgres", "postgresql"].iter().any(|ours| scheme.eq_ignore_ascii_case(ours)) {
        return Err(sqlx::Error::Configuration("it does not begin with postgres://".into()));
    }
    PgConnectOptions::from_str(url)
}

/// Returns the connection options of a database on a private server.
pub fn connect_options(server: &PrivatePostgres, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host(&server.socket_dir().to_string_lossy())
        .port(server.port())
        .username(server.user())
        .database(database)
}

/// Returns host, port and database, never the password.
fn describe(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("{}:{}/{database}", options.get_host(), options.get_port())
}
