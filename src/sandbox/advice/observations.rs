//! Counts contract violations in an account's requests. Keeps only as much of earlier requests as the counters need.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use axum::http::Method;
use time::{Duration, OffsetDateTime};

use super::creates::{Creates, Repetition};
use super::{AdviceKind, Example, Tally};
use crate::concierge::event_types::RESOURCE_TYPES;
use crate::sandbox::request_log::Exchange;
use crate::web::remarks::Remark;

/// Requests allowed for each key within [`SECOND`], as in the real system.
const RATE: usize = 5;
const SECOND: Duration = Duration::SECOND;
/// Identical GETs allowed within [`WINDOW`]; more count as polling.
const POLLS: u32 = 10;
const WINDOW: Duration = Duration::MINUTE;
/// Maximum number of keys remembered for each account.
const KEYS: usize = 16;
/// Maximum number of request targets remembered for each account.
const TARGETS: usize = 64;
/// Finding of a repeated create with an `Idempotency-Key`.
const KEY_WITHOUT_EFFECT: &str = "`Idempotency-Key` has no effect here or, as far as is known, on the real system: \
                                  each create makes a resource";

/// Facts about a request that its exchange does not hold.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    pub key_sha256: &'a [u8; 32],
    /// True if a scheme came before the key.
    pub has_scheme: bool,
    /// The remarks of the handler.
    pub remarks: &'a [Remark],
}

/// Violations of one account, and the state to detect more.
#[derive(Debug, Clone, Default)]
pub struct Observations {
    tallies: BTreeMap<AdviceKind, Tally>,
    keys: Vec<KeyRequests>,
    targets: Vec<Target>,
    creates: Creates,
}

/// A key's latest requests.
#[derive(Debug, Clone)]
struct KeyRequests {
    sha256: [u8; 32],
    /// In order of time, at most [`RATE`].
    latest: Vec<OffsetDateTime>,
    /// Wait after a 429: the number of the first arrival it applies to, and its end.
    waits: Option<(u64, OffsetDateTime)>,
}

/// A polled target.
#[derive(Debug, Clone)]
struct Target {
    /// Hash of path and query.
    hash: u64,
    since: OffsetDateTime,
    count: u32,
}

impl Observations {
    /// Returns the violations with their counts.
    pub fn tallies(&self) -> impl Iterator<Item = (AdviceKind, &Tally)> {
        self.tallies.iter().map(|(kind, tally)| (*kind, tally))
    }

    /// Counts the violations of an exchange. `arrival` is the number of its arrival. `answered` is the number of the
    /// next arrival at the time of the answer.
    pub fn observe(&mut self, observed: &Observed<'_>, exchange: &Exchange, arrival: u64, answered: u64) {
        if observed.has_scheme {
            self.count(AdviceKind::AuthorizationScheme, exchange);
        }
        let status = exchange.response.as_ref().map(|(status, _)| *status);
        if status == Some(415) && exchange.fault.is_none() {
            let is_there = exchange.request.header("content-type").is_some();
            let kind = if is_there { AdviceKind::ContentTypeUnsupported } else { AdviceKind::ContentTypeMissing };
            self.count(kind, exchange);
        }
        for remark in observed.remarks {
            let (kind, finding) = match remark {
                Remark::MemberUnknown(stray) => (AdviceKind::MemberUnknown, stray.to_string()),
                Remark::TestValueUnknown(misspelling) => (AdviceKind::TestValueUnknown, misspelling.to_string()),
            };
            self.count(kind, exchange).add_finding(finding);
        }
        if let Some(Repetition { has_key }) = self.creates.repetition(exchange, arrival, answered) {
            let tally = self.count(AdviceKind::CreateRepeated, exchange);
            tally.add_finding(format!("`POST {}` was repeated", exchange.path));
            if has_key {
                tally.add_finding(KEY_WITHOUT_EFFECT.to_owned());
            }
        }
        let key = self.key(observed.key_sha256);
        let place = key.latest.partition_point(|at| *at <= exchange.at);
        key.latest.insert(place, exchange.at);
        let is_excess = place >= RATE && exchange.at - key.latest[place - RATE] < SECOND;
        if key.latest.len() > RATE {
            key.latest.remove(0);
        }
        // requests in flight at the time of the 429 are no fault of the client
        let is_hasty = key.waits.is_some_and(|(from, until)| arrival >= from && exchange.at < until);
        if status == Some(429)
            && let Some((_, response)) = &exchange.response
            && let Some(seconds) = response.header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok())
        {
            key.waits = Some((answered, exchange.at.saturating_add(SECOND * f64::from(seconds))));
        }
        if is_excess {
            self.count(AdviceKind::RateExceeded, exchange);
        }
        if is_hasty {
            self.count(AdviceKind::RetryAfterIgnored, exchange);
        }
        if status == Some(200) && exchange.method == Method::GET && self.polls(exchange) {
            self.count(AdviceKind::Polling, exchange);
        }
    }

    fn count(&mut self, kind: AdviceKind, exchange: &Exchange) -> &mut Tally {
        let (at, example) = (exchange.at, Example::Request(exchange.id.clone()));
        let tally = self.tallies.entry(kind).or_insert_with(|| {
            let example = example.clone();
            Tally { count: 0, first_at: at, last_at: at, example, findings: Vec::new() }
        });
        tally.count += 1;
        tally.first_at = tally.first_at.min(at);
        tally.last_at = tally.last_at.max(at);
        tally.example = example;
        tally
    }

    fn key(&mut self, sha256: &[u8; 32]) -> &mut KeyRequests {
        let place = self.keys.iter().position(|key| key.sha256 == *sha256).unwrap_or_else(|| {
            if self.keys.len() >= KEYS {
                self.keys.remove(0);
            }
            self.keys.push(KeyRequests { sha256: *sha256, latest: Vec::with_capacity(RATE + 1), waits: None });
            self.keys.len() - 1
        });
        &mut self.keys[place]
    }

    /// Returns whether the same GET came too often, for a type of resource with webhooks.
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
