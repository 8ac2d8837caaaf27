//! One attempt at sending an event, and the effects of faults on it.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::client::{AttemptOutcome, WebhookClient, WebhookRequest};
use super::delivery::{Delivery, FinishedAttempt, Postponement};
use super::envelope::headers;
use super::retries::Retries;
use super::store;
use crate::accounts::caller::sha256;
use crate::clock::Clock;
use crate::database::Database;
use crate::faults::WebhookEffect;
use crate::faults::store::claim_webhook_fault;

/// Delay of an event that a fault puts behind the next one of its resource: longer than most steps.
const REORDERED: Duration = Duration::from_secs(5);

/// Dependencies of all attempts.
#[derive(Debug, Clone)]
pub struct AttemptContext {
    pub clock: Clock,
    pub retries: Retries,
    pub database: Database,
    /// Name of this server in leases.
    pub server: Uuid,
}

/// An attempt at a delivery leased to this server.
#[derive(Debug)]
pub struct Attempt {
    pub delivery: Arc<Delivery>,
    pub client: WebhookClient,
    pub context: AttemptContext,
}

impl Attempt {
    /// Makes the attempt and returns its result; `None`: a fault postponed the event.
    pub async fn run(self) -> Option<FinishedAttempt> {
        let at = self.now();
        let fault = match self.delivery.postponed_by {
            None if self.delivery.has_faults => self.fault().await,
            Some(Postponement::Reorder) if self.swap_with_next().await => return None,
            None | Some(_) => None,
        };
        let outcome = match fault {
            Some(WebhookEffect::Delay(delay)) => {
                self.postpone(at + delay, Postponement::Delay).await;
                return None;
            }
            Some(WebhookEffect::Reorder) => {
                self.postpone(at + REORDERED, Postponement::Reorder).await;
                return None;
            }
            Some(WebhookEffect::Drop) => AttemptOutcome::dropped(),
            Some(WebhookEffect::BadAuth) => self.send(true).await,
            Some(WebhookEffect::Duplicate) => {
                self.send(false).await;
                self.send(false).await
            }
            None => self.send(false).await,
        };
        let ended_at = self.now();
        let next_at = self.retry_delay(&outcome).map(|delay| ended_at + delay);
        Some(FinishedAttempt { delivery: self.delivery, outcome, at, ended_at, next_at })
    }

    /// Returns the account's time to record.
    fn now(&self) -> OffsetDateTime {
        self.delivery.time.recorded_at(&self.context.clock, self.delivery.due_at)
    }

    /// Returns the delay of the next attempt; `None`: the event was received or is given up.
    fn retry_delay(&self, outcome: &AttemptOutcome) -> Option<Duration> {
        if outcome.is_received() {
            return None;
        }
        let key = self.delivery.key_sha256.as_deref().unwrap_or_default();
        let (event_id, tries) = (self.delivery.envelope.event_id, self.delivery.tries + 1);
        self.context.retries.delay(key, event_id, tries, outcome.retry_after)
    }

    /// Sends the event once. `is_forged`: with the authentication of a wrong key.
    async fn send(&self, is_forged: bool) -> AttemptOutcome {
        let delivery = &self.delivery;
        let Some(url) = delivery.url.clone() else {
            return AttemptOutcome::failed("`webhook_url` is no longer set");
        };
        let body = delivery.envelope.body();
        let forged = delivery.key_sha256.as_deref().filter(|_| is_forged).map(sha256);
        let key = forged.as_ref().map(<[u8; 32]>::as_slice).or(delivery.key_sha256.as_deref());
        let headers = headers(delivery.envelope.event_id, &body, key, Clock::machine().now());
        self.client.attempt(&WebhookRequest { url, headers, body }).await
    }

    /// Claims the fault for this attempt. Without an answer of the database, there is none.
    async fn fault(&self) -> Option<WebhookEffect> {
        let mut connection = self.context.database.connection().await.ok()?;
        let event_type = &self.delivery.envelope.event_type;
        let claimed = claim_webhook_fault(&mut connection, self.delivery.account_id, event_type).await;
        connection.finish(claimed).ok().flatten()
    }

    /// Postpones the event. If this fails, the event is sent after its lease expires.
    async fn postpone(&self, until: OffsetDateTime, why: Postponement) {
        if let Ok(mut connection) = self.context.database.connection().await {
            let key = self.delivery.key();
            let postponed = store::postpone(&mut connection, self.context.server, key, until, why).await;
            connection.finish(postponed).ok();
        }
    }

    /// Swaps the event with the next one of its resource. Returns true if there was one.
    async fn swap_with_next(&self) -> bool {
        let Ok(mut connection) = self.context.database.connection().await else { return false };
        let swapped = store::swap_with_next(&mut connection, self.context.server, self.delivery.key()).await;
        connection.finish(swapped).unwrap_or_default()
    }
}
