//! Every setting in one place: its flag, its environment variable, its default and its help.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::accounts::timing::Timing;
use crate::concierge::fixtures::DEFAULT_KEYS;
use crate::contract::ServerSetting;
use crate::database::Location;
use crate::events::address::{AddressRules, read_network};
use crate::jsonapi::duration::LONGEST_SPAN;
use crate::telemetry::LogFormat;
use crate::web::cors::CrossOrigins;
use crate::web::host::AllowedHosts;
use crate::web::origin::{EXPECTED_URL, read_public_url};
use crate::webhooks;
use crate::webhooks::concurrency::ConcurrencyLimits;
use crate::webhooks::retries::Retries;
use crate::webhooks::trust::Trust;

/// The command line.
#[derive(Debug, Clone, Parser)]
#[command(version, about = "A sandbox for payout integrations: emulates the Concierge (CrossBorder) JSON:API")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub config: Config,
}

/// The subcommands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM or Ctrl-C (the default)
    Serve,
    /// Migrate the database's schema and exit
    Migrate,
    /// Check a running server on the --listen address; exit 0 if it is ready, else 1
    Healthcheck,
    /// Print the OpenAPI document of the server with these settings; needs no database
    Openapi {
        /// Format of the document
        #[arg(long, value_name = "FORMAT", default_value = "json")]
        format: DocumentFormat,
    },
}

/// The format of the OpenAPI document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DocumentFormat {
    Json,
    Yaml,
}

/// The settings.
#[derive(Debug, Clone, Args)]
#[command(next_display_order = None)]
pub struct Config {
    /// Address to listen on; port 0 picks a free port
    #[arg(long, env = "SANDBOX_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080", global = true)]
    pub listen: SocketAddr,

    /// URL of this server as seen by clients, for every link, such as `https://sandbox.example.com` [default: the origin
    /// that the client called]
    #[arg(long, env = "SANDBOX_PUBLIC_URL", value_name = "URL", value_parser = public_url, global = true)]
    pub public_url: Option<String>,

    /// Believe `Forwarded` and `X-Forwarded-*` in links; only behind a proxy that sets or removes all of them
    #[arg(long, env = "SANDBOX_TRUST_PROXY", value_parser = BoolishValueParser::new(), global = true)]
    pub trust_proxy: bool,

