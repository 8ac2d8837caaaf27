//! Delivery of queued events: each at least once, and the events of one resource in order.
//!
//! [`run`] claims due deliveries under leases that other servers respect, and sends them.
//! Each poll saves results and claims the next deliveries. A slow receiver delays only its own events (see [`concurrency`]).

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

/// Interval of polls of all accounts, for deliveries left by other servers.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The same interval while a client waits for an idle dispatcher.
const SHORT_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Interval of lease renewals.
const RENEWAL: Duration = Duration::from_secs(5);
/// Time for attempts in flight to finish at shutdown.
const GRACE: Duration = Duration::from_secs(3);

/// Settings of delivery.
#[derive(Debug, Clone)]
pub struct Rules {
    pub addresses: AddressRules,
    /// Time limit of one attempt.
    pub timeout: Duration,
    pub limits: Limits,
    pub retries: Retries,
}

/// Sends due deliveries until `stop` is true.
pub async fn run(mut post: Post, alarm: Alarm, mut inbox: Inbox, mut stop: watch::Receiver<bool>) {
    let clock = post.clock.clone();
    let mut moves = clock.moves();
    loop {
        let due = alarm.take_due(clock.now(), usize::MAX);
        post.wants_poll |= !due.is_empty();
        post.newly_due.extend(due);
        post.start_attempts().await;
        if post.should_poll() {
            if let Some(moves) = &mut moves {
                moves.mark_unchanged();
            }
            post.start_poll(clock.now());
        }
        // other servers do not report their deliveries, so waiters depend on polls
        let interval = if post.waiters.is_empty() { POLL_INTERVAL } else { SHORT_POLL_INTERVAL };
        let (is_polling, next_poll) = (!post.poll.is_empty(), post.poll_started + interval);
        tokio::select! {
            polled = post.next() => if let Some(polled) = polled {
                post.apply_outlook(&polled, &alarm);
            },
            () = alarm.wait(&clock) => {}
            () = Clock::moved(&mut moves) => post.schedule_full_poll(),
            Some(command) = inbox.next() => post.run_command(command),
            () = tokio::time::sleep_until(next_poll), if !is_polling => post.schedule_full_poll(),
            _ = stop.wait_for(|stop| *stop) => break,
        }
        post.answer_forgets();
    }
    drop(inbox);
    post.close().await;
}

/// A caller waiting until nothing is due.
#[derive(Debug)]
struct IdleWaiter {
    /// Account to wait for; `None`: all accounts.
    account: Option<i64>,
    /// Number of polls started before the call.
    polls_before: u64,
    done: oneshot::Sender<()>,
}

/// Dispatcher: the deliveries of this server.
#[derive(Debug)]
pub struct Post {
    database: Database,
    clock: Clock,
    rules: Rules,
    metrics: Metrics,
    watchers: Watchers,
    /// Created on first use, because it reads the machine's certificates.
    sender: Option<Sender>,
    /// Name of this server in leases.
    server: Uuid,
    /// Time of the last lease renewal.
    renewed: Instant,
    lanes: Lanes<Arc<Delivery>>,
    /// Tasks of the attempts in flight.
    in_flight: JoinSet<Option<Ended>>,
    /// Attempts in flight, by task.
    running: HashMap<Id, Running>,
    /// Results not saved yet.
    ended: Vec<Ended>,
    /// Number of results that the last poll could not save: the database was unavailable, or their rows were locked.
    /// They are saved by the next poll, or together with the next result.
    left: usize,
    /// Deliveries to release for any server.
    given_back: Vec<(i64, i64)>,
    /// Accounts that may have due deliveries.
    due: HashSet<i64>,
    /// Accounts reported due since the last poll started.
    newly_due: HashSet<i64>,
    /// `true` if the next poll is wanted now.
    wants_poll: bool,
    /// `true` if the next poll covers all accounts.
    polls_all: bool,
    waiters: Vec<IdleWaiter>,
    /// Accounts deleted during the current poll; its results for them are dropped.
    forgotten: HashSet<i64>,
    /// Callers of `forget`, waiting for attempts in flight.
    forgets: Vec<(i64, oneshot::Sender<()>)>,
    /// The current poll, if there is one.
    poll: JoinSet<PollResult>,
    /// Start of the last poll.
    poll_started: Instant,
    polls_started: u64,
}

/// An attempt in flight.
#[derive(Debug)]
struct Running {
    delivery: Arc<Delivery>,
    begun: Instant,
    task: AbortHandle,
}

/// Result of a poll.
#[derive(Debug)]
struct PollResult {
    /// Number of the poll.
    number: u64,
    /// Accounts polled; `None`: all.
    accounts: Option<Vec<i64>>,
    /// Results of attempts that could not be saved.
    left: Vec<Ended>,
    /// `true` if the leases were renewed.
    was_renewed: bool,
    claimed: Vec<Delivery>,
    /// Due times. `None` after a poll that both saved and claimed, or if the database was unavailable.
    outlook: Option<Vec<Outlook>>,
}

