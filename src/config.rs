//! Every setting in one place: its flag, its environment variable, its default and its help.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use tracing_subscriber::filter::{LevelFilter, Targets};
use url::Url;

use crate::accounts::pace::Pace;
use crate::database::Location;
use crate::events::address::{AddressRules, read_network};
use crate::jsonapi::duration::LONGEST_SPAN;
use crate::telemetry::LogFormat;
use crate::webhooks;
use crate::webhooks::concurrency::Limits;
use crate::webhooks::retries::Retries;

/// The command line.
#[derive(Debug, Clone, Parser)]
#[command(version, about = "A sandbox for payout integrations: emulates the Concierge (CrossBorder) JSON:API")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub config: Config,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM or Ctrl-C (the default)
    Serve,
    /// Bring the database's schema up to date and exit
    Migrate,
    /// Ask a running server on the --listen address whether it is ready; exit 0 if it is, else 1
    Healthcheck,
}

/// The settings.
#[derive(Debug, Clone, Args)]
#[command(next_display_order = None)]
pub struct Config {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, env = "SANDBOX_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080", global = true)]
    pub listen: SocketAddr,

    /// URL under which clients reach this server, for links in events, such as `https://sandbox.example.com` [default: the
    /// address it listens on]
    #[arg(long, env = "SANDBOX_PUBLIC_URL", value_name = "URL", value_parser = public_url, global = true)]
    pub public_url: Option<String>,

    /// PostgreSQL 15 or newer to use, as `postgres://USER:PASSWORD@HOST:5432/DATABASE`; without it, a private one is
    /// started from the programs installed on this machine
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true, global = true)]
    pub database_url: Option<String>,

    /// Folder in which the private database is kept; without it, every start is a fresh world
    #[arg(long, env = "SANDBOX_DATA_DIR", value_name = "FOLDER", global = true)]
    pub data_dir: Option<PathBuf>,

    /// The most connections to the database
    #[arg(
        long, env = "SANDBOX_DATABASE_CONNECTIONS", value_name = "NUMBER", default_value_t = 16,
        value_parser = clap::value_parser!(u32).range(2..=1000), global = true
    )]
    pub database_connections: u32,

    /// Which keys there are: those of accounts that were made, or every one, each the key of an account of its own
    #[arg(long, env = "SANDBOX_ACCOUNTS", value_name = "POLICY", default_value = "closed", global = true)]
    pub accounts: Accounts,

    /// What `Authorization` has to say to make, list and delete accounts [default: everybody may]
    #[arg(long, env = "SANDBOX_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true, global = true)]
    pub admin_token: Option<String>,

    /// Time from a new output to the end of its preliminary checks, such as 1s, 250ms, 0s or 2h
    #[arg(
        long, env = "SANDBOX_CHECK_DELAY", value_name = "TIME", default_value = "1s", value_parser = delay, global = true
    )]
    pub check_delay: Duration,

    /// How new users are approved: by themselves, or not at all
    #[arg(long, env = "SANDBOX_APPROVAL", value_name = "POLICY", default_value = "auto", global = true)]
    pub approval: Approval,

    /// Time from a new user to its approval under --approval auto
    #[arg(
        long, env = "SANDBOX_APPROVAL_DELAY", value_name = "TIME", default_value = "1s", value_parser = delay,
        global = true
    )]
    pub approval_delay: Duration,

    /// Time to the quote of a request with ports that are not quoted at once
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

    /// JSON:API document of resources that the default account is made with, where it isn't there yet [default: the
    /// fixtures and nothing else]
    #[arg(long, env = "SANDBOX_SEED", value_name = "FILE", global = true)]
    pub seed: Option<PathBuf>,

    /// Requests a second that each key may make, 429 beyond; the real system allows 5 [default: no limit]
    #[arg(
        long, env = "SANDBOX_RATE_LIMIT", value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000), global = true
    )]
    pub rate_limit: Option<u32>,

    /// Time that the body of a request may take to arrive, 408 beyond
    #[arg(
        long, env = "SANDBOX_BODY_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = timeout,
        global = true
    )]
    pub body_timeout: Duration,

    /// The only networks that events may be sent to, such as 10.0.0.0/8,127.0.0.1,::1 [default: every one]; link-local
    /// addresses, clouds' metadata, multicast and the like are never called
    #[arg(
        long, env = "SANDBOX_WEBHOOK_ALLOW", value_name = "NETWORKS", value_delimiter = ',', value_parser = read_network,
        global = true
    )]
    pub webhook_allow: Vec<IpNet>,

    /// Networks that events may not be sent to, whatever --webhook-allow lists
    #[arg(
        long, env = "SANDBOX_WEBHOOK_DENY", value_name = "NETWORKS", value_delimiter = ',', value_parser = read_network,
        global = true
    )]
    pub webhook_deny: Vec<IpNet>,

    /// Time that one attempt at sending an event may take, from looking up the name to the end of the answer
    #[arg(
        long, env = "SANDBOX_WEBHOOK_TIMEOUT", value_name = "TIME", default_value = "15s", value_parser = timeout,
        global = true
    )]
    pub webhook_timeout: Duration,

    /// Times after which an event that was not received is tried again; after the last of them it is given up
    #[arg(
        long, env = "SANDBOX_WEBHOOK_RETRIES", value_name = "TIMES", value_delimiter = ',', value_parser = delay,
        default_value = "5s,5m,30m,2h,5h,10h,14h,20h,24h", global = true
    )]
    pub webhook_retries: Vec<Duration>,

    /// Seed of the jitter of these times, up to a tenth more or less: the same seed, the same times
    #[arg(long, env = "SANDBOX_WEBHOOK_SEED", value_name = "NUMBER", default_value_t = 0, global = true)]
    pub webhook_seed: u64,

    /// The most events that are sent at once
    #[arg(
        long, env = "SANDBOX_WEBHOOK_DELIVERIES", value_name = "NUMBER", default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..=1000), global = true
    )]
    pub webhook_deliveries: u16,

    /// The most of them that go to one receiver
    #[arg(
        long, env = "SANDBOX_WEBHOOK_DELIVERIES_PER_RECEIVER", value_name = "NUMBER", default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=1000), global = true
    )]
    pub webhook_deliveries_per_receiver: u16,

    /// How log lines look; they go to standard error
    #[arg(long, env = "SANDBOX_LOG_FORMAT", value_name = "FORMAT", default_value = "text", global = true)]
    pub log_format: LogFormat,

    /// Which log lines there are, such as info, debug or concierge_sandbox=debug,postgres=info
    #[arg(long, env = "SANDBOX_LOG", value_name = "FILTER", default_value = "info", value_parser = log_filter, global = true)]
    pub log: Targets,
}

