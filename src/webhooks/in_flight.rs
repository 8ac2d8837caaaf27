//! Attempts in flight.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;
use url::{Position, Url};

use super::client::WebhookClient;
use super::delivery::{Delivery, DeliveryKey, FinishedAttempt};
use super::envelope::Envelope;
use super::send::{Attempt, AttemptContext};
use super::trust::Trust;
use crate::events::address::AddressRules;
use crate::jsonapi::render::timestamp;

/// Attempts in flight.
///
/// Each attempt has a task and an entry in `attempts`, from [`start`](Self::start) until [`next`](Self::next) returns it.
#[derive(Debug)]
pub struct InFlight {
    context: AttemptContext,
    addresses: AddressRules,
    /// Time limit of one attempt.
    timeout: Duration,
    trust: Trust,
    /// Created on first use, because it reads the machine's certificates.
    client: Option<WebhookClient>,
    tasks: JoinSet<Option<FinishedAttempt>>,
    attempts: HashMap<Id, AttemptInFlight>,
}

#[derive(Debug)]
struct AttemptInFlight {
    delivery: Arc<Delivery>,
    started: Instant,
    task: AbortHandle,
}

/// An attempt that is no longer in flight.
#[derive(Debug)]
pub struct EndedAttempt {
    pub delivery: Arc<Delivery>,
    /// Start of the attempt.
    pub started: Instant,
    pub end: AttemptEnd,
}

/// End of an attempt.
#[derive(Debug)]
pub enum AttemptEnd {
    Finished(FinishedAttempt),
    /// A fault postponed the event.
    Postponed,
    /// The attempt panicked, or was aborted because its account has ended.
    Lost,
}

impl AttemptEnd {
    /// Returns true if the event was received, or postponed: a fault says nothing against the receiver.
    pub fn was_received(&self) -> bool {
        match self {
            Self::Finished(attempt) => attempt.outcome.is_received(),
            Self::Postponed => true,
            Self::Lost => false,
        }
    }
}

impl InFlight {
    /// Returns a set without attempts. `timeout` limits one attempt.
    pub fn new(context: AttemptContext, addresses: AddressRules, timeout: Duration, trust: Trust) -> Self {
        let (tasks, attempts) = (JoinSet::new(), HashMap::new());
        Self { context, addresses, timeout, trust, client: None, tasks, attempts }
    }

    /// Returns the HTTP client; `None` and a log line if it can't be created.
    pub async fn client(&mut self) -> Option<WebhookClient> {
        if self.client.is_none() {
            let (addresses, timeout, trust) = (self.addresses.clone(), self.timeout, self.trust.clone());
            let created = tokio::task::spawn_blocking(move || WebhookClient::new(addresses, timeout, trust)).await;
            match created {
                Ok(Ok(client)) => self.client = Some(client),
                Ok(Err(error)) => tracing::error!(%error, "the HTTP client for webhooks can't be created"),
                Err(error) => tracing::error!(%error, "the HTTP client for webhooks can't be created"),
            }
        }
        self.client.clone()
    }

    /// Starts an attempt.
    pub fn start(&mut self, delivery: Arc<Delivery>, client: WebhookClient, now: Instant) {
        let attempt = Attempt { delivery: Arc::clone(&delivery), client, context: self.context.clone() };
        let task = self.tasks.spawn(attempt.run());
        self.attempts.insert(task.id(), AttemptInFlight { delivery, started: now, task });
    }

    /// Waits for an attempt to end. Removes and returns all that have ended.
    pub async fn next(&mut self) -> Vec<EndedAttempt> {
        let Some(first) = self.tasks.join_next_with_id().await else { return std::future::pending().await };
        let mut ended: Vec<_> = self.end(first).into_iter().collect();
        while let Some(next) = self.tasks.try_join_next_with_id() {
            ended.extend(self.end(next));
        }
        ended
    }

    fn end(&mut self, joined: Result<(Id, Option<FinishedAttempt>), JoinError>) -> Option<EndedAttempt> {
        let (task, end) = match joined {
            Ok((task, Some(attempt))) => (task, AttemptEnd::Finished(attempt)),
            Ok((task, None)) => (task, AttemptEnd::Postponed),
            Err(error) => {
                // any server claims the delivery again after its lease expires
                if !error.is_cancelled() {
                    tracing::error!(%error, "a delivery attempt panicked");
                }
                (error.id(), AttemptEnd::Lost)
            }
        };
        if let AttemptEnd::Finished(attempt) = &end {
            log_failure(attempt);
        }
        let AttemptInFlight { delivery, started, .. } = self.attempts.remove(&task)?;
        Some(EndedAttempt { delivery, started, end })
    }

    /// Aborts the attempts of an account. They stay in flight until their tasks end.
    pub fn abort(&self, account_id: i64) {
        for attempt in self.attempts.values().filter(|attempt| attempt.delivery.account_id == account_id) {
            attempt.task.abort();
        }
    }

    /// Aborts all attempts.
    pub fn abort_all(&mut self) {
        self.tasks.abort_all();
    }

    /// Returns true without attempts.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Returns the accounts with attempts.
    pub fn accounts(&self) -> HashSet<i64> {
        self.attempts.values().map(|attempt| attempt.delivery.account_id).collect()
    }

    /// Returns the deliveries with attempts.
    pub fn keys(&self) -> impl Iterator<Item = DeliveryKey> {
        self.attempts.values().map(|attempt| attempt.delivery.key())
    }
}

/// Logs an attempt, unless the event was received.
fn log_failure(attempt: &FinishedAttempt) {
    let Some(error) = &attempt.outcome.error else { return };
    let delivery = &attempt.delivery;
    let (account, number) = (&delivery.account_name, delivery.tries + 1);
    let Envelope { event_id: event, event_type, resource_type, resource_id, .. } = &delivery.envelope;
    let resource = format_args!("{resource_type}/{resource_id}");
    // neither user name nor password nor query: they may be secrets
    let url = delivery.url.as_deref().and_then(|url| Url::parse(url).ok());
    let host = url.as_ref().map(|url| url[Position::BeforeHost..Position::AfterPort].to_owned());
    let path = url.as_ref().map(Url::path);
    match attempt.next_at {
        Some(next) => {
            let next = timestamp(next);
            tracing::info!(
                account, event, event_type, %resource, host, path, attempt = number, %error, next,
                "an event was not received; it will be retried"
            );
        }
        None => tracing::warn!(
            account, event, event_type, %resource, host, path, attempt = number, %error,
            "an event was not received; it is given up"
        ),
    }
}
