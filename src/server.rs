//! The application as a value: binds, layers the router, starts the background tasks, stops gracefully.

pub mod connection;
mod rate_limit;

use std::any::Any;
use std::future::IntoFuture;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse;
use axum::{Router, ServiceExt};
use sqlx::postgres::PgConnectOptions;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::{Layer, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::normalize_path::NormalizePathLayer;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;

use crate::accounts::caller::{Caller, sha256};
use crate::accounts::ids::Ids;
use crate::accounts::watchers::Watchers;
use crate::clock::Clock;
use crate::concierge::outputs::{Complete, store};
use crate::concierge::pricing::{Prices, PricesError};
use crate::config::{Accounts, Config};
use crate::database::batch::Batch;
use crate::database::private::PrivatePostgres;
use crate::database::{self, Database, DatabaseError, StoreError};
use crate::events::address::AddressRules;
use crate::events::delivery::{self, Orders, Post};
use crate::jsonapi::error::{Error, Errors, INTERNAL, METHOD_NOT_ALLOWED, ROUTE_UNKNOWN, UNAVAILABLE};
use crate::lifecycle::{Alarm, Lifecycle, Rules, catch_up};
use crate::metrics::Metrics;
use crate::sandbox::accounts::open::KnownKeys;
use crate::sandbox::accounts::sweep::Sweeper;
use crate::sandbox::clock::turns::Turns;
use crate::sandbox::exchanges::log::{LIMITS, Log};
use crate::sandbox::faults::directory::Directory;
use crate::sandbox::intercept::intercept;
use crate::sandbox::seed::beginning::{Beginning, SeedFile, ensure_default_account, list};
use crate::{concierge, receipts, sandbox, telemetry};
use connection::{Breaker, Connections};
use rate_limit::RateLimit;

/// How long requests under way may take once the server is told to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How long connections to the database may take to close.
const CLOSING: Duration = Duration::from_secs(1);

/// What every handler may use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<Rooms>);

/// The parts of an [`App`].
#[derive(Debug)]
pub struct Rooms {
    pub database: Database,
    pub ids: Ids,
    pub clock: Clock,
    pub rules: Rules,
    pub alarm: Alarm,
    /// When the next event is to be sent.
    pub deliveries: Alarm,
    /// Whoever sends them.
    pub post: Orders,
    /// Who waits for something to happen.
    pub watchers: Watchers,
    /// Whose turn it is to move a clock.
    pub walks: Turns,
    /// Clears what accounts leave.
    pub sweeper: Sweeper,
    /// Whether unknown keys are accounts of their own, and those that were found of late.
    pub is_open: bool,
    pub known_keys: KnownKeys,
    /// The SHA-256 of what the whole server is administered with.
    pub admin_token: Option<[u8; 32]>,
    pub metrics: Metrics,
    pub rate_limit: RateLimit,
    /// Whose keys are, and what is to go wrong for them.
    pub directory: Directory,
    /// What clients of this server did of late.
    pub log: Log,
    /// Which addresses events may be sent to.
    pub address_rules: AddressRules,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    pub create_outputs: Batch<store::Creation, store::Outcome>,
    pub find_outputs: Batch<i64, (Caller, Option<Complete>)>,
}

impl App {
    /// Sees to it that what is due in the caller's account at an instant of its time happens then. Where that is now and its
    /// time stands still, it happens before this returns, so that the same calls have the same answers.
    pub async fn set_off(&self, caller: &Caller, due_at: Option<OffsetDateTime>) {
        let Some(comes) = due_at.and_then(|due_at| caller.time.comes(due_at)) else { return };
        if caller.time.frozen_at.is_some() {
            self.catch_up(caller.account_id).await;
        }
        self.alarm.set(caller.account_id, comes);
    }

    /// Does everything that is due in an account whose time stands still, before this returns.
    pub async fn catch_up(&self, account_id: i64) {
        let done = async {
            let mut connection = self.database.connection().await?;
            let caught_up = catch_up(&mut connection, account_id, self.clock.now(), &self.rules).await;
            connection.conclude(caught_up)
        };
        // what went wrong is logged, and the background's to do
        drop(done.await);
        self.deliveries.set(account_id, OffsetDateTime::UNIX_EPOCH);
    }

    /// Has whatever is due in an account by now happen and be told: its time has changed.
    pub fn wake(&self, account_id: i64) {
        self.alarm.set(account_id, OffsetDateTime::UNIX_EPOCH);
        self.deliveries.set(account_id, OffsetDateTime::UNIX_EPOCH);
    }

    /// Forgets all that this server keeps in memory of an account that has ended. Nothing more of it is sent.
    pub async fn forget(&self, account_id: i64) {
        self.ids.forget(account_id);
        self.directory.forget(account_id);
        self.log.forget(account_id);
        self.post.forget(account_id).await;
    }

    /// Has whoever wants to know be told of what happened in the caller's account.
    pub fn tell(&self, caller: &Caller) {
        self.watchers.notify(caller.account_id);
        self.deliveries.set(caller.account_id, OffsetDateTime::UNIX_EPOCH);
    }
}

impl Deref for App {
    type Target = Rooms;

    fn deref(&self) -> &Rooms {
        &self.0
    }
}

/// Why a server can't be started; each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("{address} can't be listened on: {cause}. Choose another address with --listen; port 0 picks a free one")]
    Listen { address: SocketAddr, cause: std::io::Error },
    #[error("the prices in {file} can't be read: {cause}. Name a file that is there with --prices, or none")]
    PricesUnreadable { file: PathBuf, cause: std::io::Error },
    #[error("the prices in {file} can't be used: {cause}")]
    Prices { file: PathBuf, cause: PricesError },
    #[error("the seed in {file} can't be read: {cause}. Name a file that is there with --seed, or none")]
    SeedUnreadable { file: PathBuf, cause: std::io::Error },
    #[error("the seed in {file} can't be used: {faults}")]
    Seed { file: PathBuf, faults: String },
    #[error("the default account can't be made: {0}")]
    Fixtures(sqlx::Error),
}

