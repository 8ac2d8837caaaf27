//! The server as a value: binds its address, starts the background tasks and stops gracefully.

mod descriptors;
mod framing;
mod in_flight;
mod router;
mod serving;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::Layer;
use tower_http::normalize_path::NormalizePathLayer;

use crate::accounts::caller::sha256;
use crate::accounts::ids::Ids;
use crate::accounts::watchers::Watchers;
use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::concierge::outputs::store;
use crate::concierge::pricing::Prices;
use crate::concierge::pricing::read::PricesError;
use crate::concierge::rules::Rules;
use crate::config::{AccountPolicy, Config};
use crate::database::batch::Batch;
use crate::database::private::PrivatePostgres;
use crate::database::{self, Database, DatabaseError, StoreError};
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::sandbox::seed::bootstrap::{Bootstrap, SeedFile, describe_faults, ensure_default_account};
use crate::sandbox::state::ControlPlane;
use crate::web::account_limits::AccountLimits;
use crate::web::answers::AnswerMemory;
use crate::web::app::{App, AppState};
use crate::web::open_accounts::OpenAccounts;
use crate::web::origin::OriginRules;
use crate::web::rate_limit::RateLimit;
use crate::web::stopping::Stopping;
use crate::webhooks;
use crate::webhooks::trust::{Trust, TrustError};
use crate::webhooks::{Dispatcher, DispatcherHandle, ResultObservers};
use router::router;
use serving::{PhaseLimits, Rules as ServingRules, TlsError};
pub use serving::{Tls, connect};

/// Time limit of each background task during a shutdown.
const GRACE: Duration = Duration::from_secs(8);
/// Time limit to close the connections to the database.
const CLOSING: Duration = Duration::from_secs(1);

/// Reasons for a failed start. Most messages name a remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The private PostgreSQL ended again and again.
    #[error("{0}")]
    Lost(String),
    #[error("can't listen on {address}: {cause}. Choose another address with --listen; port 0 picks a free port")]
    Listen { address: SocketAddr, cause: std::io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("the prices in {file} can't be read: {cause}. Name an existing file with --prices, or leave it out")]
    PricesUnreadable { file: PathBuf, cause: std::io::Error },
    #[error("the prices in {file} are invalid: {cause}")]
    Prices { file: PathBuf, cause: PricesError },
    #[error("the seed in {file} can't be read: {cause}. Name an existing file with --seed, or leave it out")]
    SeedUnreadable { file: PathBuf, cause: std::io::Error },
    #[error("the seed in {file} is invalid: {faults}")]
    Seed { file: PathBuf, faults: String },
    #[error("the default account can't be created: {0}")]
    Fixtures(sqlx::Error),
}

/// A running server. [`Server::stop`] ends it in order; dropping it ends it without waiting.
#[derive(Debug)]
pub struct Server {
    /// The address it listens on, with the actual port.
    pub address: SocketAddr,
    app: App,
    reached: watch::Receiver<Option<OffsetDateTime>>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    lifecycle: JoinHandle<()>,
    delivery: JoinHandle<()>,
    sweeping: JoinHandle<()>,
    private: Option<PrivatePostgres>,
}

impl Server {
    /// Opens the database named by the settings and starts a server on it.
    ///
    /// # Errors
    /// If the database or the address is unavailable, or the prices or the seed are invalid.
    pub async fn start(config: &Config, clock: Clock) -> Result<Self, StartError> {
        // the fastest checks first, so that a taken port costs no database
        let files = Files::read(config)?;
        let listener = listen(config.listen)?;
        let (options, private) = database::locate(config.location()).await?;
        if private.as_ref().is_some_and(PrivatePostgres::is_temporary) {
            tracing::info!("the private database is deleted on exit: keep its data with --data-dir");
        }
        let lost = lost(private.as_ref());
        tokio::select! {
            server = Self::start_with(config, clock, files, listener, options, private) => server,
            sentence = lost => Err(StartError::Lost(sentence)),
        }
    }

    /// Starts a server on an existing database.
    ///
    /// # Errors
    /// As in [`Server::start`].
    pub async fn start_on(config: &Config, clock: Clock, options: PgConnectOptions) -> Result<Self, StartError> {
        let files = Files::read(config)?;
        let listener = listen(config.listen)?;
        Self::start_with(config, clock, files, listener, options, None).await
    }

