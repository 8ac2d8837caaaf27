//! The database: which one, the pool, and the schema.
//!
//! `DATABASE_URL` where it is set, else a [private] PostgreSQL of our own. Stores get connections here and
//! nothing else; SQL is in the stores.

pub mod batch;
pub mod migrations;
pub mod private;

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Executor, Postgres, Transaction};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use private::{PrivateError, PrivatePostgres};

use crate::jsonapi::error::{Error, Errors, INTERNAL, UNAVAILABLE};

/// How long a request waits for a connection before it is told that the database is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the first connection may take before the database counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings of every session. A statement is planned once, when its tables may still be empty, and the plan has
/// to serve when they hold millions: each finds its rows by an index, one after the other.
pub const SESSION: [(&str, &str); 7] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
    ("client_min_messages", "warning"),
    // a server that stands still in the middle of a transaction doesn't hold up the others for ever (ms)
    ("idle_in_transaction_session_timeout", "10000"),
];

/// Where the data is.
#[derive(Debug, Clone)]
pub enum Location {
    /// A server that is there already.
    Url(String),
    /// A private server with its data in this folder.
    Kept(PathBuf),
    /// A private server whose data goes with it.
    ThrowAway,
}

/// Why there is no database; each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("DATABASE_URL can't be used: {0}. It looks like postgres://USER:PASSWORD@HOST:5432/DATABASE")]
    Url(sqlx::Error),
    #[error(
        "the database at {at} can't be reached: {cause}. Start it or correct DATABASE_URL (--database-url); \
         without one, a private PostgreSQL is used"
    )]
    Unreachable { at: String, cause: sqlx::Error },
    #[error("the database at {at} runs PostgreSQL {found}; version 15 or newer is needed")]
    TooOld { at: String, found: i32 },
    #[error("the schema of the database at {at} can't be brought up to date: {cause}")]
    Migration { at: String, cause: sqlx::migrate::MigrateError },
    #[error(transparent)]
    Private(#[from] PrivateError),
}

/// Connections to the database. Cheap to clone.
///
/// A connection whose statement ended well is kept warm and handed to the next request as it is: the pool would
/// ask the server after each use whether the connection is still good, a round trip a request. One that was
/// dropped in the middle is closed.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
    warm: Arc<Mutex<Warm>>,
    permits: Arc<Semaphore>,
    /// Tells those who wait for others that the others found the database away.
    away: Arc<Notify>,
}

/// Connections that wait to be lent again.
#[derive(Debug, Default)]
struct Warm {
    connections: Vec<PoolConnection<Postgres>>,
    /// How often they were let go.
    generation: u64,
}

impl Warm {
    /// Lets them go, and those on loan when they come back.
    fn cool(&mut self) -> Vec<PoolConnection<Postgres>> {
        self.generation += 1;
        std::mem::take(&mut self.connections)
    }
}

/// A connection on loan; hand it back with [`Loan::end`] when its work went well.
#[derive(Debug)]
pub struct Loan {
    connection: PoolConnection<Postgres>,
    warm: Arc<Mutex<Warm>>,
    generation: u64,
    // dropped last: whoever waits for it finds the connection
    permit: OwnedSemaphorePermit,
}

impl Loan {
    /// Ends the loan after a success, so that the connection is used again at once.
    pub fn end(self) {
        let mut warm = self.warm.lock();
        // one that was lent before others failed is not to be trusted either
        if warm.generation == self.generation {
            warm.connections.push(self.connection);
        }
        drop(warm);
        drop(self.permit);
    }

    /// Ends the loan with the outcome of its work; a failure is logged here, once, and told to the client as what it
    /// means to it.
    ///
    /// # Errors
    /// Why the request was refused; 503 where the database is away, else 500.
    pub fn conclude<T>(self, outcome: Result<T, impl Into<StoreError>>) -> Result<T, Errors> {
        match outcome.map_err(Into::into) {
            Ok(value) => {
                self.end();
                Ok(value)
            }
            Err(StoreError::Refused(errors)) => {
                self.end();
                Err(errors)
            }
            Err(StoreError::Database(error)) => {
                if is_away(&error) {
                    // the others are not to be trusted either
                    self.warm.lock().cool();
                }
                Err(error.into())
            }
        }
    }
}