    /// Origins of pages that may call the API from a browser, such as `http://localhost:3000,https://app.example.com`, or
    /// `*` for all [default: none]
    #[arg(
        long, env = "SANDBOX_CORS_ORIGIN", value_name = "ORIGINS", value_parser = CrossOrigins::read, global = true
    )]
    pub cors_origin: Option<CrossOrigins>,

    /// Hosts that requests may name, besides addresses, local names and that of --public-url, such as
    /// `sandbox.example.com,*.ci.example.com`, or `*` for all [default: none]
    #[arg(
        long, env = "SANDBOX_ALLOWED_HOSTS", value_name = "HOSTS", value_parser = AllowedHosts::read, global = true
    )]
    pub allowed_hosts: Option<AllowedHosts>,

    /// Database on PostgreSQL 15 or newer, as `postgres://USER:PASSWORD@HOST:5432/DATABASE` [default: a private server
    /// is started from the PostgreSQL programs of this machine]
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true, global = true)]
    pub database_url: Option<String>,

    /// Folder that keeps the private database; without it, every start begins with a fresh database
    #[arg(long, env = "SANDBOX_DATA_DIR", value_name = "FOLDER", global = true)]
    pub data_dir: Option<PathBuf>,

    /// Maximum number of connections to the database
    #[arg(
        long, env = "SANDBOX_DATABASE_CONNECTIONS", value_name = "NUMBER", default_value_t = 16,
        value_parser = clap::value_parser!(u32).range(2..=1000), global = true
    )]
    pub database_connections: u32,

    /// Time to wait for the database at the start, such as 30s; 0s: it has to be there
    #[arg(
        long, env = "SANDBOX_DATABASE_WAIT", value_name = "TIME", default_value = "30s", value_parser = delay,
        global = true
    )]
    pub database_wait: Duration,

    /// Memory of all large answers under way, in MiB; a GET beyond it is 503
    #[arg(
        long, env = "SANDBOX_ANSWER_MEMORY", value_name = "MIB", default_value_t = 128,
        value_parser = clap::value_parser!(u32).range(1..=65_536), global = true
    )]
    pub answer_memory: u32,

    /// API keys to accept: only keys of existing accounts, or any key, where an unknown key creates its account
    #[arg(long, env = "SANDBOX_ACCOUNTS", value_name = "POLICY", default_value = "closed", global = true)]
    pub accounts: AccountPolicy,

    /// Maximum number of accounts in the database, 409 beyond
    #[arg(
        long, env = "SANDBOX_MAX_ACCOUNTS", value_name = "NUMBER", default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..=10_000_000), global = true
    )]
    pub max_accounts: u32,

    /// Maximum number of new accounts a second, 429 beyond
    #[arg(long, env = "SANDBOX_ACCOUNT_RATE", value_name = "NUMBER", default_value = "100", global = true)]
    pub account_rate: NonZeroU32,

    /// Token required in `Authorization` to create accounts; it also lists, shows and deletes all [default: everybody may
    /// create accounts]
    #[arg(
        long, env = "SANDBOX_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true, value_parser = admin_token,
        global = true
    )]
    pub admin_token: Option<String>,

    /// Time from a new output to the end of its preliminary checks, such as 1s, 250ms, 0s or 2h
    #[arg(
        long, env = "SANDBOX_CHECK_DELAY", value_name = "TIME", default_value = "1s", value_parser = delay, global = true
    )]
    pub check_delay: Duration,

    /// Approval of new users: automatic, or not at all
    #[arg(long, env = "SANDBOX_APPROVAL", value_name = "POLICY", default_value = "auto", global = true)]
    pub approval: Approval,

    /// Time from a new user to its approval under --approval auto
    #[arg(
        long, env = "SANDBOX_APPROVAL_DELAY", value_name = "TIME", default_value = "1s", value_parser = delay,
        global = true
    )]
    pub approval_delay: Duration,

    /// Time to the quote of a request, unless all its ports are quoted at once
    #[arg(
        long, env = "SANDBOX_QUOTE_DELAY", value_name = "TIME", default_value = "1s", value_parser = delay, global = true
    )]
    pub quote_delay: Duration,

    /// Time of each later step of an output: to working, to settling, to settled or failed, to a retry
    #[arg(
        long, env = "SANDBOX_STEP_DELAY", value_name = "TIME", default_value = "1s", value_parser = delay, global = true
    )]
    pub step_delay: Duration,

    /// JSON file with the prices of every port, like src/concierge/prices.json [default: built in]
    #[arg(long, env = "SANDBOX_PRICES", value_name = "FILE", global = true)]
    pub prices: Option<PathBuf>,

    /// JSON:API document of resources to create together with the default account; no effect if the account exists
    /// [default: only the fixtures]
    #[arg(long, env = "SANDBOX_SEED", value_name = "FILE", global = true)]
    pub seed: Option<PathBuf>,

    /// Requests per second allowed for each key, 429 beyond; the real system allows 5 [default: no limit]
    #[arg(
        long, env = "SANDBOX_RATE_LIMIT", value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000), global = true
    )]
    pub rate_limit: Option<u32>,

    /// Time limit for the body of a request to arrive, 408 beyond
    #[arg(
        long, env = "SANDBOX_BODY_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = timeout,
        global = true
    )]
    pub body_timeout: Duration,

    /// Time limit for the head of a request to arrive, 408 beyond
    #[arg(
        long, env = "SANDBOX_HEADER_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = timeout,
        global = true
    )]
    pub header_timeout: Duration,

    /// Time after which a connection without a request is closed
    #[arg(
        long, env = "SANDBOX_IDLE_TIMEOUT", value_name = "TIME", default_value = "75s", value_parser = timeout,
        global = true
    )]
    pub idle_timeout: Duration,

    /// Time after which a connection is closed whose client reads nothing of an answer
    #[arg(
        long, env = "SANDBOX_WRITE_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = timeout,
        global = true
    )]
    pub write_timeout: Duration,

    /// Maximum number of connections of clients, 503 beyond [default: 16384, or fewer, as file descriptors allow]
    #[arg(
        long, env = "SANDBOX_MAX_CONNECTIONS", value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000), global = true
    )]
    pub max_connections: Option<u32>,

    /// Maximum number of requests in progress, 503 beyond; waits and health checks don't count
    #[arg(
        long, env = "SANDBOX_MAX_REQUESTS", value_name = "NUMBER", default_value_t = 2048,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000), global = true
    )]
    pub max_requests: u32,

    /// PEM file with the certificate for HTTPS, then those of its issuers [default: plain HTTP]
    #[arg(long, env = "SANDBOX_TLS_CERT", value_name = "FILE", requires = "tls_key", global = true)]
    pub tls_cert: Option<PathBuf>,

    /// PEM file with the key of the certificate for HTTPS
    #[arg(long, env = "SANDBOX_TLS_KEY", value_name = "FILE", requires = "tls_cert", global = true)]
    pub tls_key: Option<PathBuf>,

    /// Networks that events may be sent to, such as 10.0.0.0/8,127.0.0.1,::1 [default: all]; link-local addresses,
    /// cloud metadata, multicast and the like are always refused
    #[arg(
        long, env = "SANDBOX_WEBHOOK_ALLOW", value_name = "NETWORKS", value_delimiter = ',', value_parser = read_network,
        global = true
    )]
    pub webhook_allow: Vec<IpNet>,

    /// Networks that events may not be sent to, even if --webhook-allow lists them
    #[arg(
        long, env = "SANDBOX_WEBHOOK_DENY", value_name = "NETWORKS", value_delimiter = ',', value_parser = read_network,
        global = true
    )]
    pub webhook_deny: Vec<IpNet>,

    /// PEM file with more certificates to trust for receivers: of issuers, or of receivers themselves; may be repeated
    /// [default: only those trusted by this machine]
    #[arg(long, env = "SANDBOX_WEBHOOK_CA", value_name = "FILE", value_delimiter = ',', global = true)]
    pub webhook_ca: Vec<PathBuf>,

    /// Accept any certificate of receivers on loopback and private addresses
    #[arg(long, env = "SANDBOX_WEBHOOK_INSECURE", value_parser = BoolishValueParser::new(), global = true)]
    pub webhook_insecure: bool,

    /// Time limit of one delivery attempt, from the name lookup to the end of the answer
    #[arg(
        long, env = "SANDBOX_WEBHOOK_TIMEOUT", value_name = "TIME", default_value = "15s", value_parser = timeout,
        global = true
    )]
    pub webhook_timeout: Duration,

    /// Delays before each retry of an undelivered event; after the last retry it is given up
    #[arg(
        long, env = "SANDBOX_WEBHOOK_RETRIES", value_name = "TIMES", value_delimiter = ',', value_parser = delay,
        default_value = "5s,5m,30m,2h,5h,10h,14h,20h,24h", global = true
    )]
    pub webhook_retries: Vec<Duration>,

    /// Seed of the jitter of these delays (±10 %); the same seed gives the same delays
    #[arg(long, env = "SANDBOX_WEBHOOK_SEED", value_name = "NUMBER", default_value_t = 0, global = true)]
    pub webhook_seed: u64,

    /// Maximum number of concurrent deliveries
    #[arg(
        long, env = "SANDBOX_WEBHOOK_DELIVERIES", value_name = "NUMBER", default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..=1000), global = true
    )]
    pub webhook_deliveries: u16,

    /// Maximum number of concurrent deliveries to one receiver
    #[arg(
        long, env = "SANDBOX_WEBHOOK_DELIVERIES_PER_RECEIVER", value_name = "NUMBER", default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=1000), global = true
    )]
    pub webhook_deliveries_per_receiver: u16,

    /// Format of log lines, which go to standard error
    #[arg(long, env = "SANDBOX_LOG_FORMAT", value_name = "FORMAT", default_value = "text", global = true)]
    pub log_format: LogFormat,

    /// Filter of log lines, such as info, debug or concierge_sandbox=debug,postgres=info
    #[arg(long, env = "SANDBOX_LOG", value_name = "FILTER", default_value = "info", value_parser = log_filter, global = true)]
    pub log: Targets,
}