    async fn start_with(
        config: &Config,
        clock: Clock,
        Files { prices, seed, tls, trust }: Files,
        listener: TcpListener,
        options: PgConnectOptions,
        private: Option<PrivatePostgres>,
    ) -> Result<Self, StartError> {
        let cannot_listen = |cause| StartError::Listen { address: config.listen, cause };
        let address = listener.local_addr().map_err(cannot_listen)?;
        let database = Database::open(options, config.database_connections, config.database_wait).await?;
        begin(&database, config, &clock, seed.as_ref()).await?;
        if config.admin_token.is_none() && !address.ip().is_loopback() {
            tracing::warn!(
                %address,
                "everybody in the network can create accounts and use the documented keys: set --admin-token, or listen \
                 on 127.0.0.1"
            );
        }
        let origins = OriginRules {
            public_url: config.public_url(),
            listening: own_url(address, tls.is_some()).into(),
            trusts_proxy: config.trust_proxy,
            allowed_hosts: config.allowed_hosts(),
        };
        let public_url = origins.public_url.as_ref().unwrap_or(&origins.listening);
        let rules = Rules { timing: config.timing(), prices: Arc::new(prices), public_url: Arc::clone(public_url) };
        let (dispatcher, commands) = DispatcherHandle::new();
        let (stop, stopped) = watch::channel(false);
        let stopping = Stopping::new(stopped.clone());
        let admin_token = config.admin_token.as_ref().map(|token| sha256(token.as_bytes()));
        let app = App::new(AppState {
            database: database.clone(),
            ids: Ids::default(),
            clock: clock.clone(),
            rules: rules.clone(),
            origins,
            cross_origins: config.cors_origin.clone(),
            alarm: Alarm::default(),
            deliveries: Alarm::default(),
            dispatcher,
            watchers: Watchers::default(),
            account_limits: AccountLimits::new(config.max_accounts, config.account_rate),
            open_accounts: (config.accounts == AccountPolicy::Open).then(|| OpenAccounts::new(admin_token)),
            metrics: Metrics::default(),
            rate_limit: RateLimit::new(config.rate_limit),
            answers: AnswerMemory::new(config.answer_memory),
            create_outputs: Batch::writing(database.clone(), |connection, credentials, calls| {
                Box::pin(store::create(connection, credentials, calls))
            }),
            find_outputs: Batch::reading(database.clone(), |connection, credentials, calls| {
                Box::pin(store::find(connection, credentials, calls))
            }),
            address_rules: config.address_rules(),
            body_timeout: config.body_timeout,
            stopping: stopping.clone(),
        });
        let plane = ControlPlane::new(app.clone(), admin_token);
        let (reached_sender, reached) = watch::channel(None);
        let observers = ResultObservers { metrics: app.metrics.clone(), watchers: app.watchers.clone() };
        let dispatcher = Dispatcher::new(database.clone(), clock.clone(), config.delivery(trust), observers);
        let delivery = tokio::spawn(webhooks::run(dispatcher, app.deliveries.clone(), commands, stopped.clone()));
        let sweeping = tokio::spawn(plane.sweeper.clone().run(database.clone(), stopped.clone()));
        let lifecycle = Lifecycle {
            database,
            clock: clock.clone(),
            rules,
            alarm: app.alarm.clone(),
            deliveries: app.deliveries.clone(),
            watchers: app.watchers.clone(),
            metrics: app.metrics.clone(),
            reached: reached_sender,
        };
        let lifecycle = tokio::spawn(lifecycle.run(stopped.clone()));
        let service = NormalizePathLayer::trim_trailing_slash().layer(router(
            &plane,
            Config::described(),
            config.max_requests as usize,
        ));
        let rules = ServingRules {
            phases: PhaseLimits { head: config.header_timeout, idle: config.idle_timeout },
            write_timeout: config.write_timeout,
            body_timeout: config.body_timeout,
            connections: descriptors::most_connections(config),
            tls,
            clock,
            stopping,
        };
        let serving = tokio::spawn(serving::serve(listener, service, rules));
        Ok(Self { address, app, reached, stop, serving, lifecycle, delivery, sweeping, private })
    }

    /// Returns the state of the handlers.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Waits until everything due up to `instant` has happened.
    pub async fn wait_until(&self, instant: OffsetDateTime) {
        let mut reached = self.reached.clone();
        // the sender lives as long as the lifecycle; after its end, nothing more will happen
        let _ = reached.wait_for(|reached| *reached >= Some(instant)).await;
    }

    /// Waits until everything due now has happened, and every delivery attempt for it has ended.
    pub async fn wait_until_delivered(&self) {
        self.wait_until(self.app.clock.now()).await;
        self.app.dispatcher.wait_until_idle().await;
    }

    /// Waits until the server can't go on, because its private database is lost. Returns a sentence with the remedy.
    pub fn lost(&self) -> impl Future<Output = String> + use<> {
        lost(self.private.as_ref())
    }

