//! Sending what is queued: every event at least once, those of one resource one after the other.
//!
//! [`run`] takes what is due, under leases that other servers respect, sends it, and writes down what came of it in
//! the same round trips in which it takes the next. A receiver that hangs holds up only its own (see [`lanes`]).

pub mod lanes;
pub mod store;
mod trip;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Acquire;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use uuid::Uuid;

use super::address::AddressRules;
use super::attempt::{Outcome, Request, Sender};
use super::envelope::headers;
use super::retries::Retries;
use crate::clock::Clock;
use crate::database::Database;
use crate::jsonapi::render::timestamp;
use crate::lifecycle::Alarm;
use crate::metrics::Metrics;
use lanes::{Lanes, Limits};
use store::{Claim, Delivery, Ended, Outlook};
use trip::{Trip, exchange, round_trip};

/// How often to look for what other servers left behind.
const PATROL: Duration = Duration::from_secs(1);
/// How often leases are renewed.
const RENEWAL: Duration = Duration::from_secs(5);
/// How long attempts under way may take once the server is told to stop.
const GRACE: Duration = Duration::from_secs(3);

/// What sending goes by.
#[derive(Debug, Clone)]
pub struct Rules {
    pub addresses: AddressRules,
    /// Of one attempt.
    pub timeout: Duration,
    pub limits: Limits,
    pub retries: Retries,
}

/// Where the sender of events is at.
#[derive(Debug, Clone)]
pub struct Watched {
    asked: watch::Sender<u64>,
    answered: watch::Sender<u64>,
}

impl Default for Watched {
    fn default() -> Self {
        Self { asked: watch::Sender::new(0), answered: watch::Sender::new(0) }
    }
}

impl Watched {
    /// Returns once a look that began after this call found nothing due, and nothing is under way.
    pub async fn caught_up(&self) {
        let mut asked = 0;
        self.asked.send_modify(|number| {
            *number += 1;
            asked = *number;
        });
        // this holds a sender, so the wait can't fail
        let _ = self.answered.subscribe().wait_for(|answered| *answered >= asked).await;
    }
}

