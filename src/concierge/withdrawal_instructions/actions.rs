//! Creates and deletes instructions, each with its event in one transaction.

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::document::render;
use super::{NewWithdrawalInstruction, WithdrawalInstruction, store};
use crate::accounts::caller::{Caller, Credentials};
use crate::database::{StoreError, transaction};
use crate::events;
use crate::events::{Cause, Event, ResourceSnapshot};

/// Type of the event for a new instruction.
pub const CREATED: &str = "withdrawal_instruction_created";
/// Type of the event for a changed instruction.
/// Instructions never change here, but a client's handler must know the type.
pub const UPDATED: &str = "withdrawal_instruction_updated";
/// Type of the event for a deleted instruction.
pub const DESTROYED: &str = "withdrawal_instruction_destroyed";

/// Inserts an instruction; `id` is the id of its account and its own.
/// Returns `None` if its user does not exist, or the id belongs to another account because of a reset.
/// `now` is the server's time.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn create(
    connection: &mut PgConnection,
    credentials: &Credentials,
    id: (i64, i64),
    new: &NewWithdrawalInstruction,
    now: OffsetDateTime,
    origin: &str,
    cause: Cause,
) -> Result<(Caller, Option<WithdrawalInstruction>), StoreError> {
    transaction(connection, async |transaction| {
        let (caller, created) = store::create(transaction, credentials, id, new, now).await?;
        if let Some(created) = &created {
            record(transaction, &caller, CREATED, created, (caller.time.at(now), cause), origin).await?;
        }
        Ok((caller, created))
    })
    .await
}

/// Outcome of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    Deleted,
    NotFound,
    /// In use by an output in a non-final state; the first such output.
    InUse(i64),
}

/// Deletes an instruction unless an output in a non-final state uses it.
/// `now` is the server's time.
///
/// The lock stops new outputs from using the instruction, so the later lookup finds every use.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn delete(
    connection: &mut PgConnection,
    credentials: &Credentials,
    id: i64,
    now: OffsetDateTime,
    origin: &str,
    cause: Cause,
) -> Result<(Caller, Deletion), StoreError> {
    transaction(connection, async |transaction| {
        let (caller, instruction) = store::lock(transaction, credentials, id).await?;
        let Some(instruction) = instruction else { return Ok((caller, Deletion::NotFound)) };
        let now = caller.time.at(now);
        if let Some(output) = store::delete(transaction, caller.account_id, id, now).await? {
            return Ok((caller, Deletion::InUse(output)));
        }
        record(transaction, &caller, DESTROYED, &instruction, (now, cause), origin).await?;
        Ok((caller, Deletion::Deleted))
    })
    .await
}

async fn record(
    connection: &mut PgConnection,
    caller: &Caller,
    event_type: &'static str,
    instruction: &WithdrawalInstruction,
    (at, cause): (OffsetDateTime, Cause),
    origin: &str,
) -> Result<(), sqlx::Error> {
    let resource = ResourceSnapshot::of(&render(instruction), Some(caller.user_id), origin);
    let event = Event { account_id: caller.account_id, event_type, at, resource, cause, is_made_up: false };
    events::store::record(connection, &[event]).await
}
