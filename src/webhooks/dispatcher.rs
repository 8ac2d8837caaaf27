//! The dispatcher: the deliveries of this server, from the claim to the saved result.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::commands::DispatcherCommand;
use super::concurrency::ConcurrencyLimits;
use super::delivery::DeliveryKey;
use super::in_flight::{AttemptEnd, EndedAttempt, InFlight};
use super::poll::{FinishedPoll, LeaseChanges, Poller, ResultObservers};
use super::queue::DeliveryQueue;
use super::retries::Retries;
use super::send::AttemptContext;
use super::store::DeliveryClaim;
use super::trust::Trust;
use super::waiters::Waiters;
use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::database::Database;
use crate::events::address::AddressRules;

/// Interval of polls of all accounts, for deliveries left by other servers.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The same interval while a client waits for an idle dispatcher.
const SHORT_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Time for attempts in flight to finish at shutdown.
const GRACE: Duration = Duration::from_millis(500);

/// Settings of delivery.
#[derive(Debug, Clone)]
pub struct DeliveryRules {
    pub addresses: AddressRules,
    /// Time limit of one attempt.
    pub timeout: Duration,
    /// The certificates that are trusted for receivers, besides those of this machine.
    pub trust: Trust,
    pub limits: ConcurrencyLimits,
    pub retries: Retries,
    /// The server's public URL, for links in events.
    pub public_url: Option<Arc<str>>,
}

/// Dispatcher: the deliveries of this server.
///
/// A delivery leased to this server is in one place:
///
/// 1. `queue`, after a poll claimed it
/// 2. `in_flight`, during its attempt
/// 3. `poll`, until a poll saves its result
#[derive(Debug)]
pub struct Dispatcher {
    clock: Clock,
    /// Name of this server in leases.
    server: Uuid,
    public_url: Option<Arc<str>>,
    queue: DeliveryQueue,
    in_flight: InFlight,
    poll: Poller,
    waiters: Waiters,
}

impl Dispatcher {
    /// Returns a dispatcher without deliveries.
    pub fn new(database: Database, clock: Clock, rules: DeliveryRules, observers: ResultObservers) -> Self {
        let DeliveryRules { addresses, timeout, trust, limits, retries, public_url } = rules;
        let server = Uuid::new_v4();
        let context = AttemptContext { clock: clock.clone(), retries, database: database.clone(), server };
        Self {
            clock,
            server,
            public_url,
            queue: DeliveryQueue::new(limits),
            in_flight: InFlight::new(context, addresses, timeout, trust),
            poll: Poller::new(database, observers),
            waiters: Waiters::default(),
        }
    }

    /// Returns the clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Requests a poll of these accounts.
    pub fn report_due(&mut self, accounts: Vec<i64>) {
        self.poll.report_due(accounts);
    }

    /// Requests a poll of all accounts.
    pub fn schedule_full_poll(&mut self) {
        self.poll.request_full();
    }

    /// Runs a command. Its caller is answered later.
    pub fn run_command(&mut self, command: DispatcherCommand) {
        match command {
            DispatcherCommand::WaitUntilIdle(done) => {
                self.poll.request_full();
                self.waiters.add_idle(self.poll.started(), done);
            }
            DispatcherCommand::Forget(account_id, done) => {
                self.queue.forget(account_id);
                self.in_flight.abort(account_id);
                self.poll.forget(account_id);
                self.waiters.add_forget(account_id, done);
            }
        }
    }

    /// Answers the callers of `forget` for accounts without attempts in flight.
    pub fn answer_forgets(&mut self) {
        self.waiters.answer_forgets(&self.in_flight.accounts());
    }

    /// Starts the attempts that the limits allow.
    pub async fn start_attempts(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        let Some(client) = self.in_flight.client().await else { return };
        let now = Instant::now();
        for delivery in self.queue.start(now) {
            self.in_flight.start(delivery, client.clone(), now);
        }
    }