impl Post {
    /// Returns a dispatcher without deliveries.
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
            in_flight: JoinSet::new(),
            running: HashMap::new(),
            ended: Vec::new(),
            left: 0,
            given_back: Vec::new(),
            due: HashSet::new(),
            newly_due: HashSet::new(),
            wants_poll: true,
            polls_all: true,
            waiters: Vec::new(),
            forgotten: HashSet::new(),
            forgets: Vec::new(),
            poll: JoinSet::new(),
            poll_started: Instant::now(),
            polls_started: 0,
        }
    }

    fn schedule_full_poll(&mut self) {
        (self.wants_poll, self.polls_all) = (true, true);
    }

    fn run_command(&mut self, command: Order) {
        match command {
            Order::CatchUp(account, done) => {
                self.wants_poll = true;
                self.newly_due.extend(account);
                self.polls_all |= account.is_none();
                self.waiters.push(IdleWaiter { account, polls_before: self.polls_started, done });
            }
            Order::Forget(account, done) => {
                self.lanes.forget(account);
                self.ended.retain(|ended| ended.delivery.account_id != account);
                self.left = self.left.min(self.ended.len());
                for running in self.running.values().filter(|running| running.delivery.account_id == account) {
                    running.task.abort();
                }
                if !self.poll.is_empty() {
                    self.forgotten.insert(account);
                }
                self.forgets.push((account, done));
            }
        }
    }

    /// Answers the callers of `forget` for accounts without attempts in flight.
    fn answer_forgets(&mut self) {
        let running: HashSet<i64> = self.running.values().map(|running| running.delivery.account_id).collect();
        for (_, done) in self.forgets.extract_if(.., |(account, _)| !running.contains(account)) {
            done.send(()).unwrap_or_default(); // the caller may be gone
        }
    }

    /// Applies the due times of a poll, and answers waiters with nothing left due.
    fn apply_outlook(&mut self, polled: &PollResult, alarm: &Alarm) {
        let Some(outlook) = &polled.outlook else { return };
        match &polled.accounts {
            Some(accounts) => self.due.retain(|account| !accounts.contains(account)),
            None => self.due.clear(),
        }
        for Outlook { account_id, is_due, next } in outlook {
            if *is_due {
                self.due.insert(*account_id);
            }
            if let Some(next) = next {
                alarm.schedule(*account_id, *next);
            }
        }
        let held: HashSet<i64> = self.leased().into_iter().map(|(account, _)| account).collect();
        let is_answered = |waiter: &mut IdleWaiter| {
            let was_polled = polled.number > waiter.polls_before
                && (polled.accounts.as_ref())
                    .is_none_or(|accounts| waiter.account.is_some_and(|account| accounts.contains(&account)));
            was_polled
                && match waiter.account {
                    Some(account) => !held.contains(&account) && !self.due.contains(&account),
                    None => held.is_empty() && self.due.is_empty(),
                }
        };
        for waiter in self.waiters.extract_if(.., is_answered) {
            waiter.done.send(()).unwrap_or_default();
        }
    }

    /// Returns true if a poll should start: one is wanted, or there are results to save.
    fn should_poll(&self) -> bool {
        self.poll.is_empty() && (self.wants_poll || self.ended.len() > self.left)
    }

    /// Starts a poll: saves results and claims due deliveries. Sending continues meanwhile.
    fn start_poll(&mut self, now: OffsetDateTime) {
        self.poll_started = Instant::now();
        self.polls_started += 1;
        let (number, all) = (self.polls_started, std::mem::take(&mut self.polls_all));
        self.wants_poll = false;
        self.due.extend(self.newly_due.drain());
        self.due.extend(self.ended.iter().map(|ended| ended.delivery.account_id));
        self.due.extend(self.waiters.iter().filter_map(|waiter| waiter.account));
        let claim = Claim {
            server: self.server,
            now,
            leaps: self.clock.is_moved_by_hand(),
            accounts: self.due.iter().copied().collect(),
            rooms: self.lanes.rooms(self.poll_started),
            limit: self.lanes.room(),
            firsts: self.rules.limits.total,
            others: self.lanes.room_of_others(self.poll_started),
        };
        let renewed = if self.renewed.elapsed() >= RENEWAL { self.leased() } else { Vec::new() };
        let (database, metrics, watchers) = (self.database.clone(), self.metrics.clone(), self.watchers.clone());
        let (mut left, given_back) = (std::mem::take(&mut self.ended), std::mem::take(&mut self.given_back));
        self.poll.spawn(async move {
            let trip = round_trip(&database, &claim, all, &left, &renewed, &given_back).await;
            let was_renewed = trip.is_some() && !renewed.is_empty();
            let Trip { recorded, claimed, outlook } = trip.unwrap_or_default();
            for ended in left.extract_if(.., |ended| recorded.contains(&ended.delivery.key())) {
                metrics.attempted(ended.outcome.is_received(), ended.next_at.is_none());
                watchers.notify(ended.delivery.account_id);
            }
            let accounts = (!all).then_some(claim.accounts);
            PollResult { number, accounts, left, was_renewed, claimed, outlook }
        });
    }

    /// Waits for a poll or an attempt to finish, and applies it. Returns the result of a poll.
    async fn next(&mut self) -> Option<PollResult> {
        tokio::select! {
            Some(polled) = self.poll.join_next() => match polled {
                Ok(polled) => Some(self.apply_poll(polled)),
                Err(error) => {
                    tracing::error!(%error, "a poll for due events failed");
                    None
                }
            },
            Some(ended) = self.in_flight.join_next_with_id() => {
                self.finish_attempt(ended);
                while let Some(ended) = self.in_flight.try_join_next_with_id() {
                    self.finish_attempt(ended);
                }
                None
            }
            else => std::future::pending().await,
        }
    }

    /// Keeps unsaved results and queues claimed deliveries, except for accounts deleted meanwhile.
    fn apply_poll(&mut self, mut polled: PollResult) -> PollResult {
        let gone = std::mem::take(&mut self.forgotten);
        polled.left.retain(|ended| !gone.contains(&ended.delivery.account_id));
        polled.claimed.retain(|delivery| !gone.contains(&delivery.account_id));
        self.left = polled.left.len();
        self.ended.append(&mut polled.left);
        if polled.was_renewed {
            self.renewed = Instant::now();
        }
        let held: HashSet<_> =
            if polled.claimed.is_empty() { HashSet::new() } else { self.leased().into_iter().collect() };
        for delivery in polled.claimed.drain(..) {
            // this server's own lease may have expired while the database was unavailable
            if !held.contains(&delivery.key()) {
                let (lane, was_tried) = (delivery.lane(), delivery.tries > 0);
                self.lanes.add(lane, Arc::new(delivery), was_tried);
            }
        }
        polled
    }

    /// Returns account and event of each claimed delivery without a result.
    fn unfinished(&self) -> impl Iterator<Item = (i64, i64)> {
        let running = self.running.values().map(|running| &running.delivery);
        self.lanes.waiting().chain(running).map(|delivery| delivery.key())
    }

    /// Returns account and event of each leased delivery.
    fn leased(&self) -> Vec<(i64, i64)> {
        self.unfinished().chain(self.ended.iter().map(|ended| ended.delivery.key())).collect()
    }

    /// Starts the attempts that the limits allow.
    async fn start_attempts(&mut self) {
        if self.sender.is_none() && self.lanes.held() > 0 {
            let (addresses, timeout) = (self.rules.addresses.clone(), self.rules.timeout);
            let made = tokio::task::spawn_blocking(move || Sender::new(addresses, timeout)).await;
            match made {
                Ok(Ok(sender)) => self.sender = Some(sender),
                Ok(Err(error)) => tracing::error!(%error, "the HTTP client for webhooks can't be created"),
                Err(error) => tracing::error!(%error, "the HTTP client for webhooks can't be created"),
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
            let task = self.in_flight.spawn(attempt.run(Arc::clone(&delivery)));
            self.running.insert(task.id(), Running { delivery, begun: now, task });
        }
        self.given_back.extend(self.lanes.give_back(now).iter().map(|delivery| delivery.key()));
    }

    /// Frees the slot of an attempt, and queues its result for saving.
    fn finish_attempt(&mut self, ended: Result<(Id, Option<Ended>), JoinError>) {
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
            // postponed by a fault: a poll finds its new due time
            Ok((_, None)) => {
                self.wants_poll = true;
                return;
            }
            // aborted, because its account has ended
            Err(error) if error.is_cancelled() => return,
            // panicked: any server claims the delivery again after its lease expires
            Err(error) => {
                tracing::error!(%error, "a delivery attempt panicked");
                return;
            }
        };
        let (delivery, outcome) = (&ended.delivery, &ended.outcome);
        if let Some(error) = &outcome.error {
            let (account, event) = delivery.key();
            match ended.next_at {
                Some(next) => {
                    let next = timestamp(next);
                    tracing::info!(account, event, %error, next, "an event was not received; it will be retried");
                }
                None => tracing::warn!(account, event, %error, "an event was not received; it is given up"),
            }
        }
        self.ended.push(ended);
    }

    /// Waits up to [`GRACE`] for attempts in flight, saves the results, and releases the rest for other servers.
    async fn close(mut self) {
        let all = async {
            while !self.in_flight.is_empty() || !self.poll.is_empty() {
                self.next().await;
            }
        };
        drop(tokio::time::timeout(GRACE, all).await);
        self.in_flight.abort_all();
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
            tracing::warn!("the results of the last delivery attempts could not be saved");
        }
    }
}
