//! Sending an event once, and what faults make of that.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::client::{Outcome, Request, Sender};
use super::envelope::headers;
use super::retries::Retries;
use super::store;
use super::store::{Delivery, Ended, Held};
use crate::accounts::caller::sha256;
use crate::clock::Clock;
use crate::database::Database;
use crate::faults::WebhookEffect;
use crate::faults::store::claim_webhook_fault;

/// What an attempt needs.
#[derive(Debug)]
pub struct Attempt {
    pub sender: Sender,
    pub clock: Clock,
    pub retries: Retries,
    pub database: Database,
    /// The name of this server in leases.
    pub server: Uuid,
}

/// How long an event is held back that is to be sent after the next one of its resource: longer than most steps take.
const REORDERED: Duration = Duration::from_secs(5);

impl Attempt {
    /// One attempt, and what follows from it; `None` where a fault holds the event back.
    pub async fn run(self, delivery: Arc<Delivery>) -> Option<Ended> {
        let at = delivery.time.happens_at(&self.clock, delivery.due_at);
        let fault = match delivery.held_for {
            None if delivery.has_faults => self.fault(&delivery).await,
            Some(Held::Reorder) if self.let_pass(&delivery).await => return None,
            None | Some(_) => None,
        };
        let outcome = match fault {
            Some(WebhookEffect::Delay(delay)) => {
                self.hold_back(&delivery, at + delay, Held::Delay).await;
                return None;
            }
            Some(WebhookEffect::Reorder) => {
                self.hold_back(&delivery, at + REORDERED, Held::Reorder).await;
                return None;
            }
            Some(WebhookEffect::Drop) => Outcome::dropped(),
            Some(WebhookEffect::BadAuth) => self.send(&delivery, true).await,
            Some(WebhookEffect::Duplicate) => {
                self.send(&delivery, false).await;
                self.send(&delivery, false).await
            }
            None => self.send(&delivery, false).await,
        };
        let ended_at = delivery.time.happens_at(&self.clock, delivery.due_at);
        let (tries, event_id) = (delivery.tries + 1, delivery.envelope.event_id);
        let delay = if outcome.is_received() {
            None
        } else {
            let key = delivery.key_sha256.as_deref().unwrap_or_default();
            self.retries.delay(key, event_id, tries, outcome.retry_after)
        };
        Some(Ended { delivery, outcome, at, ended_at, next_at: delay.map(|delay| ended_at + delay) })
    }

    /// Sends an event once; `is_forged`: as somebody would who doesn't know the key.
    async fn send(&self, delivery: &Delivery, is_forged: bool) -> Outcome {
        let Some(url) = delivery.url.clone() else { return Outcome::failed("there is no webhook_url any more") };
        let body = delivery.envelope.body();
        let forged = delivery.key_sha256.as_deref().filter(|_| is_forged).map(sha256);
        let key = forged.as_ref().map(<[u8; 32]>::as_slice).or(delivery.key_sha256.as_deref());
        let headers = headers(delivery.envelope.event_id, &body, key, Clock::machine().now());
        self.sender.attempt(&Request { url, headers, body }).await
    }

    /// The fault that acts on this attempt, if one does. Where that can't be found out, none does.
    async fn fault(&self, delivery: &Delivery) -> Option<WebhookEffect> {
        let mut connection = self.database.connection().await.ok()?;
        let event_type = &delivery.envelope.event_type;
        let claimed = claim_webhook_fault(&mut connection, delivery.account_id, event_type).await;
        connection.conclude(claimed).ok().flatten()
    }

    /// Where this fails, the lease runs out, and the event is sent then.
    async fn hold_back(&self, delivery: &Delivery, until: OffsetDateTime, why: Held) {
        if let Ok(mut connection) = self.database.connection().await {
            let held = store::hold_back(&mut connection, self.server, delivery.key(), until, why).await;
            connection.conclude(held).ok();
        }
    }

    /// Whether the next event of the resource is sent before this one.
    async fn let_pass(&self, delivery: &Delivery) -> bool {
        let Ok(mut connection) = self.database.connection().await else { return false };
        let passed = store::let_pass(&mut connection, self.server, delivery.key()).await;
        connection.conclude(passed).unwrap_or_default()
    }
}
