//! Making and deleting instructions, each with the event that tells of it, in one transaction.

use sqlx::Acquire;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::document::render;
use super::{NewWithdrawalInstruction, WithdrawalInstruction, store};
use crate::accounts::caller::{Caller, Credentials};
use crate::database::{StoreError, settle};
use crate::events::{self, Cause, Event, Snapshot};

/// The type of the event that tells of a new instruction.
pub const CREATED: &str = "withdrawal_instruction_created";
/// The type of the event that tells of a changed one. Nothing changes one here; a handler has to know it.
pub const UPDATED: &str = "withdrawal_instruction_updated";
/// The type of the event that tells of a deleted one.
pub const DESTROYED: &str = "withdrawal_instruction_destroyed";

/// Makes an instruction; `None` where the user it should belong to isn't there, or the id, behind its account's, isn't one of
/// the caller's account, which was reset. `now` is the server's.
///
/// # Errors
/// 401 for the caller; those of the database.
pub async fn create(
    connection: &mut PgConnection,
    credentials: &Credentials,
    id: (i64, i64),
    new: &NewWithdrawalInstruction,
    now: OffsetDateTime,
    origin: &str,
    cause: Cause,
) -> Result<(Caller, Option<WithdrawalInstruction>), StoreError> {
    let mut transaction = connection.begin().await?;
    let outcome = async {
        let (caller, created) = store::create(&mut transaction, credentials, id, new, now).await?;
        if let Some(created) = &created {
            tell(&mut transaction, caller, CREATED, created, (caller.time.at(now), cause), origin).await?;
        }
        Ok((caller, created))
    }
    .await;
    settle(transaction, outcome).await
}

/// What came of deleting an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    Deleted,
    NotFound,
    /// An output that isn't final uses it; the first of them.
    InUse(i64),
}

/// Deletes an instruction unless an output that isn't final uses it. `now` is the server's.
///
/// The lock keeps new outputs from using it, and what is looked up behind it sees every one that did.
///
/// # Errors
/// 401 for the caller; those of the database.
pub async fn delete(
    connection: &mut PgConnection,
    credentials: &Credentials,
    id: i64,
    now: OffsetDateTime,
    origin: &str,
    cause: Cause,
) -> Result<(Caller, Deletion), StoreError> {
    let mut transaction = connection.begin().await?;
    let outcome = async {
        let (caller, instruction) = store::lock(&mut transaction, credentials, id).await?;
        let Some(instruction) = instruction else { return Ok((caller, Deletion::NotFound)) };
        let now = caller.time.at(now);
        if let Some(output) = store::delete(&mut transaction, caller.account_id, id, now).await? {
            return Ok((caller, Deletion::InUse(output)));
        }
        tell(&mut transaction, caller, DESTROYED, &instruction, (now, cause), origin).await?;
        Ok((caller, Deletion::Deleted))
    }
    .await;
    settle(transaction, outcome).await
}

async fn tell(
    connection: &mut PgConnection,
    caller: Caller,
    event_type: &'static str,
    instruction: &WithdrawalInstruction,
    (at, cause): (OffsetDateTime, Cause),
    origin: &str,
) -> Result<(), sqlx::Error> {
    let resource = Snapshot::of(&render(instruction), Some(caller.user_id), origin);
    let event = Event { account_id: caller.account_id, event_type, at, resource, cause, is_made_up: false };
    events::store::write(connection, &[event]).await
}