/// A running server. Dropping it leaves it running; [`Server::stop`] ends it.
#[derive(Debug)]
pub struct Server {
    /// Where it listens, the port picked included.
    pub address: SocketAddr,
    app: App,
    reached: watch::Receiver<OffsetDateTime>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<std::io::Result<()>>,
    lifecycle: JoinHandle<()>,
    delivery: JoinHandle<()>,
    sweeping: JoinHandle<()>,
    private: Option<PrivatePostgres>,
}

impl Server {
    /// Opens the database that the settings name and starts serving it.
    ///
    /// # Errors
    /// Where there is no database, the address can't be listened on, or the prices can't be used.
    pub async fn start(config: &Config, clock: Clock) -> Result<Self, StartError> {
        // first what fails fastest, so that a taken port costs no database
        let files = read_files(config)?;
        let listener = listen(config.listen).await?;
        let (options, private) = database::locate(config.location()).await?;
        if private.as_ref().is_some_and(PrivatePostgres::is_throw_away) {
            tracing::info!("the database is private and goes with this process: keep one with --data-dir");
        }
        Self::start_with(config, clock, files, listener, options, private).await
    }

    /// Starts serving a database that is there already.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_on(config: &Config, clock: Clock, options: PgConnectOptions) -> Result<Self, StartError> {
        let files = read_files(config)?;
        let listener = listen(config.listen).await?;
        Self::start_with(config, clock, files, listener, options, None).await
    }

    async fn start_with(
        config: &Config,
        clock: Clock,
        (prices, seed): (Prices, Option<SeedFile>),
        listener: TcpListener,
        options: PgConnectOptions,
        private: Option<PrivatePostgres>,
    ) -> Result<Self, StartError> {
        let cannot_listen = |cause| StartError::Listen { address: config.listen, cause };
        let address = listener.local_addr().map_err(cannot_listen)?;
        let database = Database::open(options, config.database_connections).await?;
        begin(&database, config, &clock, seed.as_ref()).await?;
        let public_url = config.public_url.clone().unwrap_or_else(|| own_url(address));
        let rules = Rules { pace: config.pace(), prices: Arc::new(prices), public_url: public_url.into() };
        let (post, inbox) = Orders::new();
        let app = App(Arc::new(Rooms {
            database: database.clone(),
            ids: Ids::default(),
            clock: clock.clone(),
            rules: rules.clone(),
            alarm: Alarm::default(),
            deliveries: Alarm::default(),
            post,
            watchers: Watchers::default(),
            walks: Turns::default(),
            sweeper: Sweeper::default(),
            is_open: config.accounts == Accounts::Open,
            known_keys: KnownKeys::default(),
            admin_token: config.admin_token.as_ref().map(|token| sha256(token.as_bytes())),
            metrics: Metrics::default(),
            rate_limit: RateLimit::new(config.rate_limit),
            directory: Directory::new(database.clone()),
            log: Log::new(LIMITS),
            create_outputs: Batch::new(database.clone(), |connection, credentials, calls| {
                Box::pin(store::create(connection, credentials, calls))
            }),
            find_outputs: Batch::new(database.clone(), |connection, credentials, calls| {
                Box::pin(store::find(connection, credentials, calls))
            }),
            address_rules: config.address_rules(),
            body_timeout: config.body_timeout,
        }));
        let (stop, stopped) = watch::channel(false);
        let (reached_sender, reached) = watch::channel(OffsetDateTime::UNIX_EPOCH);
        let post =
            Post::new(database.clone(), clock.clone(), config.delivery(), (app.metrics.clone(), app.watchers.clone()));
        let delivery = tokio::spawn(delivery::run(post, app.deliveries.clone(), inbox, stopped.clone()));
        let sweeping = tokio::spawn(app.sweeper.clone().run(database.clone(), stopped.clone()));
        let lifecycle = Lifecycle {
            database,
            clock,
            rules,
            alarm: app.alarm.clone(),
            deliveries: app.deliveries.clone(),
            watchers: app.watchers.clone(),
            reached: reached_sender,
        };
        let lifecycle = tokio::spawn(lifecycle.run(stopped.clone()));
        let service = NormalizePathLayer::trim_trailing_slash().layer(router(app.clone()));
        let service = ServiceExt::<Request>::into_make_service_with_connect_info::<Breaker>(service);
        let serving = axum::serve(Connections(listener), service).with_graceful_shutdown(told(stopped));
        let serving = tokio::spawn(serving.into_future());
        Ok(Self { address, app, reached, stop, serving, lifecycle, delivery, sweeping, private })
    }

    /// What the handlers use.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Returns once everything that is due up to `instant` has happened.
    pub async fn reached(&self, instant: OffsetDateTime) {
        let mut reached = self.reached.clone();
        // the sender lives as long as the lifecycle; when that has stopped, nothing more will happen
        let _ = reached.wait_for(|reached| *reached >= instant).await;
    }

    /// Returns once everything that is due now has happened, and every attempt at telling of it has ended.
    pub async fn told(&self) {
        self.reached(self.app.clock.now()).await;
        self.app.post.caught_up(None).await;
    }

    /// Stops: no new connections, requests under way finish (10 s at most), what is half done in the background
    /// is finished, the private database stops.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(GRACE, self.serving).await.is_err() {
            tracing::warn!("requests under way did not finish within {} s", GRACE.as_secs());
        }
        if tokio::time::timeout(GRACE, self.lifecycle).await.is_err() {
            tracing::warn!("the background task did not finish");
        }
        if tokio::time::timeout(GRACE, self.delivery).await.is_err() {
            tracing::warn!("events under way did not come to an end");
        }
        // what it had begun to clear is cleared another time
        drop(self.sweeping.await);
        if let Err(error) = self.app.ids.release(&self.app.database).await {
            tracing::warn!(%error, "unused ids could not be given back; there will be a gap in the numbers");
        }
        if tokio::time::timeout(CLOSING, self.app.database.close()).await.is_err() {
            tracing::warn!("some connections to the database were still in use");
        }
        if let Some(private) = self.private {
            tokio::task::spawn_blocking(|| private.stop()).await.ok();
        }
    }
}

