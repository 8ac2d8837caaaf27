//! Replaces the data of an account. A new account takes the name and keys of the old one, and the old one ends.
//!
//! Work in progress in the old account does not show in the new one. Its pending events are not delivered.

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::document::InitialState;
use crate::accounts::caller::{Access, Credentials, authenticate};
use crate::accounts::store::{self, Account};
use crate::concierge::fixtures::populate;
use crate::database::{StoreError, transaction};
use crate::jsonapi::error::Errors;
use crate::sandbox::ControlPlane;
use crate::sandbox::snapshots;
use crate::web::app::run_to_completion;

/// The replacement of an account's data.
#[derive(Debug, Clone)]
pub enum Replacement {
    Fresh(InitialState),
    /// A copy of the account's snapshot with this name.
    Snapshot(String),
}

/// Replaces the data of the caller's account. It runs in a separate task, so it completes even if the client hangs up.
///
/// # Errors
/// 401 unless the caller is authorized; 404 for an unknown snapshot; 503 while the database is unavailable.
pub async fn replace(plane: ControlPlane, credentials: Credentials, successor: Replacement) -> Result<(), Errors> {
    let replacing = async move {
        let (old, new) = loop {
            let work =
                async |connection: &mut PgConnection| replace_once(connection, &credentials, &successor, &plane).await;
            if let Some(replaced) = plane.app.database.run(work).await? {
                break replaced;
            }
        };
        plane.forget(old).await;
        plane.sweeper.wake();
        // a restored account may have work due now
        plane.app.wake(new);
        Ok(())
    };
    run_to_completion(replacing).await
}

/// Returns the ids of the old and the new account. Returns `None` if a concurrent call replaced the account first.
async fn replace_once(
    connection: &mut PgConnection,
    credentials: &Credentials,
    successor: &Replacement,
    plane: &ControlPlane,
) -> Result<Option<(i64, i64)>, StoreError> {
    let work = async |transaction: &mut PgConnection| {
        let caller = authenticate(transaction, credentials, Access::Write).await?;
        let Some(old) = store::lock(transaction, caller.account_id).await? else { return Ok(None) };
        let now = plane.app.clock.now();
        let new = make(transaction, &old, successor, now).await?;
        store::replace(transaction, &old, new, now).await?;
        Ok(Some((old.id, new)))
    };
    transaction(connection, work).await
}

async fn make(
    transaction: &mut PgConnection,
    old: &Account,
    successor: &Replacement,
    now: OffsetDateTime,
) -> Result<i64, StoreError> {
    match successor {
        Replacement::Fresh(beginning) => {
            let time = beginning.time(now);
            Ok(populate(transaction, time, time.at(now)).await?)
        }
        Replacement::Snapshot(name) => {
            let revived = snapshots::store::restore(transaction, &old.name, name, now).await?;
            Ok(revived.ok_or_else(|| snapshots::document::not_found(name))?)
        }
    }
}
