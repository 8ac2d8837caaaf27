//! Simulated decisions about users, and credits and debits of their wallets.

use sqlx::postgres::PgConnection;

use super::document::Money;
use super::{Actor, FUNDS_MISSING};
use crate::concierge::cash_wallets::ledger;
use crate::concierge::cash_wallets::ledger::{Credit, Wallet};
use crate::concierge::changes::Changes;
use crate::concierge::outputs;
use crate::concierge::requests::actions::ACTION_NOT_POSSIBLE;
use crate::concierge::users::state::ComplianceState;
use crate::concierge::users::{SCHEMA, store};
use crate::database::{StoreError, transaction};
use crate::jsonapi::error::{Error, Errors};
use crate::web::call::not_found;

/// Maximum number of checks resumed in one transaction.
const BATCH: i64 = 1000;

/// Sets a user's compliance state and resumes the checks that waited for it.
///
/// # Errors
/// 404 for an unknown user; 409 if the user is already in the state; database errors. Then nothing is changed.
pub async fn decide(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    id: i64,
    to: ComplianceState,
) -> Result<(), StoreError> {
    loop {
        if transaction(connection, async |transaction| decide_once(transaction, actor, id, to).await).await? {
            return Ok(());
        }
    }
}

/// Returns true once the state is set.
///
/// If more checks wait than one transaction resumes, the state is set with the last of them.
async fn decide_once(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    id: i64,
    to: ComplianceState,
) -> Result<bool, StoreError> {
    let actor = &actor.hold(connection).await?;
    let (account_id, at) = (actor.caller.account_id, actor.now);
    let from = store::lock(connection, account_id, id).await?;
    let from = from.ok_or_else(|| not_found(&SCHEMA, &id.to_string()))?;
    if from == to {
        let possible = [ComplianceState::Enabled, ComplianceState::Disabled, ComplianceState::Rejected];
        let possible: Vec<_> = possible.into_iter().filter(|other| *other != to).map(ComplianceState::verb).collect();
        let detail = format!("user {id} is already {}; possible: {}", from.name(), possible.join(", "));
        return Err(Errors::from(Error::new(ACTION_NOT_POSSIBLE, detail)).into());
    }
    if !actor.timing().is_manual {
        let resumed = outputs::store::transitions::resume(connection, &[(account_id, id, at)], BATCH).await?;
        if i64::try_from(resumed).is_ok_and(|resumed| resumed >= BATCH) {
            return Ok(false);
        }
    }
    let step = store::UserTransition { account_id, id, to, at, cause: actor.cause.clone() };
    let changes = Changes { users: vec![step], ..Changes::default() };
    changes.save(connection, &actor.app.rules.public_url).await?;
    Ok(true)
}

/// Credits a wallet.
///
/// # Errors
/// 404 for an unknown user; database errors. Then nothing is changed.
pub async fn credit(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    id: i64,
    Money { currency, amount }: Money,
) -> Result<(), StoreError> {
    let work = async |transaction: &mut PgConnection| {
        let actor = &actor.hold(transaction).await?;
        let wallet = Wallet { account_id: actor.caller.account_id, user_id: id, currency };
        let at = actor.timing().unless_manual(actor.now);
        find(transaction, actor, id).await?;
        Ok(ledger::credit(transaction, &[Credit { wallet, amount, at }]).await?)
    };
    transaction(connection, work).await
}

async fn find(connection: &mut PgConnection, actor: &Actor<'_>, id: i64) -> Result<(), StoreError> {
    let found = store::load(connection, actor.caller.account_id, &[id]).await?;
    if found.is_empty() { Err(not_found(&SCHEMA, &id.to_string()).into()) } else { Ok(()) }
}

/// Debits a wallet.
///
/// # Errors
/// 404 for an unknown user; 409 if the wallet holds less; database errors. Then nothing is changed.
pub async fn debit(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    id: i64,
    Money { currency, amount }: Money,
) -> Result<(), StoreError> {
    let work = async |transaction: &mut PgConnection| {
        find(transaction, actor, id).await?;
        let wallet = Wallet { account_id: actor.caller.account_id, user_id: id, currency };
        let locked = ledger::lock(transaction, std::slice::from_ref(&wallet)).await?;
        match locked.into_iter().next() {
            Some((wallet, balance, due_at)) if balance >= amount => {
                Ok(ledger::save(transaction, &[(wallet, balance - amount, due_at)]).await?)
            }
            locked => {
                let balance = locked.map(|(_, balance, _)| balance).unwrap_or_default();
                let (holds, asked) = (balance.normalized().to_plain_string(), amount.normalized().to_plain_string());
                let detail =
                    format!("`amount` is {asked}; the {} wallet of user {id} holds only {holds}", wallet.currency);
                Err(Errors::from(Error::new(FUNDS_MISSING, detail).at("/amount")).into())
            }
        }
    };
    transaction(connection, work).await
}
