//! Finds repeated creates: documents sent again although the first may have been done.
//!
//! Two equal creates are no repetition where the first was answered: two equal payouts may be meant. Nor are they after
//! a list of the collection, because the client then knows the outcome. Documents are equal byte for byte, as the retries
//! of client libraries are. Longer ones than the request log keeps are not compared.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::http::Method;
use time::{Duration, OffsetDateTime};

use crate::concierge::event_types::RESOURCE_TYPES;
use crate::concierge::{outputs, requests};
use crate::sandbox::request_log::Exchange;

/// Time for a repetition after a lost answer.
const WINDOW: Duration = Duration::MINUTE;
/// Maximum number of creates remembered of each kind for each account.
const MOST: usize = 64;

/// The creates of an account that may be repeated.
#[derive(Debug, Clone, Default)]
pub struct Creates {
    /// Creates whose answer may be lost.
    lost: Vec<LostAnswer>,
    /// Hashes of the creates with an `Idempotency-Key`, each with its key.
    keyed: Vec<u64>,
}

#[derive(Debug, Clone)]
struct LostAnswer {
    create: u64,
    /// The create's hash in [`Creates::keyed`], if it has a key.
    keyed: Option<u64>,
    /// Path of the collection.
    path: Box<str>,
    /// Number of the first arrival that counts as a repetition, and the end of the time for one.
    from: u64,
    until: OffsetDateTime,
}

/// A create sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repetition {
    /// True if it was sent with an `Idempotency-Key`.
    pub has_key: bool,
}

/// The client's knowledge of a create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Refused,
    /// The client may not know the outcome. A repetition can have this number of arrival, or a later one.
    Unknown(u64),
}

impl Creates {
    /// Returns whether a request repeats an earlier create, and remembers it for the requests to come. `arrival` and
    /// `answered` are as in [`observe`](super::observations::Observations::observe).
    pub fn repetition(&mut self, exchange: &Exchange, arrival: u64, answered: u64) -> Option<Repetition> {
        if exchange.method == Method::GET {
            self.look(exchange, arrival);
        }
        if exchange.method != Method::POST || !is_collection(&exchange.path) || exchange.request.is_cut {
            return None;
        }
        let key = exchange.request.header("idempotency-key");
        let outcome = Outcome::of(exchange, arrival, answered);
        // most creates end here, unread
        if key.is_none() && self.lost.is_empty() && !matches!(outcome, Outcome::Unknown(_)) {
            return None;
        }
        let create = hash(exchange);
        let keyed = key.map(|key| {
            let mut hasher = DefaultHasher::new();
            (create, key).hash(&mut hasher);
            hasher.finish()
        });
        let is_again = |lost: &LostAnswer| lost.create == create && arrival >= lost.from && exchange.at <= lost.until;
        let is_repeated = self.lost.iter().any(is_again) || keyed.is_some_and(|keyed| self.keyed.contains(&keyed));
        self.remember(create, keyed, outcome, exchange);
        is_repeated.then_some(Repetition { has_key: key.is_some() })
    }

    /// Forgets the lost answers that a GET makes up for.
    fn look(&mut self, exchange: &Exchange, arrival: u64) {
        if self.lost.is_empty() || Outcome::of(exchange, 0, 0) != Outcome::Done {
            return;
        }
        let is_seen = |lost: &mut LostAnswer| arrival >= lost.from && shows(&exchange.path, &lost.path);
        for seen in self.lost.extract_if(.., is_seen) {
            self.keyed.retain(|keyed| Some(*keyed) != seen.keyed);
        }
    }

    fn remember(&mut self, create: u64, keyed: Option<u64>, outcome: Outcome, exchange: &Exchange) {
        if outcome == Outcome::Refused {
            return;
        }
        self.lost.retain(|lost| lost.create != create && exchange.at <= lost.until);
        if let Outcome::Unknown(from) = outcome {
            let until = exchange.at.saturating_add(WINDOW + exchange.duration);
            push(&mut self.lost, LostAnswer { create, keyed, path: exchange.path.clone(), from, until });
        }
        if let Some(keyed) = keyed.filter(|keyed| !self.keyed.contains(keyed)) {
            push(&mut self.keyed, keyed);
        }
    }
}

impl Outcome {
    fn of(exchange: &Exchange, arrival: u64, answered: u64) -> Self {
        let has_broken = exchange.fault.as_ref().is_some_and(|fault| fault.breaks_connection());
        match exchange.response.as_ref().map(|(status, _)| *status) {
            // a server may learn of a hang-up after the repetition has come
            None if !has_broken => Self::Unknown(arrival),
            None | Some(500..) => Self::Unknown(answered),
            Some(200..300) if has_broken => Self::Unknown(answered),
            Some(200..300) => Self::Done,
            Some(_) => Self::Refused,
        }
    }
}

/// Returns whether each POST to a path makes a resource. An estimate is not kept, and a webhook replaces itself.
fn is_collection(path: &str) -> bool {
    path.strip_prefix("/api/").is_some_and(|type_name| RESOURCE_TYPES.contains(&type_name))
}

/// Returns whether a GET of a path shows the resources of a collection: the collection itself, or a request for its
/// outputs.
fn shows(path: &str, collection: &str) -> bool {
    let is_request = || path.starts_with(requests::document::SCHEMA.path);
    path == collection || (collection == outputs::document::SCHEMA.path && is_request())
}

/// Returns the hash of a create: its path, its body, and the user it acts for.
fn hash(exchange: &Exchange) -> u64 {
    let request = &exchange.request;
    let mut hasher = DefaultHasher::new();
    // the log shows every key as the same text, beside the user
    (&exchange.path, request.header("authorization"), &request.body, request.body_size).hash(&mut hasher);
    hasher.finish()
}

/// Adds an item. The oldest makes room for it.
fn push<T>(items: &mut Vec<T>, item: T) {
    if items.len() >= MOST {
        items.remove(0);
    }
    items.push(item);
}
