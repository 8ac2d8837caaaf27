//! The limits on new accounts: their number, and how many a second.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use sqlx::postgres::PgConnection;

use super::rate_limit::refused;
use crate::accounts::caller::TOO_MANY_ACCOUNTS;
use crate::accounts::store;
use crate::database::StoreError;
use crate::jsonapi::error::{Error, Errors};

/// The limits on new accounts of a server.
#[derive(Debug)]
pub struct AccountLimits {
    most: u32,
    per_second: NonZeroU32,
    rate: DefaultDirectRateLimiter,
}

impl AccountLimits {
    /// Allows `most` accounts in the database, and `per_second` new ones a second.
    pub fn new(most: u32, per_second: NonZeroU32) -> Self {
        Self { most, per_second, rate: RateLimiter::direct(Quota::per_second(per_second)) }
    }

    /// Counts a new account.
    ///
    /// # Errors
    /// 429 with the time to wait, beyond the rate.
    pub fn check_rate(&self) -> Result<(), Errors> {
        let exceeded = || {
            format!(
                "{} accounts a second can be created (--account-rate); none was; wait, then try again",
                self.per_second
            )
        };
        self.rate.check().map_err(|wait| refused(&wait, exceeded()))
    }

    /// Checks that the database has room for a new account. Servers that create at the same moment may exceed the limit
    /// by one each.
    ///
    /// # Errors
    /// 409 if it has none; database errors.
    pub async fn check_room(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        if store::has_more_than(connection, self.most.saturating_sub(1)).await? {
            let detail = format!(
                "the server has {} accounts, as many as --max-accounts allows; delete some, or raise the limit",
                self.most
            );
            return Err(Errors::from(Error::new(TOO_MANY_ACCOUNTS, detail)).into());
        }
        Ok(())
    }
}
