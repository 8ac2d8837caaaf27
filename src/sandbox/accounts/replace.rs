//! Another world in the place of an account's: it takes the account's name and keys, and the old one ends. Whatever is under
//! way in that can't be seen in the new one, and nothing more of it is told.

use sqlx::Acquire;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::document::Beginning;
use crate::accounts::caller::{Access, Credentials, authenticate};
use crate::accounts::store::{self, Account};
use crate::concierge::fixtures::populate;
use crate::database::{StoreError, settle};
use crate::jsonapi::error::Errors;
use crate::sandbox::ControlPlane;
use crate::sandbox::snapshots;
use crate::web::app::to_its_end;

/// What takes a world's place.
#[derive(Debug, Clone)]
pub enum Successor {
    Fresh(Beginning),
    /// A copy of the account's snapshot of that name.
    Snapshot(String),
}

/// Puts another world in the place of the caller's, in a task of its own: what follows from it follows though the client
/// hangs up.
///
/// # Errors
/// 401 for the caller; 404 where there is no such snapshot; 503 where the database is away.
pub async fn replace(plane: ControlPlane, credentials: Credentials, successor: Successor) -> Result<(), Errors> {
    let replacing = async move {
        let (old, new) = loop {
            let mut connection = plane.app.database.connection().await?;
            let replaced = replace_once(&mut connection, &credentials, &successor, &plane).await;
            if let Some(replaced) = connection.conclude(replaced)? {
                break replaced;
            }
        };
        plane.forget(old).await;
        plane.sweeper.wake();
        // whatever was due there and then
        plane.app.wake(new);
        Ok(())
    };
    to_its_end(replacing).await
}

/// Gives the ids of both worlds. `None`: of two calls at once, this one finds that the other one took its account.
async fn replace_once(
    connection: &mut PgConnection,
    credentials: &Credentials,
    successor: &Successor,
    plane: &ControlPlane,
) -> Result<Option<(i64, i64)>, StoreError> {
    let mut transaction = connection.begin().await?;
    let outcome = async {
        let caller = authenticate(&mut transaction, credentials, Access::Write).await?;
        let Some(old) = store::lock(&mut transaction, caller.account_id).await? else { return Ok(None) };
        let now = plane.app.clock.now();
        let new = make(&mut transaction, &old, successor, now).await?;
        store::replace(&mut transaction, &old, new, now).await?;
        Ok::<_, StoreError>(Some((old.id, new)))
    }
    .await;
    settle(transaction, outcome).await
}

async fn make(
    transaction: &mut PgConnection,
    old: &Account,
    successor: &Successor,
    now: OffsetDateTime,
) -> Result<i64, StoreError> {
    match successor {
        Successor::Fresh(beginning) => {
            let time = beginning.time(now);
            Ok(populate(transaction, time, time.at(now)).await?)
        }
        Successor::Snapshot(name) => {
            let revived = snapshots::store::revive(transaction, &old.name, name, now).await?;
            Ok(revived.ok_or_else(|| snapshots::document::not_found(name))?)
        }
    }
}
