//! One scenario: servers over a database of their own, accounts, their clients under load, and a receiver.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::checker::{self, Finding, Kind, unfinished};
use crate::clients::{Addresses, Called, Client};
use crate::journal::{Journal, Progress, Record};
use crate::listener::{Heard, Listener};
use crate::load::Load;
use crate::postgres::Postgres;
use crate::random::Random;
use crate::report::Report;
use crate::scale::Scale;
use crate::support::{Program, Proxy, client, url_of};

/// Settings of the servers: short steps, and retries that outlast every outage.
const SETTINGS: [&str; 8] = [
    "--check-delay=20ms",
    "--approval-delay=20ms",
    "--quote-delay=30ms",
    "--step-delay=20ms",
    "--webhook-timeout=5s",
    "--webhook-retries=100ms,200ms,400ms,500ms,500ms,500ms,1s,1s,1s,2s,2s,2s,5s,5s,5s,10s,10s,10s",
    "--database-wait=60s",
    "--log=warn",
];

/// The keys of the accounts.
pub const KEYS: [&str; 2] = ["your_api_key", "chaos-second"];
/// Longest wait for progress of the clients, or for a recovery.
const PATIENCE: Duration = Duration::from_secs(90);
/// Longest wait for due work after the load. Leases of killed servers last 20 s.
const REST: Duration = Duration::from_mins(2);
/// Pause between two looks at the database.
const LOOK: Duration = Duration::from_millis(100);

/// A scenario on its way.
pub struct Stage {
    name: &'static str,
    pub scale: Scale,
    pub random: Random,
    pub postgres: Arc<Postgres>,
    pub database: PgConnectOptions,
    /// URL of the database for the servers.
    url: String,
    proxy: Option<Arc<Proxy>>,
    servers: Vec<Option<Program>>,
    addresses: Addresses,
    pub journals: Vec<Arc<Journal>>,
    listener: Listener,
    progress: watch::Sender<Progress>,
    clients: JoinSet<()>,
    stop: watch::Sender<bool>,
    control: Vec<Client>,
    recovered: Vec<Duration>,
    /// Lines of servers that tell of a fault in them.
    alarms: Vec<String>,
}