/// Sends what is due, until told to stop.
pub async fn run(mut post: Post, alarm: Alarm, watched: Watched, mut stop: watch::Receiver<bool>) {
    let clock = post.clock.clone();
    let mut moves = clock.moves();
    let mut asked = watched.asked.subscribe();
    let (mut look, mut wake_at) = (true, None);
    loop {
        post.begin().await;
        if post.may_depart(look) {
            if let Some(moves) = &mut moves {
                moves.mark_unchanged();
            }
            let question = *asked.borrow_and_update();
            post.depart(clock.now(), question);
            look = false;
        }
        let (is_home, patrol) = (post.trip.is_empty(), post.departed + PATROL);
        tokio::select! {
            returned = post.next() => if let Some(Returned { question, now, outlook, .. }) = returned {
                if let Some(outlook) = outlook
                    && post.held() == 0
                    && outlook.earliest.is_none_or(|earliest| earliest > now)
                {
                    watched.answered.send_replace(question);
                }
                wake_at = outlook.and_then(|outlook| outlook.next);
            },
            () = alarm.wait(&clock, wake_at) => (look, wake_at) = (true, None),
            () = Clock::moved(&mut moves) => look = true,
            _ = asked.changed() => look = true,
            () = tokio::time::sleep_until(patrol), if is_home => look = true,
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    post.close().await;
}

/// What this server is sending.
#[derive(Debug)]
pub struct Post {
    database: Database,
    clock: Clock,
    rules: Rules,
    metrics: Metrics,
    /// Made once it is needed: it reads the machine's certificates.
    sender: Option<Sender>,
    /// The name of this server in leases.
    server: Uuid,
    renewed: Instant,
    lanes: Lanes<Arc<Delivery>>,
    under_way: JoinSet<Ended>,
    /// What is under way and when it began, by its task.
    running: HashMap<Id, (Arc<Delivery>, Instant)>,
    /// What has not been written down.
    ended: Vec<Ended>,
    /// How much of that the last round trip left: the database was away, or somebody held it locked. It is tried again
    /// at the next look, or with what ends meanwhile.
    left: usize,
    /// What others may take.
    given_back: Vec<(i64, i64)>,
    /// The round trip to the database that is under way, if one is, and when the last one began.
    trip: JoinSet<Returned>,
    departed: Instant,
}

/// What a round trip came back with.
#[derive(Debug)]
struct Returned {
    /// The last question that had been asked when it began.
    question: u64,
    now: OffsetDateTime,
    /// What it was to write down and could not.
    left: Vec<Ended>,
    was_renewed: bool,
    claimed: Vec<Delivery>,
    /// When something is due; `None` where something was taken after what had ended, or the database was away.
    outlook: Option<Outlook>,
}

impl Post {
    /// Nothing is being sent.
    pub fn new(database: Database, clock: Clock, rules: Rules, metrics: Metrics) -> Self {
        Self {
            database,
            clock,
            metrics,
            sender: None,
            server: Uuid::new_v4(),
            renewed: Instant::now(),
            lanes: Lanes::new(rules.limits),
            rules,
            under_way: JoinSet::new(),
            running: HashMap::new(),
            ended: Vec::new(),
            left: 0,
            given_back: Vec::new(),
            trip: JoinSet::new(),
            departed: Instant::now(),
        }
    }

    /// How many deliveries this server has in its hands.
    fn held(&self) -> usize {
        self.lanes.held() + self.ended.len()
    }

    /// Whether a round trip is to begin: somebody wants to look, or there is something to write down.
    fn may_depart(&self, look: bool) -> bool {
        self.trip.is_empty() && (look || self.ended.len() > self.left)
    }

    /// Begins to write down what has ended, and to take what is due. Sending goes on meanwhile.
    fn depart(&mut self, now: OffsetDateTime, question: u64) {
        self.departed = Instant::now();
        let claim = Claim {
            server: self.server,
            now,
            leaps: self.clock.is_moved_by_hand(),
            rooms: self.lanes.rooms(self.departed),
            limit: self.lanes.room(),
            firsts: self.rules.limits.total,
            others: self.lanes.room_of_others(self.departed),
        };
        let renewed = if self.renewed.elapsed() >= RENEWAL { self.leased() } else { Vec::new() };
        let (database, metrics) = (self.database.clone(), self.metrics.clone());
        let (mut left, given_back) = (std::mem::take(&mut self.ended), std::mem::take(&mut self.given_back));
        self.trip.spawn(async move {
            let trip = round_trip(&database, &claim, &left, &renewed, &given_back).await;
            let was_renewed = trip.is_some() && !renewed.is_empty();
            let Trip { recorded, claimed, outlook } = trip.unwrap_or_default();
            for ended in left.extract_if(.., |ended| recorded.contains(&ended.delivery.key())) {
                metrics.attempted(ended.outcome.is_received(), ended.next_at.is_none());
            }
            Returned { question, now, left, was_renewed, claimed, outlook }
        });
    }

    /// Takes in what comes next: a round trip, which is returned, or attempts that have ended.
    async fn next(&mut self) -> Option<Returned> {
        tokio::select! {
            Some(returned) = self.trip.join_next() => match returned {
                Ok(returned) => Some(self.unload(returned)),
                Err(error) => {
                    tracing::error!(%error, "a round trip of events failed");
                    None
                }
            },
            Some(ended) = self.under_way.join_next_with_id() => {
                self.take(ended);
                while let Some(ended) = self.under_way.try_join_next_with_id() {
                    self.take(ended);
                }
                None
            }
            else => std::future::pending().await,
        }
    }

    fn unload(&mut self, mut returned: Returned) -> Returned {
        self.left = returned.left.len();
        self.ended.append(&mut returned.left);
        if returned.was_renewed {
            self.renewed = Instant::now();
        }
        let held: HashSet<_> =
            if returned.claimed.is_empty() { HashSet::new() } else { self.leased().into_iter().collect() };
        for delivery in returned.claimed.drain(..) {
            // a lease of our own that had run out, while the database was away
            if !held.contains(&delivery.key()) {
                let (lane, was_tried) = (delivery.lane(), delivery.tries > 0);
                self.lanes.add(lane, Arc::new(delivery), was_tried);
            }
        }
        returned
    }

    /// Account and event of what was claimed and has not ended.
    fn unfinished(&self) -> impl Iterator<Item = (i64, i64)> {
        let running = self.running.values().map(|(delivery, _)| delivery);
        self.lanes.waiting().chain(running).map(|delivery| delivery.key())
    }

    /// Account and event of everything that is leased.
    fn leased(&self) -> Vec<(i64, i64)> {
        self.unfinished().chain(self.ended.iter().map(|ended| ended.delivery.key())).collect()
    }

    /// Begins what may begin.
    async fn begin(&mut self) {
        if self.sender.is_none() && self.lanes.held() > 0 {
            let (addresses, timeout) = (self.rules.addresses.clone(), self.rules.timeout);
            let made = tokio::task::spawn_blocking(move || Sender::new(addresses, timeout)).await;
            match made {
                Ok(Ok(sender)) => self.sender = Some(sender),
                Ok(Err(error)) => tracing::error!(%error, "events can't be sent"),
                Err(error) => tracing::error!(%error, "events can't be sent"),
            }
        }
        let Some(sender) = &self.sender else { return };
        let now = Instant::now();
        for delivery in self.lanes.begin(now) {
            let attempt =
                attempt(sender.clone(), self.clock.clone(), self.rules.retries.clone(), Arc::clone(&delivery));
            let task = self.under_way.spawn(attempt).id();
            self.running.insert(task, (delivery, now));
        }
        self.given_back.extend(self.lanes.give_back(now).iter().map(|delivery| delivery.key()));
    }

    fn take(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let task = match &ended {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        if let Some((delivery, begun)) = self.running.remove(&task) {
            let was_received = ended.as_ref().is_ok_and(|(_, ended)| ended.outcome.is_received());
            self.lanes.ended(delivery.lane(), begun, was_received, Instant::now());
        }
        let ended = match ended {
            Ok((_, ended)) => ended,
            // it panicked: what it was about is left to whoever finds its lease over
            Err(error) => {
                tracing::error!(%error, "an attempt to send an event failed");
                return;
            }
        };
        let (delivery, outcome) = (&ended.delivery, &ended.outcome);
        if let Some(error) = &outcome.error {
            let (account, event) = delivery.key();
            match ended.next_at {
                Some(next) => {
                    let next = timestamp(next);
                    tracing::info!(account, event, %error, next, "an event was not received");
                }
                None => tracing::warn!(account, event, %error, "an event was not received, and is given up"),
            }
        }
        self.ended.push(ended);
    }

    /// Lets attempts under way end, for a while, and leaves the rest to other servers.
    async fn close(mut self) {
        let all = async {
            while !self.under_way.is_empty() || !self.trip.is_empty() {
                self.next().await;
            }
        };
        drop(tokio::time::timeout(GRACE, all).await);
        self.under_way.abort_all();
        let mut left: Vec<_> = self.unfinished().collect();
        left.append(&mut self.given_back);
        if left.is_empty() && self.ended.is_empty() {
            return;
        }
        let (server, ended) = (self.server, &self.ended);
        let written = exchange(&self.database, async |connection| {
            if !ended.is_empty() {
                let mut transaction = connection.begin().await?;
                store::record(&mut transaction, server, ended).await?;
                transaction.commit().await?;
            }
            store::release(connection, server, &left).await
        });
        if written.await.is_none() {
            tracing::warn!("what came of the last attempts could not be written down");
        }
    }
}

/// One attempt, and what follows from it.
async fn attempt(sender: Sender, clock: Clock, retries: Retries, delivery: Arc<Delivery>) -> Ended {
    let at = clock.happens_at(delivery.due_at);
    let body = delivery.envelope.body();
    let event_id = delivery.envelope.event_id;
    let headers = headers(event_id, &body, delivery.key_sha256.as_deref(), Clock::machine().now());
    let outcome = match delivery.url.clone() {
        Some(url) => sender.attempt(&Request { url, headers, body }).await,
        None => Outcome::failed("there is no webhook_url any more"),
    };
    let ended_at = clock.happens_at(delivery.due_at);
    let tries = delivery.tries + 1;
    let delay = if outcome.is_received() {
        None
    } else {
        retries.delay(delivery.account_id, event_id, tries, outcome.retry_after)
    };
    Ended { delivery, outcome, at, ended_at, next_at: delay.map(|delay| ended_at + delay) }
}
