//! Applies a seed: checks it against the account, then stores it.

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use crate::accounts::timing::Timing;
use crate::database::StoreError;
use crate::jsonapi::document::Reader;
use crate::sandbox::seed::{Seed, store, validate};

/// Applies a seed to an account. `reader` is the reader of its document; `now` is the account's time.
/// `origin` is that of the call with the seed, if there is one.
///
/// The account must be locked, or not yet visible to other transactions.
///
/// # Errors
/// Every fault of the document; database errors. The caller must then roll back.
pub async fn apply(
    transaction: &mut PgConnection,
    account_id: i64,
    seed: &Seed,
    mut reader: Reader,
    now: OffsetDateTime,
    timing: &Timing,
    origin: Option<&str>,
) -> Result<(), StoreError> {
    let found = store::find_existing(transaction, account_id, seed).await?;
    validate::validate(&mut reader, seed, &found);
    reader.finish(Some(()))?;
    store::insert(transaction, account_id, seed, now, timing, origin).await?;
    Ok(store::advance_counters(transaction, account_id, seed).await?)
}
