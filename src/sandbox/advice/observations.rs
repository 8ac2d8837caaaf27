//! What is observed of an account's requests: a few counters, and as little memory of what came before as they need.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use axum::http::Method;
use time::{Duration, OffsetDateTime};

use super::{Example, Kind, Tally};
use crate::concierge::event_types::RESOURCE_TYPES;
use crate::sandbox::exchanges::Exchange;

/// The requests that the real system takes from a key within [`SECOND`].
const RATE: usize = 5;
const SECOND: Duration = Duration::SECOND;
/// How often the same thing can be asked for within [`WINDOW`] before it counts as polling.
const POLLS: u32 = 10;
const WINDOW: Duration = Duration::MINUTE;
/// The keys, and the things asked for, that are remembered of an account.
const KEYS: usize = 16;
const TARGETS: usize = 64;

/// What is observed of a request beside the exchange itself.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    pub key_sha256: &'a [u8; 32],
    /// Whether a scheme came before the key.
    pub has_scheme: bool,
}

/// What was observed of an account.
#[derive(Debug, Clone, Default)]
pub struct Observations {
    tallies: BTreeMap<Kind, Tally>,
    keys: Vec<Key>,
    targets: Vec<Target>,
}

/// A key's latest requests.
#[derive(Debug, Clone)]
struct Key {
    sha256: [u8; 32],
    /// In the order of time, at most [`RATE`].
    latest: Vec<OffsetDateTime>,
    /// From which arrival on, and until when, it was told to wait.
    waits: Option<(u64, OffsetDateTime)>,
}

/// Something asked for.
#[derive(Debug, Clone)]
struct Target {
    /// Of path and query.
    hash: u64,
    since: OffsetDateTime,
    count: u32,
}

impl Observations {
    /// What was seen, and how often.
    pub fn tallies(&self) -> impl Iterator<Item = (Kind, &Tally)> {
        self.tallies.iter().map(|(kind, tally)| (*kind, tally))
    }

    /// Observes an exchange. `arrival` is the number of its arrival, and `answered` that of the next one when it was
    /// answered.
    pub fn observe(&mut self, observed: &Observed<'_>, exchange: &Exchange, arrival: u64, answered: u64) {
        if observed.has_scheme {
            self.count(Kind::AuthorizationScheme, exchange);
        }
        let status = exchange.response.as_ref().map(|(status, _)| *status);
        if status == Some(415) && exchange.fault.is_none() {
            let is_there = exchange.request.header("content-type").is_some();
            let kind = if is_there { Kind::ContentTypeUnsupported } else { Kind::ContentTypeMissing };
            self.count(kind, exchange);
        }
        let key = self.key(observed.key_sha256);
        let place = key.latest.partition_point(|at| *at <= exchange.at);
        key.latest.insert(place, exchange.at);
        let is_excess = place >= RATE && exchange.at - key.latest[place - RATE] < SECOND;
        if key.latest.len() > RATE {
            key.latest.remove(0);
        }
        // what was under way when it was told to wait is no fault of the client's
        let is_hasty = key.waits.is_some_and(|(from, until)| arrival >= from && exchange.at < until);
        if status == Some(429)
            && let Some((_, response)) = &exchange.response
            && let Some(seconds) = response.header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok())
        {
            key.waits = Some((answered, exchange.at.saturating_add(SECOND * f64::from(seconds))));
        }
        if is_excess {
            self.count(Kind::RateExceeded, exchange);
        }
        if is_hasty {
            self.count(Kind::RetryAfterIgnored, exchange);
        }
        if status == Some(200) && exchange.method == Method::GET && self.polls(exchange) {
            self.count(Kind::Polling, exchange);
        }
    }

    fn count(&mut self, kind: Kind, exchange: &Exchange) {
        let (at, example) = (exchange.at, Example::Request(exchange.id.clone()));
        let tally = self.tallies.entry(kind).or_insert_with(|| {
            let example = example.clone();
            Tally { count: 0, first_at: at, last_at: at, example }
        });
        tally.count += 1;
        tally.first_at = tally.first_at.min(at);
        tally.last_at = tally.last_at.max(at);
        tally.example = example;
    }

    fn key(&mut self, sha256: &[u8; 32]) -> &mut Key {
        let place = self.keys.iter().position(|key| key.sha256 == *sha256).unwrap_or_else(|| {
            if self.keys.len() >= KEYS {
                self.keys.remove(0);
            }
            self.keys.push(Key { sha256: *sha256, latest: Vec::with_capacity(RATE + 1), waits: None });
            self.keys.len() - 1
        });
        &mut self.keys[place]
    }

    /// Whether the same was asked for too often, of a resource whose changes are told.
    fn polls(&mut self, exchange: &Exchange) -> bool {
        if !exchange.path.split('/').nth(2).is_some_and(|type_name| RESOURCE_TYPES.contains(&type_name)) {
            return false;
        }
        let mut hasher = DefaultHasher::new();
        (&exchange.path, &exchange.query).hash(&mut hasher);
        let hash = hasher.finish();
        let fresh = Target { hash, since: exchange.at, count: 1 };
        match self.targets.iter_mut().find(|target| target.hash == hash) {
            Some(target) if exchange.at - target.since < WINDOW => {
                target.count = target.count.saturating_add(1);
                target.count > POLLS
            }
            Some(target) => {
                *target = fresh;
                false
            }
            None => {
                if self.targets.len() >= TARGETS {
                    self.targets.remove(0);
                }
                self.targets.push(fresh);
                false
            }
        }
    }
}