/// Does something in a task of its own, so that it comes to its end though the client hangs up.
pub async fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// How the server is reached from this machine.
fn own_url(address: SocketAddr) -> String {
    let host = if address.ip().is_unspecified() { "localhost".to_owned() } else { address.ip().to_string() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    format!("http://{host}:{}", address.port())
}

/// The prices in a file, or those that are built in.
fn read_prices(file: Option<&Path>) -> Result<Prices, StartError> {
    let Some(file) = file else {
        return Prices::built_in()
            .map_err(|cause| StartError::Prices { file: "src/concierge/prices.json".into(), cause });
    };
    let text =
        std::fs::read_to_string(file).map_err(|cause| StartError::PricesUnreadable { file: file.to_owned(), cause })?;
    Prices::read(&text).map_err(|cause| StartError::Prices { file: file.to_owned(), cause })
}

/// The files that the settings name: the prices, and what to seed.
fn read_files(config: &Config) -> Result<(Prices, Option<SeedFile>), StartError> {
    let prices = read_prices(config.prices.as_deref())?;
    let unreadable = |file: &Path, cause| StartError::SeedUnreadable { file: file.to_owned(), cause };
    let seed = config.seed.as_deref().map(|file| SeedFile::read(file).map_err(|cause| unreadable(file, cause)));
    Ok((prices, seed.transpose()?))
}

/// Makes the default account, unless it is there.
async fn begin(database: &Database, config: &Config, clock: &Clock, seed: Option<&SeedFile>) -> Result<(), StartError> {
    let mut connection = database.connection().await.map_err(StartError::Fixtures)?;
    let (pace, rules) = (config.pace(), config.address_rules());
    let beginning = Beginning { now: clock.now(), pace: &pace, rules: &rules, seed };
    match (ensure_default_account(&mut connection, &beginning).await, seed) {
        (Ok(()), _) => {
            connection.end();
            Ok(())
        }
        (Err(StoreError::Database(error)), _) => Err(StartError::Fixtures(error)),
        (Err(StoreError::Refused(faults)), seed) => {
            let file = seed.map(|seed| seed.path.clone()).unwrap_or_default();
            Err(StartError::Seed { file, faults: list(&faults) })
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|cause| StartError::Listen { address, cause })
}

async fn told(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Every route, and what all of them share. The outermost layer comes first.
fn router(app: App) -> Router {
    let layers = ServiceBuilder::new()
        .map_request(telemetry::keep_valid_request_id)
        .layer(SetRequestIdLayer::new(telemetry::REQUEST_ID, telemetry::NewRequestId))
        .layer(PropagateRequestIdLayer::new(telemetry::REQUEST_ID))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(telemetry::request_span as fn(&Request) -> tracing::Span)
                .on_request(())
                .on_response(telemetry::log_response)
                .on_failure(()),
        )
        .layer(from_fn_with_state(app.clone(), intercept))
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(from_fn_with_state(app.clone(), limit_time));
    Router::new()
        .merge(concierge::routes())
        .merge(receipts::routes())
        .merge(sandbox::routes())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app)
        .layer(layers)
}

/// Where simulations are, which take as long as there are outputs that they take along.
const SIMULATIONS: &str = "/_sandbox/simulations/";
/// The paths of requests that take as long as it takes: those that go through time, or wait.
const UNLIMITED: [&str; 4] = ["/_sandbox/clock/advance", "/_sandbox/clock/set", "/_sandbox/settle", "/_sandbox/wait"];

/// No other request goes on for ever: a connection to the database that carries nothing any more would keep it waiting.
async fn limit_time(State(app): State<App>, request: Request, next: Next) -> Result<Response<Body>, Errors> {
    let path = request.uri().path();
    if UNLIMITED.contains(&path) || path.starts_with(SIMULATIONS) {
        return Ok(next.run(request).await);
    }
    let limit = app.body_timeout + GRACE;
    tokio::time::timeout(limit, next.run(request)).await.map_err(|_| {
        let detail = format!("no answer was found within {} s; the request can be repeated", limit.as_secs());
        Errors::from(Error::new(UNAVAILABLE, detail)).retry_after(1)
    })
}

async fn unknown_route(request: Request) -> Errors {
    let detail = format!("there is nothing at {}; the API is under /api", request.uri().path());
    Error::new(ROUTE_UNKNOWN, detail).into()
}

async fn wrong_method(request: Request) -> Errors {
    let detail = format!("{} is not one of the methods in Allow", request.method());
    Error::new(METHOD_NOT_ALLOWED, detail).into()
}

fn answer_panic(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let detail = "the server failed; its log says why, under this answer's X-Request-Id";
    Errors::from(Error::new(INTERNAL, detail)).into_response()
}
