//! Metrics for operators, in OpenMetrics text. Counters count this server's work since its start.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// The metrics of one server. Cheap to clone; clones share their values.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Mutex<Registry>,
    delivered: Counter,
    failed: Counter,
    given_up: Counter,
    impossible_transitions: Counter,
    oldest_age: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("concierge_sandbox");
        let (delivered, failed, given_up) = (Counter::default(), Counter::default(), Counter::default());
        let (impossible_transitions, oldest_age) = (Counter::default(), Gauge::default());
        registry.register("webhooks_delivered", "Events received with status 200", delivered.clone());
        registry.register("webhooks_failed", "Failed delivery attempts", failed.clone());
        registry.register("webhooks_given_up", "Events given up after the last retry", given_up.clone());
        registry.register(
            "impossible_transitions",
            "Transitions refused because a stored state does not allow them",
            impossible_transitions.clone(),
        );
        registry.register_with_unit(
            "webhooks_oldest_undelivered_age",
            "Age of the oldest undelivered event of all servers; 0 without one",
            Unit::Seconds,
            oldest_age.clone(),
        );
        let registry = Mutex::new(registry);
        Self(Arc::new(Inner { registry, delivered, failed, given_up, impossible_transitions, oldest_age }))
    }
}

impl Metrics {
    /// Counts a delivery attempt. `was_last` marks the attempt after the last retry.
    pub fn attempted(&self, was_received: bool, was_last: bool) {
        match (was_received, was_last) {
            (true, _) => self.0.delivered.inc(),
            (false, false) => self.0.failed.inc(),
            (false, true) => {
                self.0.failed.inc();
                self.0.given_up.inc()
            }
        };
    }

    /// Counts a transition that a stored state does not allow.
    pub fn count_impossible_transition(&self) {
        self.0.impossible_transitions.inc();
    }

    /// Returns all metrics as text.
    pub fn text(&self, oldest_age: Duration) -> String {
        self.0.oldest_age.set(oldest_age.as_secs_f64());
        let mut text = String::new();
        // writing to memory can't fail
        encode(&mut text, &self.0.registry.lock()).unwrap_or_default();
        text
    }
}