/// How new users are approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Approval {
    /// After --approval-delay
    Auto,
    /// Not by time: they stay new
    Manual,
}

/// Which keys there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Accounts {
    /// Those of accounts that were made
    Closed,
    /// Every one: an unknown key is that of a new account
    Open,
}

impl Config {
    /// Every setting at its default, whatever the environment says.
    pub fn defaults() -> Self {
        let command = <Cli as clap::CommandFactory>::command().mut_args(|arg| arg.env(None::<&str>));
        let matches = command.get_matches_from(["concierge-sandbox"]);
        match <Cli as clap::FromArgMatches>::from_arg_matches(&matches) {
            Ok(cli) => cli.config,
            Err(error) => error.exit(),
        }
    }

    /// Where the data is.
    pub fn location(&self) -> Location {
        match (&self.database_url, &self.data_dir) {
            (Some(url), _) if !url.is_empty() => Location::Url(url.clone()),
            (_, Some(folder)) => Location::Kept(folder.clone()),
            _ => Location::ThrowAway,
        }
    }

    /// Which addresses events may be sent to.
    pub fn address_rules(&self) -> AddressRules {
        AddressRules::new(&self.webhook_allow, &self.webhook_deny)
    }

    /// How events are sent.
    pub fn delivery(&self) -> webhooks::Rules {
        webhooks::Rules {
            addresses: self.address_rules(),
            timeout: self.webhook_timeout,
            limits: Limits {
                total: self.webhook_deliveries.into(),
                receiver: self.webhook_deliveries_per_receiver.into(),
            },
            retries: Retries { delays: self.webhook_retries.clone(), seed: self.webhook_seed },
        }
    }

    /// How long things take in the emulated world.
    pub fn pace(&self) -> Pace {
        Pace {
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
    // a bare word that is no level would be the name of a part, whose lines are all there, and no others
    let is_name = |part: &&str| !part.is_empty() && !part.contains(['=', '[']) && part.parse::<LevelFilter>().is_err();
    if let Some(name) = text.split(',').map(str::trim).find(is_name) {
        let levels = "off, error, warn, info, debug or trace";
        let parts = "levels of parts such as concierge_sandbox=debug";
        return Err(format!("{name:?} is no level; a filter is {levels}, or has {parts}"));
    }
    text.parse().map_err(|error: tracing_subscriber::filter::ParseError| error.to_string())
}

/// Scheme, host and port of a URL, and the path under which a proxy serves us.
fn public_url(text: &str) -> Result<String, String> {
    let read = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match read {
        Some(url) if url.query().is_none() && url.fragment().is_none() && url.username().is_empty() => {
            Ok(url.as_str().trim_end_matches('/').to_owned())
        }
        _ => Err("it looks like https://sandbox.example.com, without a query and a fragment".into()),
    }
}

fn delay(text: &str) -> Result<Duration, String> {
    let read = humantime::parse_duration(text).ok().filter(|delay| *delay <= LONGEST_SPAN);
    read.ok_or_else(|| "a time is a number with its unit, such as 500ms, 1s or 2h, and at most ten years".into())
}

/// A time that something may take. In none at all nothing comes to its end.
fn timeout(text: &str) -> Result<Duration, String> {
    let read = delay(text)?;
    if read.is_zero() {
        Err("in no time at all nothing can be done; give it some, such as 10s".into())
    } else {
        Ok(read)
    }
}
