//! Sending what is queued: every event at least once, those of one resource one after the other.
//!
//! [`run`] takes what is due, under leases that other servers respect, sends it, and writes down what came of it in
//! the same round trips in which it takes the next. A receiver that hangs holds up only its own (see [`lanes`]).

pub mod lanes;
pub mod store;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Acquire;
use sqlx::postgres::PgConnection;
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
use crate::lifecycle::Alarm;
use crate::metrics::Metrics;
use lanes::{Lanes, Limits};
use store::{Claim, Delivery, Ended, Outlook};

/// How often to look for what other servers left behind.
const PATROL: Duration = Duration::from_secs(1);
/// How often leases are renewed.
const RENEWAL: Duration = Duration::from_secs(5);
/// How long a round trip may take before the connection counts as dead.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(5);
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
    loop {
        if let Some(moves) = &mut moves {
            moves.mark_unchanged();
        }
        let now = clock.now();
        let question = *asked.borrow_and_update();
        let outlook = post.round(now).await;
        if let Some(outlook) = outlook
            && post.held() == 0
            && outlook.earliest.is_none_or(|earliest| earliest > now)
        {
            watched.answered.send_replace(question);
        }
        tokio::select! {
            () = post.ended() => {}
            () = alarm.wait(&clock, outlook.and_then(|outlook| outlook.next)) => {}
            () = Clock::moved(&mut moves) => {}
            _ = asked.changed() => {}
            () = tokio::time::sleep(PATROL) => {}
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
    /// By its task.
    running: HashMap<Id, Arc<Delivery>>,
    /// What has not been written down.
    ended: Vec<Ended>,
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
        }
    }

    /// How many deliveries this server has in its hands.
    fn held(&self) -> usize {
        self.lanes.held() + self.ended.len()
    }

    /// Writes down what has ended, takes what is due, and begins to send it. Where nothing was taken, it says when there
    /// will be something.
    async fn round(&mut self, now: OffsetDateTime) -> Option<Outlook> {
        let mut connection = self
            .database
            .connection()
            .await
            .inspect_err(|error| tracing::warn!(%error, "the database is away; events wait for it"))
            .ok()?;
        let claim = Claim {
            server: self.server,
            now,
            leaps: self.clock.is_moved_by_hand(),
            rooms: self.lanes.rooms(),
            limit: self.lanes.room(),
        };
        let renewed = if self.renewed.elapsed() >= RENEWAL { self.leased() } else { Vec::new() };
        let trip = round_trip(&mut connection, &claim, &self.ended, &renewed);
        let Ok(outcome) = tokio::time::timeout(LONGEST_ROUND_TRIP, trip).await else {
            tracing::warn!("the database fell silent while events were taken");
            self.database.cool();
            return None;
        };
        let (claimed, outlook) = connection.conclude(outcome).ok()?;
        if !renewed.is_empty() {
            self.renewed = Instant::now();
        }
        for ended in self.ended.drain(..) {
            self.metrics.attempted(ended.outcome.is_received(), ended.next_at.is_none());
        }
        for delivery in claimed {
            self.lanes.add(delivery.lane(), Arc::new(delivery));
        }
        self.lanes.forget_idle();
        self.begin().await;
        outlook
    }

    /// Account and event of everything that is leased.
    fn leased(&self) -> Vec<(i64, i64)> {
        let ended = self.ended.iter().map(|ended| &ended.delivery);
        self.lanes.waiting().chain(self.running.values()).chain(ended).map(|delivery| delivery.key()).collect()
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
        for delivery in self.lanes.begin() {
            let attempt =
                attempt(sender.clone(), self.clock.clone(), self.rules.retries.clone(), Arc::clone(&delivery));
            let task = self.under_way.spawn(attempt).id();
            self.running.insert(task, delivery);
        }
    }

    /// Returns once attempts have ended; never while none is under way.
    async fn ended(&mut self) {
        match self.under_way.join_next_with_id().await {
            Some(ended) => self.take(ended),
            None => std::future::pending().await,
        }
        while let Some(ended) = self.under_way.try_join_next_with_id() {
            self.take(ended);
        }
    }

    fn take(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let ended = match ended {
            Ok((task, ended)) => {
                self.running.remove(&task);
                ended
            }
            // it panicked: what it was about is left to whoever finds its lease over
            Err(error) => {
                tracing::error!(%error, "an attempt to send an event failed");
                if let Some(delivery) = self.running.remove(&error.id()) {
                    self.lanes.ended(delivery.lane(), false, Duration::ZERO);
                }
                return;
            }
        };
        let (delivery, outcome) = (&ended.delivery, &ended.outcome);
        self.lanes.ended(delivery.lane(), outcome.is_received(), outcome.duration);
        if let Some(error) = &outcome.error {
            let (account, event) = delivery.key();
            match ended.next_at {
                Some(next) => tracing::info!(account, event, %error, %next, "an event was not received"),
                None => tracing::warn!(account, event, %error, "an event was not received, and is given up"),
            }
        }
        self.ended.push(ended);
    }

    /// Lets attempts under way end, for a while, and leaves the rest to other servers.
    async fn close(mut self) {
        let all = async {
            while !self.under_way.is_empty() {
                self.ended().await;
            }
        };
        drop(tokio::time::timeout(GRACE, all).await);
        self.under_way.abort_all();
        let left: Vec<_> = self.lanes.waiting().chain(self.running.values()).map(|delivery| delivery.key()).collect();
        if left.is_empty() && self.ended.is_empty() {
            return;
        }
        let Ok(mut connection) = self.database.connection().await else { return };
        let written = async {
            if !self.ended.is_empty() {
                record(&mut connection, self.server, &self.ended).await?;
            }
            store::release(&mut connection, self.server, &left).await
        };
        match tokio::time::timeout(LONGEST_ROUND_TRIP, written).await {
            Ok(outcome) => drop(connection.conclude(outcome)),
            Err(_) => tracing::warn!("what came of the last attempts could not be written down"),
        }
    }
}

