//! Sending what is queued: every event at least once, those of one resource one after the other.
//!
//! [`run`] takes what is due, under leases that other servers respect, sends it, and writes down what came of it in
//! the same round trips in which it takes the next. A receiver that hangs holds up only its own (see [`lanes`]).

pub mod client;
mod commands;
pub mod concurrency;
pub mod envelope;
mod failure;
mod poll;
mod resolve;
pub mod retries;
mod send;
pub mod store;
pub mod trust;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Acquire;
use time::OffsetDateTime;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;
use uuid::Uuid;

use crate::accounts::watchers::Watchers;
use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::database::Database;
use crate::events::address::AddressRules;
use crate::jsonapi::render::timestamp;
use crate::metrics::Metrics;
use client::Sender;
use commands::Order;
pub use commands::{Inbox, Orders};
use concurrency::{Lanes, Limits};
use poll::{Trip, exchange, round_trip};
use retries::Retries;
use send::Attempt;
use store::{Claim, Delivery, Ended, Outlook};

/// How often to look for what other servers left behind.
const PATROL: Duration = Duration::from_secs(1);
/// The same, while somebody waits.
const SHORT_PATROL: Duration = Duration::from_millis(50);
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

/// Sends what is due, until told to stop.
pub async fn run(mut post: Post, alarm: Alarm, mut inbox: Inbox, mut stop: watch::Receiver<bool>) {
    let clock = post.clock.clone();
    let mut moves = clock.moves();
    loop {
        let due = alarm.take(clock.now(), usize::MAX);
        post.look |= !due.is_empty();
        post.heard_of.extend(due);
        post.begin().await;
        if post.may_depart() {
            if let Some(moves) = &mut moves {
                moves.mark_unchanged();
            }
            post.depart(clock.now());
        }
        // whoever waits for what other servers send wants to know soon
        let patrol = if post.questions.is_empty() { PATROL } else { SHORT_PATROL };
        let (is_home, patrol) = (post.trip.is_empty(), post.departed + patrol);
        tokio::select! {
            returned = post.next() => if let Some(returned) = returned {
                post.look_ahead(&returned, &alarm);
            },
            () = alarm.wait(&clock) => {}
            () = Clock::moved(&mut moves) => post.look_into_all(),
            Some(order) = inbox.next() => post.take_order(order),
            () = tokio::time::sleep_until(patrol), if is_home => post.look_into_all(),
            _ = stop.wait_for(|stop| *stop) => break,
        }
        post.take_leave();
    }
    drop(inbox);
    post.close().await;
}

/// Somebody waits until nothing is due.
#[derive(Debug)]
struct Question {
    account: Option<i64>,
    /// How many round trips had begun when it was asked.
    asked: u64,
    done: oneshot::Sender<()>,
}

/// What this server is sending.
#[derive(Debug)]
pub struct Post {
    database: Database,
    clock: Clock,
    rules: Rules,
    metrics: Metrics,
    watchers: Watchers,
    /// Made once it is needed: it reads the machine's certificates.
    sender: Option<Sender>,
    /// The name of this server in leases.
    server: Uuid,
    renewed: Instant,
    lanes: Lanes<Arc<Delivery>>,
    under_way: JoinSet<Option<Ended>>,
    /// What is under way and when it began, by its task.
    running: HashMap<Id, Running>,
    /// What has not been written down.
    ended: Vec<Ended>,
    /// How much of that the last round trip left: the database was away, or somebody held it locked. It is tried again
    /// at the next look, or with what ends meanwhile.
    left: usize,
    /// What others may take.
    given_back: Vec<(i64, i64)>,
    /// The accounts in which something may be due, and those of which that was heard since the last round trip began.
    due: HashSet<i64>,
    heard_of: HashSet<i64>,
    /// Whether the next round trip is wanted now, and is to look into all accounts.
    look: bool,
    looks_into_all: bool,
    questions: Vec<Question>,
    /// The accounts that have ended while a round trip was under way, which may bring something of them,
    ended_meanwhile: HashSet<i64>,
    /// and those that somebody waits for nothing more to be sent of.
    leaving: Vec<(i64, oneshot::Sender<()>)>,
    /// The round trip to the database that is under way, if one is, when the last one began, and how many have.
    trip: JoinSet<Returned>,
    departed: Instant,
    departures: u64,
}

/// An attempt under way.
#[derive(Debug)]
struct Running {
    delivery: Arc<Delivery>,
    begun: Instant,
    task: AbortHandle,
}

/// What a round trip came back with.
#[derive(Debug)]
struct Returned {
    /// Which it was.
    number: u64,
    /// The accounts it looked into; `None`: all of them.
    accounts: Option<Vec<i64>>,
    /// What it was to write down and could not.
    left: Vec<Ended>,
    was_renewed: bool,
    claimed: Vec<Delivery>,
    /// When something is due; `None` where something was taken after what had ended, or the database was away.
    outlook: Option<Vec<Outlook>>,
}

impl Post {
    /// Nothing is being sent.
    pub fn new(database: Database, clock: Clock, rules: Rules, (metrics, watchers): (Metrics, Watchers)) -> Self {
        Self {
            database,
            clock,
            metrics,
            watchers,
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
            due: HashSet::new(),
            heard_of: HashSet::new(),
            look: true,
            looks_into_all: true,
            questions: Vec::new(),
            ended_meanwhile: HashSet::new(),
            leaving: Vec::new(),
            trip: JoinSet::new(),
            departed: Instant::now(),
            departures: 0,
        }
    }

    fn look_into_all(&mut self) {
        (self.look, self.looks_into_all) = (true, true);
    }