/// Why a store didn't do what it was asked.
#[derive(Debug)]
pub enum StoreError {
    /// The client is told why; nothing was changed.
    Refused(Errors),
    Database(sqlx::Error),
}

impl From<Errors> for StoreError {
    fn from(refused: Errors) -> Self {
        Self::Refused(refused)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Ends a transaction: what it did stays if all of it went well, and nothing of it otherwise.
///
/// # Errors
/// Those of the outcome, or of the commit.
pub async fn settle<T>(
    transaction: Transaction<'_, Postgres>,
    outcome: Result<T, StoreError>,
) -> Result<T, StoreError> {
    end(transaction, outcome).await
}

/// The same where nothing is refused.
///
/// # Errors
/// Those of the outcome, or of the commit.
pub async fn end<T, E: From<sqlx::Error>>(
    transaction: Transaction<'_, Postgres>,
    outcome: Result<T, E>,
) -> Result<T, E> {
    match outcome {
        Ok(value) => {
            transaction.commit().await?;
            Ok(value)
        }
        // at once, because the connection is kept: dropped, it would keep its locks until it is used again
        Err(error) => {
            transaction.rollback().await?;
            Err(error)
        }
    }
}

impl From<sqlx::Error> for Errors {
    fn from(error: sqlx::Error) -> Self {
        if is_away(&error) {
            tracing::warn!(%error, "the database is away");
            let detail = "the database is away; the same request can be repeated in a moment";
            return Self::from(Error::new(UNAVAILABLE, detail)).retry_after(1);
        }
        // rows go only with their account
        if matches!(&error, sqlx::Error::Database(error) if error.is_foreign_key_violation()) {
            let detail = "the account was deleted while this was under way; ask again, and it is told so or begun anew";
            return Self::from(Error::new(UNAVAILABLE, detail)).retry_after(1);
        }
        tracing::error!(%error, "a statement failed");
        Error::new(INTERNAL, "the server failed; its log says why, under this answer's X-Request-Id").into()
    }
}

impl Deref for Loan {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Database {
    /// Connects, checks the version and brings the schema up to date. Several servers may do so at once.
    ///
    /// # Errors
    /// Where the database can't be reached, is too old, or its schema can't be migrated.
    pub async fn open(options: PgConnectOptions, connections: u32) -> Result<Self, DatabaseError> {
        let at = describe(&options);
        let unreachable = |cause| DatabaseError::Unreachable { at: at.clone(), cause };
        let settings = SESSION.map(|(name, value)| format!("set {name} = {value}")).join("; ");
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .after_connect(move |connection, _| {
                let settings = sqlx::AssertSqlSafe(settings.clone());
                Box::pin(async move { connection.execute(settings).await.map(|_| ()) })
            });
        // a connection of its own first: the pool would hide why it failed behind a time-out
        let first = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await.unwrap_or_else(|_| {
            let silence = format!("it did not answer within {} s", CONNECT_TIMEOUT.as_secs());
            Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, silence)))
        });
        let mut first = first.map_err(unreachable)?;
        let version: String =
            sqlx::query_scalar("show server_version_num").fetch_one(&mut first).await.map_err(unreachable)?;
        let found = version.parse::<i32>().unwrap_or_default() / 10_000;
        if found < 15 {
            return Err(DatabaseError::TooOld { at, found });
        }
        migrations::migrator().run(&mut first).await.map_err(|cause| DatabaseError::Migration { at, cause })?;
        sqlx::Connection::close(first).await.ok();
        let permits = Arc::new(Semaphore::new(connections as usize));
        // what takes too long is given up, and said by whoever gives it up
        let options = options.disable_statement_logging();
        Ok(Self { pool: pool.connect_lazy_with(options), warm: Arc::default(), permits, away: Arc::default() })
    }