impl Stage {
    /// Starts servers on a fresh database, makes the accounts, and sets their receiver.
    pub async fn open(name: &'static str, scale: Scale, postgres: &Arc<Postgres>, servers: usize, load: Load) -> Self {
        let database = format!("stage_{}", name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_"));
        let database = postgres.create_database(&database.to_lowercase(), "template0").await;
        let (progress, stop) = (Progress::start(), watch::Sender::new(false));
        let journals = KEYS.map(|key| Arc::new(Journal::open(key, progress.clone()))).to_vec();
        let mut stage = Self {
            name,
            scale,
            random: Random::seeded(scale.seed),
            postgres: Arc::clone(postgres),
            url: url_of(&database),
            database,
            proxy: None,
            servers: Vec::new(),
            addresses: Addresses::default(),
            journals,
            listener: Listener::open().await,
            progress,
            clients: JoinSet::new(),
            stop,
            control: Vec::new(),
            recovered: Vec::new(),
            alarms: Vec::new(),
        };
        for place in 0..servers {
            stage.servers.push(None);
            stage.start_server(place).await;
        }
        for account in 0..KEYS.len() {
            stage.control.push(stage.client(account, 0, load));
        }
        stage.command(1, Method::POST, "/_sandbox/accounts", &json!({"key": KEYS[1]}).to_string()).await;
        for (account, of_account) in load.accounts.iter().enumerate() {
            if of_account.is_told {
                stage.listen(account).await;
            }
            for number in 1..=of_account.clients {
                let client = stage.client(account, number, load);
                stage.clients.spawn(client.run());
            }
        }
        stage
    }

    /// Returns a client of an account; the number 0 is that of its control.
    fn client(&self, account: usize, number: usize, load: Load) -> Client {
        let number = 100 * account + number;
        Client {
            http: client(),
            addresses: self.addresses.clone(),
            journal: Arc::clone(&self.journals[account]),
            number,
            random: Random::seeded(self.scale.seed + number as u64),
            also_expected: load.also_expected,
            stop: self.stop.subscribe(),
            calls: 0,
        }
    }

    /// Starts a server on a port of its own.
    pub async fn start_server(&mut self, place: usize) {
        let environment = [("DATABASE_URL", self.url.as_str()), ("SANDBOX_LISTEN", "127.0.0.1:0")];
        let mut server = Program::run(&SETTINGS, &environment);
        server.ready().await;
        self.addresses.set(place, &server.base);
        self.servers[place] = Some(server);
    }

    /// Kills a server.
    pub async fn kill_server(&mut self, place: usize) {
        let server = self.servers[place].take().unwrap();
        server.signal(Signal::KILL);
        self.alarms.extend(alarms(server.ended().await.stderr));
    }

    /// Restarts the servers with their database behind a proxy, and returns the proxy.
    pub async fn put_behind_proxy(&mut self) -> Arc<Proxy> {
        let proxy = Arc::new(Proxy::open_to(&self.database));
        self.url = proxy.url(&self.database);
        for place in 0..self.servers.len() {
            self.kill_server(place).await;
            self.start_server(place).await;
        }
        self.proxy = Some(Arc::clone(&proxy));
        proxy
    }

    /// Calls the control plane as an account, and returns the call.
    pub async fn command(&mut self, account: usize, method: Method, path: &str, body: &str) -> Called {
        let called = self.control[account].call(method, path, body, None).await;
        let is_done = called.answer.as_ref().is_ok_and(|(status, _)| *status < 300);
        assert!(is_done, "{path} of account {account}: {:?}", called.answer.as_ref().ok());
        called
    }

    /// Sets the receiver of an account's events.
    pub async fn listen(&mut self, account: usize) {
        let attributes = json!({"webhook_url": self.listener.url(KEYS[account])});
        let body = json!({"data": {"type": "users", "attributes": attributes}}).to_string();
        self.command(account, Method::PATCH, "/api/users/me", &body).await;
    }

    /// Waits until the clients have this number of further acknowledged writes.
    pub async fn writes(&self, number: u64) {
        let wanted = self.progress.borrow().acknowledged + number;
        self.wait("acknowledged writes", |progress| progress.acknowledged >= wanted).await;
    }

    /// Waits until clients have got this number of further answers with an error code.
    pub async fn answers(&self, code: &str, number: u64) {
        let count = || self.journals.iter().map(|journal| journal.count(code)).sum::<u64>();
        let wanted = count() + number;
        self.wait(code, |_| count() >= wanted).await;
    }

    /// Waits for the first acknowledged write that began after the end of the trouble, and notes the time to it.
    pub async fn recovered(&mut self, since: Instant) {
        self.wait("recovery", |progress| progress.latest > since).await;
        self.recovered.push(since.elapsed());
    }

    async fn wait(&self, what: &str, condition: impl FnMut(&Progress) -> bool) {
        let mut progress = self.progress.subscribe();
        let waiting = tokio::time::timeout(PATIENCE, progress.wait_for(condition));
        waiting.await.unwrap_or_else(|_| panic!("no {what} within {PATIENCE:?}")).unwrap();
    }

    /// Stops the clients, waits until nothing is due, stops the servers, and leaves the rest to the checker.
    pub async fn rest(mut self) -> Rested {
        self.stop.send_replace(true);
        tokio::time::timeout(PATIENCE, async { while self.clients.join_next().await.is_some() {} })
            .await
            .expect("every client ends its last call");
        let pool = PgPool::connect_lazy_with(self.database.clone());
        let resting = async {
            while !unfinished::faults(&pool).await.is_empty() {
                tokio::time::sleep(LOOK).await;
            }
        };
        // the checker names the remaining work
        tokio::time::timeout(REST, resting).await.ok();
        for server in self.servers.into_iter().flatten() {
            server.signal(Signal::TERM);
            let ended = server.ended().await;
            if !ended.status.success() {
                self.alarms.push(format!("a server ended with {}", ended.status));
            }
            self.alarms.extend(alarms(ended.stderr));
        }
        Rested {
            name: self.name,
            pool,
            database: self.database,
            postgres: self.postgres,
            records: self.journals.iter().map(|journal| journal.record()).collect(),
            heard: self.listener.heard(),
            recovered: self.recovered,
            alarms: self.alarms,
        }
    }
}

/// A scenario after its end: the database at rest, and the knowledge of clients and receivers.
pub struct Rested {
    pub name: &'static str,
    pub pool: PgPool,
    pub database: PgConnectOptions,
    pub postgres: Arc<Postgres>,
    pub records: Vec<Record>,
    pub heard: Vec<Heard>,
    recovered: Vec<Duration>,
    alarms: Vec<String>,
}

impl Rested {
    /// Checks the invariants.
    pub async fn findings(&self) -> Vec<Finding> {
        let mut findings = checker::check(&self.pool, &self.records, &self.heard).await;
        findings.extend(Finding::all(Kind::Answer, self.alarms.clone()));
        findings
    }

    pub async fn report(self) -> Report {
        let findings = self.findings().await;
        self.pool.close().await;
        Report {
            name: self.name,
            operations: self.records.iter().map(Record::operations).sum(),
            acknowledged: self.records.iter().map(Record::acknowledged).sum(),
            findings,
            recovered: self.recovered,
        }
    }
}

/// Returns the lines of a server's log that tell of a fault in the server itself.
fn alarms(log: Vec<String>) -> impl Iterator<Item = String> {
    log.into_iter().filter(|line| line.contains(" ERROR concierge_sandbox") || line.contains("panicked"))
}
