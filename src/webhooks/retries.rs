//! When an event that was not received is tried again. Pure.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// The share of a delay by which it may be shorter or longer.
const JITTER: f64 = 0.1;

/// The ladder of retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// From a failed attempt to the next; after the last of them an event is given up.
    pub delays: Vec<Duration>,
    /// The same seed gives the same jitter for the same event and try of an account with the same key.
    pub seed: u64,
}

impl Retries {
    /// How long after its failed attempt an event is tried again; `None`: it is given up. `account` is the hash of its
    /// account's key; `tries` counts its attempts, that one included; `retry_after` is what the receiver asked for, which may
    /// be longer than the ladder's delay but doesn't shorten it.
    pub fn delay(
        &self,
        account: &[u8],
        event_id: i64,
        tries: usize,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let step = self.delays.get(tries.checked_sub(1)?)?;
        let delay = step.mul_f64(1.0 + JITTER * self.swing(account, event_id, tries));
        // in whole milliseconds, like every time that is shown
        let delay = Duration::from_millis(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        Some(delay.max(retry_after.unwrap_or_default()))
    }

    /// A number from -1 to 1, the same for the same seed, event and try on every server.
    fn swing(&self, account: &[u8], event_id: i64, tries: usize) -> f64 {
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