    fn take_order(&mut self, order: Order) {
        match order {
            Order::CatchUp(account, done) => {
                self.look = true;
                self.heard_of.extend(account);
                self.looks_into_all |= account.is_none();
                self.questions.push(Question { account, asked: self.departures, done });
            }
            Order::Forget(account, done) => {
                self.lanes.forget(account);
                self.ended.retain(|ended| ended.delivery.account_id != account);
                self.left = self.left.min(self.ended.len());
                for running in self.running.values().filter(|running| running.delivery.account_id == account) {
                    running.task.abort();
                }
                if !self.trip.is_empty() {
                    self.ended_meanwhile.insert(account);
                }
                self.leaving.push((account, done));
            }
        }
    }

    /// Tells whoever waits for it that nothing more is sent of an account: its attempts have ended.
    fn take_leave(&mut self) {
        let running: HashSet<i64> = self.running.values().map(|running| running.delivery.account_id).collect();
        for (_, done) in self.leaving.extract_if(.., |(account, _)| !running.contains(account)) {
            done.send(()).unwrap_or_default(); // whoever asked may be gone
        }
    }

    /// Takes in when something is due, and answers whoever waited for nothing to be.
    fn look_ahead(&mut self, returned: &Returned, alarm: &Alarm) {
        let Some(outlook) = &returned.outlook else { return };
        match &returned.accounts {
            Some(accounts) => self.due.retain(|account| !accounts.contains(account)),
            None => self.due.clear(),
        }
        for Outlook { account_id, is_due, next } in outlook {
            if *is_due {
                self.due.insert(*account_id);
            }
            if let Some(next) = next {
                alarm.set(*account_id, *next);
            }
        }
        let held: HashSet<i64> = self.leased().into_iter().map(|(account, _)| account).collect();
        let is_answered = |question: &mut Question| {
            let was_looked_into = returned.number > question.asked
                && (returned.accounts.as_ref())
                    .is_none_or(|accounts| question.account.is_some_and(|account| accounts.contains(&account)));
            was_looked_into
                && match question.account {
                    Some(account) => !held.contains(&account) && !self.due.contains(&account),
                    None => held.is_empty() && self.due.is_empty(),
                }
        };
        for question in self.questions.extract_if(.., is_answered) {
            question.done.send(()).unwrap_or_default();
        }
    }

    /// Whether a round trip is to begin: somebody wants to look, or there is something to write down.
    fn may_depart(&self) -> bool {
        self.trip.is_empty() && (self.look || self.ended.len() > self.left)
    }

    /// Begins to write down what has ended, and to take what is due. Sending goes on meanwhile.
    fn depart(&mut self, now: OffsetDateTime) {
        self.departed = Instant::now();
        self.departures += 1;
        let (number, all) = (self.departures, std::mem::take(&mut self.looks_into_all));
        self.look = false;
        self.due.extend(self.heard_of.drain());
        self.due.extend(self.ended.iter().map(|ended| ended.delivery.account_id));
        self.due.extend(self.questions.iter().filter_map(|question| question.account));
        let claim = Claim {
            server: self.server,
            now,
            leaps: self.clock.is_moved_by_hand(),
            accounts: self.due.iter().copied().collect(),
            rooms: self.lanes.rooms(self.departed),
            limit: self.lanes.room(),
            firsts: self.rules.limits.total,
            others: self.lanes.room_of_others(self.departed),
        };
        let renewed = if self.renewed.elapsed() >= RENEWAL { self.leased() } else { Vec::new() };
        let (database, metrics, watchers) = (self.database.clone(), self.metrics.clone(), self.watchers.clone());
        let (mut left, given_back) = (std::mem::take(&mut self.ended), std::mem::take(&mut self.given_back));
        self.trip.spawn(async move {
            let trip = round_trip(&database, &claim, all, &left, &renewed, &given_back).await;
            let was_renewed = trip.is_some() && !renewed.is_empty();
            let Trip { recorded, claimed, outlook } = trip.unwrap_or_default();
            for ended in left.extract_if(.., |ended| recorded.contains(&ended.delivery.key())) {
                metrics.attempted(ended.outcome.is_received(), ended.next_at.is_none());
                watchers.notify(ended.delivery.account_id);
            }
            let accounts = (!all).then_some(claim.accounts);
            Returned { number, accounts, left, was_renewed, claimed, outlook }
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
        let gone = std::mem::take(&mut self.ended_meanwhile);
        returned.left.retain(|ended| !gone.contains(&ended.delivery.account_id));
        returned.claimed.retain(|delivery| !gone.contains(&delivery.account_id));
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
        let running = self.running.values().map(|running| &running.delivery);
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
            let attempt = Attempt {
                sender: sender.clone(),
                clock: self.clock.clone(),
                retries: self.rules.retries.clone(),
                database: self.database.clone(),
                server: self.server,
            };
            let task = self.under_way.spawn(attempt.run(Arc::clone(&delivery)));
            self.running.insert(task.id(), Running { delivery, begun: now, task });
        }
        self.given_back.extend(self.lanes.give_back(now).iter().map(|delivery| delivery.key()));
    }

    fn take(&mut self, ended: Result<(Id, Option<Ended>), JoinError>) {
        let task = match &ended {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        if let Some(Running { delivery, begun, .. }) = self.running.remove(&task) {
            let was_received =
                ended.as_ref().is_ok_and(|(_, ended)| ended.as_ref().is_none_or(|ended| ended.outcome.is_received()));
            self.lanes.ended(delivery.lane(), begun, was_received, Instant::now());
        }
        let ended = match ended {
            Ok((_, Some(ended))) => ended,
            // it was held back: when it is due now is to be found out
            Ok((_, None)) => {
                self.look = true;
                return;
            }
            // its account has ended
            Err(error) if error.is_cancelled() => return,
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
