//! One attempt at sending an event, and the effects of faults on it.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::client::{AttemptOutcome, WebhookClient, WebhookRequest};
use super::envelope::headers;
use super::retries::Retries;
use super::store;
use super::store::{Delivery, Ended, Held};
use crate::accounts::caller::sha256;
use crate::clock::Clock;
use crate::database::Database;
use crate::faults::WebhookEffect;
use crate::faults::store::claim_webhook_fault;

/// Dependencies of an attempt.
#[derive(Debug)]
pub struct Attempt {
    pub client: WebhookClient,
    pub clock: Clock,
    pub retries: Retries,
    pub database: Database,
    /// Name of this server in leases.
    pub server: Uuid,
}

/// Delay of an event that a fault puts behind the next one of its resource: longer than most steps.
const REORDERED: Duration = Duration::from_secs(5);

impl Attempt {
    /// Makes one attempt and returns its result; `None`: a fault postponed the event.
    pub async fn run(self, delivery: Arc<Delivery>) -> Option<Ended> {
        let at = delivery.time.recorded_at(&self.clock, delivery.due_at);
        let fault = match delivery.held_for {
            None if delivery.has_faults => self.fault(&delivery).await,
            Some(Held::Reorder) if self.swap_with_next(&delivery).await => return None,
            None | Some(_) => None,
        };
        let outcome = match fault {
            Some(WebhookEffect::Delay(delay)) => {
                self.postpone(&delivery, at + delay, Held::Delay).await;
                return None;
            }
            Some(WebhookEffect::Reorder) => {
                self.postpone(&delivery, at + REORDERED, Held::Reorder).await;
                return None;
            }
            Some(WebhookEffect::Drop) => AttemptOutcome::dropped(),
            Some(WebhookEffect::BadAuth) => self.send(&delivery, true).await,
            Some(WebhookEffect::Duplicate) => {
                self.send(&delivery, false).await;
                self.send(&delivery, false).await
            }
            None => self.send(&delivery, false).await,
        };
        let ended_at = delivery.time.recorded_at(&self.clock, delivery.due_at);
        let (tries, event_id) = (delivery.tries + 1, delivery.envelope.event_id);
        let delay = if outcome.is_received() {
            None
        } else {
            let key = delivery.key_sha256.as_deref().unwrap_or_default();
            self.retries.delay(key, event_id, tries, outcome.retry_after)
        };
        Some(Ended { delivery, outcome, at, ended_at, next_at: delay.map(|delay| ended_at + delay) })
    }

    /// Sends an event once. `is_forged`: with the authentication of a wrong key.
    async fn send(&self, delivery: &Delivery, is_forged: bool) -> AttemptOutcome {
        let Some(url) = delivery.url.clone() else { return AttemptOutcome::failed("`webhook_url` is no longer set") };
        let body = delivery.envelope.body();
        let forged = delivery.key_sha256.as_deref().filter(|_| is_forged).map(sha256);
        let key = forged.as_ref().map(<[u8; 32]>::as_slice).or(delivery.key_sha256.as_deref());
        let headers = headers(delivery.envelope.event_id, &body, key, Clock::machine().now());
        self.client.attempt(&WebhookRequest { url, headers, body }).await
    }

    /// Claims the fault for this attempt. Without an answer of the database, there is none.
    async fn fault(&self, delivery: &Delivery) -> Option<WebhookEffect> {
        let mut connection = self.database.connection().await.ok()?;
        let event_type = &delivery.envelope.event_type;
        let claimed = claim_webhook_fault(&mut connection, delivery.account_id, event_type).await;
        connection.finish(claimed).ok().flatten()
    }

    /// Postpones an event. If this fails, the event is sent after its lease expires.
    async fn postpone(&self, delivery: &Delivery, until: OffsetDateTime, why: Held) {
        if let Ok(mut connection) = self.database.connection().await {
            let held = store::hold_back(&mut connection, self.server, delivery.key(), until, why).await;
            connection.finish(held).ok();
        }
    }

    /// Swaps this event with the next one of its resource. Returns true if there was one.
    async fn swap_with_next(&self, delivery: &Delivery) -> bool {
        let Ok(mut connection) = self.database.connection().await else { return false };
        let passed = store::let_pass(&mut connection, self.server, delivery.key()).await;
        connection.finish(passed).unwrap_or_default()
    }
}
