//! The limit of requests per second, counted per key.

use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, NotUntil, Quota};

use crate::jsonapi::error::{Error, Errors, RATE_LIMITED};

/// Number of keys to remember before idle ones are forgotten.
const REMEMBERED: usize = 10_000;

/// The rate limiter of all keys, if a limit is set.
#[derive(Debug)]
pub struct RateLimit(Option<(NonZeroU32, DefaultKeyedRateLimiter<[u8; 32]>)>);

impl RateLimit {
    /// Returns false if the server has no limit.
    pub fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Sets the requests per second allowed for each key; `None` sets no limit.
    pub fn new(per_second: Option<u32>) -> Self {
        let limit = per_second.and_then(NonZeroU32::new);
        Self(limit.map(|limit| (limit, DefaultKeyedRateLimiter::keyed(Quota::per_second(limit)))))
    }

    /// Counts a request of a key.
    ///
    /// # Errors
    /// 429 with the time to wait, beyond the limit.
    pub fn check(&self, key_sha256: &[u8; 32]) -> Result<(), Errors> {
        let Some((limit, limiter)) = &self.0 else { return Ok(()) };
        if limiter.len() > REMEMBERED {
            limiter.retain_recent();
        }
        let exceeded =
            || format!("the limit of {limit} requests per second for each key is exceeded; wait, then try again");
        limiter.check_key(key_sha256).map_err(|wait| refused(&wait, exceeded()))
    }
}

/// Returns the 429 beyond a rate, with the time to wait.
pub fn refused(until: &NotUntil<<DefaultClock as Clock>::Instant>, detail: String) -> Errors {
    let wait = until.wait_time_from(DefaultClock::default().now());
    Errors::from(Error::new(RATE_LIMITED, detail)).retry_after(wait.as_secs() + 1)
}
