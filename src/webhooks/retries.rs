//! The retry schedule of events. Pure.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// Largest jitter, as a fraction of the delay.
const JITTER: f64 = 0.1;

/// The retry schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// Delay after each failed attempt. When all are used, the event is given up.
    pub delays: Vec<Duration>,
    /// Seed of the jitter: the same seed, account key, event and attempt give the same jitter.
    pub seed: u64,
}

impl Retries {
    /// Returns the delay from a failed attempt to the next; `None`: the event is given up.
    ///
    /// * `account`: hash of the account's key.
    /// * `tries`: attempts so far, including the failed one.
    /// * `retry_after`: delay requested by the receiver. It extends the scheduled delay, but never shortens it.
    pub fn delay(
        &self,
        account: &[u8],
        event_id: i64,
        tries: usize,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let step = self.delays.get(tries.checked_sub(1)?)?;
        let delay = step.mul_f64(1.0 + JITTER * self.jitter(account, event_id, tries));
        // whole milliseconds, like all displayed times
        let delay = Duration::from_millis(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        Some(delay.max(retry_after.unwrap_or_default()))
    }

    /// Returns a number from -1 to 1, the same on every server for the same seed, account, event and attempt.
    fn jitter(&self, account: &[u8], event_id: i64, tries: usize) -> f64 {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(account);
        hash.update(event_id.to_be_bytes());
        hash.update(tries.to_be_bytes());
        let hash = hash.finalize();
        let drawn = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        f64::from(drawn) / f64::from(u32::MAX) * 2.0 - 1.0
    }
}