    /// Lends a connection.
    ///
    /// # Errors
    /// [`sqlx::Error::PoolTimedOut`] and the like where the database is away.
    pub async fn connection(&self) -> Result<Loan, sqlx::Error> {
        let permit = self.unless_away(Arc::clone(&self.permits).acquire_owned()).await?;
        let permit = permit.map_err(|_| sqlx::Error::PoolClosed)?;
        let (warm, generation) = {
            let mut warm = self.warm.lock();
            (warm.connections.pop(), warm.generation)
        };
        let connection = match warm {
            Some(connection) => connection,
            None => {
                // boxed because it is large and seldom: every future that awaits a connection would carry it along
                let mut new = Box::pin(self.pool.acquire()).await.inspect_err(|_| self.away.notify_waiters())?;
                // returned to the pool, it would be tested first, for ever where nobody answers any more
                new.close_on_drop();
                new
            }
        };
        Ok(Loan { connection, warm: Arc::clone(&self.warm), generation, permit })
    }

    /// Waits for what other requests hold, until one of them finds the database away: in an outage, requests fail
    /// together instead of one after the other.
    ///
    /// # Errors
    /// [`sqlx::Error::PoolTimedOut`] where the database is away, or the wait takes too long.
    pub async fn unless_away<T>(&self, wait: impl Future<Output = T>) -> Result<T, sqlx::Error> {
        let begun = Instant::now();
        let mut wait = pin!(wait);
        loop {
            tokio::select! {
                biased;
                value = &mut wait => return Ok(value),
                // one that failed had begun a while ago: who came only now finds out anew
                () = self.away.notified() => if begun.elapsed() >= ACQUIRE_TIMEOUT / 2 {
                    return Err(sqlx::Error::PoolTimedOut);
                },
                () = tokio::time::sleep_until(begun + 2 * ACQUIRE_TIMEOUT) => return Err(sqlx::Error::PoolTimedOut),
            }
        }
    }

    /// Lets go of the connections that were kept warm: after one failed, the others are not to be trusted either.
    pub fn cool(&self) {
        let cooled = self.warm.lock().cool();
        drop(cooled);
    }

    /// Whether the database answers.
    pub async fn is_ready(&self) -> bool {
        let Ok(mut connection) = self.connection().await else { return false };
        let answer = tokio::time::timeout(ACQUIRE_TIMEOUT, sqlx::query("select 1").execute(&mut *connection)).await;
        match answer {
            Ok(Ok(_)) => {
                connection.end();
                true
            }
            _ => {
                self.cool();
                false
            }
        }
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.cool();
        self.pool.close().await;
    }
}

/// Where the data is, opened: connection options, and the private server if it is one.
///
/// # Errors
/// Where the URL is none, or no private server can be started.
pub async fn locate(location: Location) -> Result<(PgConnectOptions, Option<PrivatePostgres>), DatabaseError> {
    let data_dir = match location {
        Location::Url(url) => return Ok((read_url(&url).map_err(DatabaseError::Url)?, None)),
        Location::Kept(folder) => Some(folder),
        Location::ThrowAway => None,
    };
    let options = private::Options { data_dir, settings: Vec::new() };
    let started = tokio::task::spawn_blocking(|| PrivatePostgres::start(options));
    let server = started.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    Ok((connect_options(&server, "postgres"), Some(server)))
}

/// Reads a URL. sqlx would take one of any scheme for PostgreSQL's.
fn read_url(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if !["postgres", "postgresql"].iter().any(|ours| scheme.eq_ignore_ascii_case(ours)) {
        return Err(sqlx::Error::Configuration("it does not begin with postgres://".into()));
    }
    PgConnectOptions::from_str(url)
}

/// How to reach a database of a private server.
pub fn connect_options(server: &PrivatePostgres, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host(&server.socket_dir().to_string_lossy())
        .port(server.port())
        .username(server.user())
        .database(database)
}

/// Whether an error says that the database is away, rather than that a statement was wrong.
pub fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // class 08: connection; 53: resources, a full disk included; 57P: shutting down or starting up
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08") || code.starts_with("53") || code.starts_with("57P") || code == "25006"
        }),
        _ => false,
    }
}

/// Host and database, never the password.
fn describe(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("{}:{}/{database}", options.get_host(), options.get_port())
}