/// The policy for the approval of new users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Approval {
    /// Automatic, after --approval-delay
    Auto,
    /// None: new users stay new
    Manual,
}

/// The policy for unknown API keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AccountPolicy {
    /// Only keys of existing accounts
    Closed,
    /// Any key: an unknown key creates its account
    Open,
}

impl Cli {
    /// Reads the command line and the environment. An empty variable counts as none. Ends the program on a fault, or after
    /// help.
    pub fn read() -> Self {
        let is_empty =
            |arg: &Arg| arg.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()));
        let command = <Self as CommandFactory>::command()
            .mut_args(|arg| if is_empty(&arg) { arg.env(None::<&str>) } else { arg });
        let read = command.try_get_matches().and_then(|matches| Self::from_arg_matches(&matches));
        read.unwrap_or_else(|error| error.exit())
    }
}

impl Config {
    /// Returns all settings at their defaults, without the environment.
    pub fn defaults() -> Self {
        let command = <Cli as CommandFactory>::command().mut_args(|arg| arg.env(None::<&str>));
        let matches = command.get_matches_from(["concierge-sandbox"]);
        match <Cli as FromArgMatches>::from_arg_matches(&matches) {
            Ok(cli) => cli.config,
            Err(error) => error.exit(),
        }
    }

    /// Returns every setting with its flag, its environment variable, its default and its help.
    pub fn described() -> Vec<ServerSetting> {
        let command = <Cli as CommandFactory>::command();
        let described = command.get_arguments().filter_map(|argument| {
            let defaults: Vec<&str> = argument.get_default_values().iter().filter_map(|value| value.to_str()).collect();
            Some(ServerSetting {
                flag: format!("--{}", argument.get_long()?),
                variable: argument.get_env().map(|name| name.to_string_lossy().into_owned()),
                default: (!defaults.is_empty()).then(|| defaults.join(",")),
                about: argument.get_help().map(ToString::to_string).unwrap_or_default(),
            })
        });
        // help and version are not settings
        described.filter(|setting| setting.variable.is_some()).collect()
    }