/// One exchange with the database.
async fn round_trip(
    connection: &mut PgConnection,
    claim: &Claim,
    ended: &[Ended],
    renewed: &[(i64, i64)],
) -> Result<(Vec<Delivery>, Option<Outlook>), sqlx::Error> {
    if !renewed.is_empty() {
        store::renew(connection, claim.server, renewed).await?;
    }
    let mut claimed = Vec::new();
    if ended.is_empty() {
        if claim.limit > 0 {
            claimed = store::claim(connection, claim).await?;
        }
    } else {
        // in one transaction, so that one commit reaches the disk for both
        let mut transaction = connection.begin().await?;
        store::record(&mut transaction, claim.server, ended).await?;
        if claim.limit > 0 {
            claimed = store::claim(&mut transaction, claim).await?;
        }
        transaction.commit().await?;
    }
    let outlook = if claimed.is_empty() { Some(store::outlook(connection, claim.now).await?) } else { None };
    Ok((claimed, outlook))
}

async fn record(connection: &mut PgConnection, server: Uuid, ended: &[Ended]) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    store::record(&mut transaction, server, ended).await?;
    transaction.commit().await
}

/// One attempt, and what follows from it.
async fn attempt(sender: Sender, clock: Clock, retries: Retries, delivery: Arc<Delivery>) -> Ended {
    let at = clock.happens_at(delivery.due_at);
    let body = delivery.envelope.body();
    let event_id = delivery.envelope.event_id;
    let headers = headers(event_id, &body, delivery.key_sha256.as_deref(), Clock::machine().now());
    let outcome = match delivery.url.clone() {
        Some(url) => sender.attempt(&Request { url, headers, body }).await,
        None => Outcome::failed("the receiver has no webhook_url any more"),
    };
    let ended_at = clock.happens_at(delivery.due_at);
    let tries = delivery.tries + 1;
    let delay = match outcome.is_received() {
        true => None,
        false => retries.delay(delivery.account_id, event_id, tries, outcome.retry_after),
    };
    Ended { delivery, outcome, at, ended_at, next_at: delay.map(|delay| ended_at + delay) }
}
