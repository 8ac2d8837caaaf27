//! The SQL of faults.

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use super::document::{read_stored, render};
use super::{Fault, FaultTarget, ListedFault, WebhookEffect};
use crate::accounts::store::lock;
use crate::database::{StoreError, transaction};

/// An account's faults, read in one statement.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// Id of the list. `None`: the account has no faults.
    pub id: Option<Uuid>,
    /// The faults, in order.
    pub faults: Vec<ListedFault>,
}

/// Replaces an account's list of faults. An empty list deletes the faults.
///
/// # Errors
/// Errors of the database.
pub async fn replace(connection: &mut PgConnection, account_id: i64, faults: &[Fault]) -> Result<(), StoreError> {
    transaction(connection, async |transaction| {
        // without the lock, two concurrent calls would insert the same positions
        if lock(transaction, account_id).await?.is_none() {
            // an ended account has no faults
            return Ok(());
        }
        sqlx::query("delete from faults where account_id = $1").bind(account_id).execute(&mut *transaction).await?;
        let sql = "insert into faults (account_id, id, list, is_of_webhooks, fault, times, lets_pass)
            select $1, f.id, $2, f.is_of_webhooks, f.fault, f.times, f.lets_pass
            from unnest($3::boolean[], $4::text[], $5::bigint[], $6::bigint[]) with ordinality
                as f (is_of_webhooks, fault, times, lets_pass, id)";
        // rendering into memory can't fail
        let texts = faults.iter().map(|fault| serde_json::to_string(&render(fault)).unwrap_or_default());
        sqlx::query(sql)
            .bind(account_id)
            .bind(Uuid::new_v4())
            .bind(faults.iter().map(|fault| matches!(fault.on, FaultTarget::Webhooks(_))).collect::<Vec<_>>())
            .bind(texts.collect::<Vec<_>>())
            .bind(faults.iter().map(|fault| fault.times).collect::<Vec<_>>())
            .bind(faults.iter().map(|fault| fault.after).collect::<Vec<_>>())
            .execute(&mut *transaction)
            .await?;
        Ok(())
    })
    .await
}

/// Lists an account's faults.
///
/// # Errors
/// Errors of the database.
pub async fn list(connection: &mut PgConnection, account_id: i64) -> Result<List, sqlx::Error> {
    let sql = "select list, id, hits, fault from faults where account_id = $1 order by id";
    let rows = sqlx::query(sql).bind(account_id).fetch_all(connection).await?;
    read_rows(&rows, 0)
}

/// Finds the account of a key and its faults of requests. Returns `None` for an unknown key.
///
/// # Errors
/// Errors of the database.
pub async fn find(connection: &mut PgConnection, key_sha256: &[u8; 32]) -> Result<Option<(i64, List)>, sqlx::Error> {
    let sql = "select k.account_id, f.list, f.id, f.hits, f.fault
        from api_keys k left join faults f on f.account_id = k.account_id and not f.is_of_webhooks
        where k.key_sha256 = $1 order by f.id";
    let rows = sqlx::query(sql).bind(key_sha256.as_slice()).fetch_all(connection).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let account_id = first.try_get(0)?;
    let has_faults = first.try_get::<Option<Uuid>, _>(1)?.is_some();
    let list = if has_faults { read_rows(&rows, 1)? } else { List::default() };
    Ok(Some((account_id, list)))
}

fn read_rows(rows: &[PgRow], at: usize) -> Result<List, sqlx::Error> {
    let mut list = List::default();
    for row in rows {
        list.id = Some(row.try_get(at)?);
        // a newer server may have stored a kind unknown here; this server does not apply it
        if let Some(fault) = read_stored(row.try_get(at + 3)?) {
            list.faults.push(ListedFault { id: row.try_get(at + 1)?, hits: row.try_get(at + 2)?, fault });
        }
    }
    Ok(list)
}

/// Result of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultClaim {
    /// The fault with this id applies.
    Acts(i32),
    /// The remaining faults let the match pass.
    Passes,
    /// No fault remains: all are used up, or the list was replaced.
    Gone,
}

/// Counts one match of these faults. Goes through them in order, and counts a pass for each fault before the one that
/// applies.
///
/// # Errors
/// Errors of the database.
pub async fn claim(
    connection: &mut PgConnection,
    account_id: i64,
    list: Uuid,
    ids: &[i32],
) -> Result<FaultClaim, sqlx::Error> {
    // locked first and in order, so concurrent claims see each other's counts
    let sql = "with matching as (
            select id, passed < lets_pass as passes from faults
            where account_id = $1 and list = $2 and id = any($3) and (times is null or hits < times)
            order by id for update
        ), acting as (
            select min(id) as id from matching where not passes
        ), counted as (
            update faults f
            set hits = f.hits + case when f.id = a.id then 1 else 0 end,
                passed = f.passed + case when f.id = a.id then 0 else 1 end
            from matching m, acting a
            where f.account_id = $1 and f.id = m.id and (a.id is null or f.id <= a.id)
        )
        select (select id from acting), exists (select from matching)";
    let row = sqlx::query(sql).bind(account_id).bind(list).bind(ids).fetch_one(connection).await?;
    Ok(match (row.try_get(0)?, row.try_get(1)?) {
        (Some(id), _) => FaultClaim::Acts(id),
        (None, true) => FaultClaim::Passes,
        (None, false) => FaultClaim::Gone,
    })
}

/// Maximum number of attempts at a claim, if the list is replaced meanwhile.
pub const CLAIMS: usize = 3;

/// Finds the first fault that applies to the delivery of an event of that type, and counts the hit.
///
/// # Errors
/// Errors of the database.
pub async fn claim_webhook_fault(
    connection: &mut PgConnection,
    account_id: i64,
    event_type: &str,
) -> Result<Option<WebhookEffect>, sqlx::Error> {
    for _ in 0..CLAIMS {
        let list = self::list(connection, account_id).await?;
        let matching: Vec<(i32, WebhookEffect)> = list
            .faults
            .iter()
            .filter(|listed| !listed.is_used_up())
            .filter_map(|listed| match &listed.fault.on {
                FaultTarget::Webhooks(fault) if fault.events.matches(event_type) => Some((listed.id, fault.effect)),
                FaultTarget::Webhooks(_) | FaultTarget::Requests(_) => None,
            })
            .collect();
        let ids: Vec<i32> = matching.iter().map(|(id, _)| *id).collect();
        let Some(id) = list.id.filter(|_| !ids.is_empty()) else { return Ok(None) };
        match claim(connection, account_id, id, &ids).await? {
            FaultClaim::Acts(id) => {
                return Ok(matching.into_iter().find(|(known, _)| *known == id).map(|(_, effect)| effect));
            }
            FaultClaim::Passes => return Ok(None),
            FaultClaim::Gone => {}
        }
    }
    Ok(None)
}