    /// Returns the location of the data.
    pub fn location(&self) -> Location {
        match (&self.database_url, &self.data_dir) {
            (Some(url), _) if !url.is_empty() => Location::Url(url.clone()),
            (_, Some(folder)) => Location::Kept(folder.clone()),
            _ => Location::Temporary,
        }
    }

    /// Returns the URL of this server as seen by clients, if it is set.
    pub fn public_url(&self) -> Option<Arc<str>> {
        self.public_url.as_deref().map(Into::into)
    }

    /// Returns the hosts that requests may name besides the local ones.
    pub fn allowed_hosts(&self) -> AllowedHosts {
        self.allowed_hosts.clone().unwrap_or(AllowedHosts::Listed(Vec::new())).with(self.public_url.as_deref())
    }

    /// Returns the rules for the addresses of webhook URLs.
    pub fn address_rules(&self) -> AddressRules {
        AddressRules::new(&self.webhook_allow, &self.webhook_deny)
    }

    /// Returns the rules of webhook delivery.
    pub fn delivery(&self, trust: Trust) -> webhooks::DeliveryRules {
        webhooks::DeliveryRules {
            addresses: self.address_rules(),
            timeout: self.webhook_timeout,
            trust,
            limits: ConcurrencyLimits {
                total: self.webhook_deliveries.into(),
                receiver: self.webhook_deliveries_per_receiver.into(),
            },
            retries: Retries { delays: self.webhook_retries.clone(), seed: self.webhook_seed },
            public_url: self.public_url(),
        }
    }

    /// Returns the timing of the emulated system.
    pub fn timing(&self) -> Timing {
        Timing {
            check_delay: self.check_delay,
            approves: self.approval == Approval::Auto,
            approval_delay: self.approval_delay,
            quote_delay: self.quote_delay,
            step_delay: self.step_delay,
            is_manual: false,
        }
    }
}

fn log_filter(text: &str) -> Result<Targets, String> {
    // a bare word that is not a level would mean a target, and log all its lines but no other ones
    let is_name = |part: &&str| !part.is_empty() && !part.contains(['=', '[']) && part.parse::<LevelFilter>().is_err();
    if let Some(name) = text.split(',').map(str::trim).find(is_name) {
        let levels = "off, error, warn, info, debug or trace";
        let targets = "levels of targets such as concierge_sandbox=debug";
        return Err(format!("{name:?} is not a level; a filter is {levels}, or has {targets}"));
    }
    text.parse().map_err(|error: tracing_subscriber::filter::ParseError| error.to_string())
}

fn public_url(text: &str) -> Result<String, String> {
    read_public_url(text).ok_or_else(|| format!("it must be {EXPECTED_URL}"))
}

fn admin_token(text: &str) -> Result<String, String> {
    let is_sendable = text.trim() == text && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b';');
    match text {
        "" => Err("it must not be empty; leave the flag out for no token".into()),
        _ if !is_sendable => {
            Err("it must be printable ASCII without `;` and without spaces around it, so that a header can carry it"
                .into())
        }
        token if DEFAULT_KEYS.iter().any(|(key, _)| *key == token) => {
            Err("it must not be a documented key of the default account".into())
        }
        token => Ok(token.to_owned()),
    }
}

fn delay(text: &str) -> Result<Duration, String> {
    let read = humantime::parse_duration(text).ok().filter(|delay| *delay <= LONGEST_SPAN);
    read.ok_or_else(|| "it must be a number with its unit, such as 500ms, 1s or 2h, and at most ten years".into())
}

/// Parses a time limit. It must not be 0, because nothing finishes in no time.
fn timeout(text: &str) -> Result<Duration, String> {
    let read = delay(text)?;
    if read.is_zero() { Err("it must be more than 0, such as 10s".into()) } else { Ok(read) }
}