    /// Returns true while a poll runs.
    pub fn is_polling(&self) -> bool {
        self.poll.is_running()
    }

    /// Returns true if a poll should start.
    pub fn should_poll(&self) -> bool {
        self.poll.should_start()
    }

    /// Returns the time of the next poll of all accounts.
    /// Other servers do not report their deliveries, so waiters depend on polls.
    pub fn next_full_poll(&self) -> Instant {
        let interval = if self.waiters.has_idle() { SHORT_POLL_INTERVAL } else { POLL_INTERVAL };
        self.poll.started_at() + interval
    }

    /// Starts a poll: saves results and claims due deliveries. Sending continues meanwhile.
    pub fn start_poll(&mut self, now: OffsetDateTime) {
        let (limiter, instant) = (self.queue.limiter(), Instant::now());
        let claim = DeliveryClaim {
            server: self.server,
            now,
            uses_due_time: self.clock.is_moved_by_hand(),
            quotas: limiter.quotas(instant),
            limit: limiter.total_quota(),
            first_deliveries: limiter.limits().total,
            unknown_receivers: limiter.quota_for_unknown(instant),
            public_url: self.public_url.clone(),
        };
        let renewed = if self.poll.should_renew() { self.leased().collect() } else { Vec::new() };
        let leases = LeaseChanges { renewed, released: self.queue.take_released() };
        self.poll.start(claim, leases);
    }

    /// Waits for a poll or an attempt to finish, and applies it. Returns a finished poll.
    pub async fn next(&mut self) -> Option<FinishedPoll> {
        tokio::select! {
            finished = self.poll.next() => {
                let mut finished = finished?;
                self.queue.put_back(std::mem::take(&mut finished.unreleased));
                let claimed = std::mem::take(&mut finished.claimed);
                if !claimed.is_empty() {
                    let leased = self.leased().collect();
                    self.queue.add(claimed, &leased);
                }
                Some(finished)
            }
            ended = self.in_flight.next() => {
                for ended in ended {
                    self.finish_attempt(ended);
                }
                None
            }
        }
    }

    /// Frees the slot of an attempt, and queues its result for saving.
    fn finish_attempt(&mut self, ended: EndedAttempt) {
        let EndedAttempt { delivery, started, end } = ended;
        self.queue.finish(delivery.receiver(), started, end.was_received());
        match end {
            AttemptEnd::Finished(attempt) => self.poll.add_result(attempt),
            // a poll finds the new due time
            AttemptEnd::Postponed => self.poll.request(),
            AttemptEnd::Lost => {}
        }
    }

    /// Applies the due times of a poll, and answers waiters with nothing left due.
    pub fn apply_due_times(&mut self, finished: &FinishedPoll, alarm: &Alarm) {
        if finished.due_times.is_none() {
            return;
        }
        self.poll.apply_due_times(finished, alarm);
        if self.leased().next().is_none() && !self.poll.is_any_due() {
            self.waiters.answer_idle(finished);
        }
    }

    /// Returns the claimed deliveries without a result.
    fn unfinished(&self) -> impl Iterator<Item = DeliveryKey> {
        self.queue.waiting().chain(self.in_flight.keys())
    }

    /// Returns the deliveries leased to this server.
    fn leased(&self) -> impl Iterator<Item = DeliveryKey> {
        self.unfinished().chain(self.poll.unsaved())
    }

    /// Waits up to `GRACE` for attempts in flight, saves the results, and releases the rest for other servers.
    pub async fn close(mut self) {
        let all = async {
            while !self.in_flight.is_empty() || self.poll.is_running() {
                self.next().await;
            }
        };
        drop(tokio::time::timeout(GRACE, all).await);
        self.in_flight.abort_all();
        let mut released: Vec<_> = self.unfinished().collect();
        released.extend(self.queue.take_released());
        self.poll.close(self.server, &released).await;
    }
}