    /// Stops the server: refuses new connections, answers requests that wait, and waits for the others (8 s at most).
    /// Background work in progress is finished, then the private database stops.
    pub async fn stop(self) {
        if let Some(private) = &self.private {
            private.leave();
        }
        self.stop.send_replace(true);
        // it has a time limit of its own
        drop(self.serving.await);
        if tokio::time::timeout(GRACE, self.lifecycle).await.is_err() {
            tracing::warn!("the background task did not finish");
        }
        if tokio::time::timeout(GRACE, self.delivery).await.is_err() {
            tracing::warn!("delivery attempts in progress did not finish");
        }
        // an interrupted clearing continues another time
        drop(self.sweeping.await);
        if let Err(error) = self.app.ids.release(&self.app.database).await {
            tracing::warn!(%error, "unused ids could not be returned; new ids will have a gap");
        }
        if tokio::time::timeout(CLOSING, self.app.database.close()).await.is_err() {
            tracing::warn!("some connections to the database were still in use");
        }
        if let Some(private) = self.private {
            tokio::task::spawn_blocking(|| private.stop()).await.ok();
        }
    }
}

/// Waits until a private database is lost; for ever without one.
fn lost(private: Option<&PrivatePostgres>) -> impl Future<Output = String> + use<> {
    let lost = private.map(PrivatePostgres::lost);
    async {
        match lost {
            Some(lost) => lost.await,
            None => std::future::pending().await,
        }
    }
}

/// Returns the URL of a server with these settings: the public one, else the one on this machine.
pub fn url(config: &Config) -> String {
    config.public_url.clone().unwrap_or_else(|| own_url(config.listen, config.tls_cert.is_some()))
}

/// Returns the server's URL on this machine.
fn own_url(address: SocketAddr, is_secure: bool) -> String {
    let host = if address.ip().is_unspecified() { "localhost".to_owned() } else { address.ip().to_string() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    format!("{}://{host}:{}", if is_secure { "https" } else { "http" }, address.port())
}

/// Reads the prices from a file, or returns the built-in ones.
fn read_prices(file: Option<&Path>) -> Result<Prices, StartError> {
    let Some(file) = file else {
        return Prices::built_in()
            .map_err(|cause| StartError::Prices { file: "src/concierge/prices.json".into(), cause });
    };
    let text =
        std::fs::read_to_string(file).map_err(|cause| StartError::PricesUnreadable { file: file.to_owned(), cause })?;
    Prices::read(&text).map_err(|cause| StartError::Prices { file: file.to_owned(), cause })
}

/// The files named by the settings.
struct Files {
    prices: Prices,
    seed: Option<SeedFile>,
    tls: Option<Tls>,
    trust: Trust,
}

impl Files {
    fn read(config: &Config) -> Result<Self, StartError> {
        let prices = read_prices(config.prices.as_deref())?;
        let unreadable = |file: &Path, cause| StartError::SeedUnreadable { file: file.to_owned(), cause };
        let seed = config.seed.as_deref().map(|file| SeedFile::read(file).map_err(|cause| unreadable(file, cause)));
        let pair = config.tls_cert.as_deref().zip(config.tls_key.as_deref());
        let tls = pair.map(|(certificate, key)| Tls::read(certificate, key));
        let trust = Trust::read(&config.webhook_ca, config.webhook_insecure)?;
        Ok(Self { prices, seed: seed.transpose()?, tls: tls.transpose()?, trust })
    }
}

/// Creates the default account unless it exists.
async fn begin(database: &Database, config: &Config, clock: &Clock, seed: Option<&SeedFile>) -> Result<(), StartError> {
    let mut connection = database.connection().await.map_err(StartError::Fixtures)?;
    let (timing, rules) = (config.timing(), config.address_rules());
    let beginning = Bootstrap { now: clock.now(), timing: &timing, rules: &rules, seed };
    match (ensure_default_account(&mut connection, &beginning).await, seed) {
        (Ok(()), _) => {
            connection.release();
            Ok(())
        }
        (Err(StoreError::Database(error)), _) => Err(StartError::Fixtures(error)),
        (Err(StoreError::Refused(faults)), seed) => {
            let file = seed.map(|seed| seed.path.clone()).unwrap_or_default();
            Err(StartError::Seed { file, faults: describe_faults(&faults) })
        }
    }
}

/// Maximum number of new connections that the system keeps for the server.
const BACKLOG: u32 = 1024;
/// Send buffer of each connection, in bytes: a client that reads slowly is then seen to read. The system doubles it.
const SEND_BUFFER: u32 = 128 << 10;

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // a server that was just stopped leaves connections behind
        socket.set_reuseaddr(true)?;
        // connections have the size of their listener
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|cause| StartError::Listen { address, cause })
}
