//! The SQL of advice: violations by an account's webhook receivers, read from the delivery attempts.

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::{AdviceKind, Example, Tally};

/// Maximum number of attempts read for each account, the latest first.
const ATTEMPTS: i64 = 10_000;
/// Milliseconds after which an answer counts as slow.
const SLOW: i32 = 5000;

/// Violations by an account's webhook receivers.
#[derive(Debug)]
pub struct Webhooks {
    pub tallies: Vec<(AdviceKind, Tally)>,
    /// True if any user has a `webhook_url`.
    pub has_url: bool,
}

/// Counts the violations by the webhook receivers of an account.
///
/// # Errors
/// Errors of the database.
pub async fn webhooks(connection: &mut PgConnection, account_id: i64) -> Result<Webhooks, sqlx::Error> {
    let sql = "with latest as (
            select event_id, at, coalesce(status between 201 and 399, false) as is_other, duration > $3 as is_slow
            from delivery_attempts where account_id = $1 order by event_id desc, number desc limit $2
        )
        select count(*) filter (where is_other), min(at) filter (where is_other), max(at) filter (where is_other),
            max(event_id) filter (where is_other),
            count(*) filter (where is_slow), min(at) filter (where is_slow), max(at) filter (where is_slow),
            max(event_id) filter (where is_slow),
            exists (select from users where account_id = $1 and webhook_url is not null)
        from latest";
    let row = sqlx::query(sql).bind(account_id).bind(ATTEMPTS).bind(SLOW).fetch_one(connection).await?;
    let mut tallies = Vec::new();
    for (kind, at) in [(AdviceKind::WebhookAnswerNot200, 0), (AdviceKind::WebhookSlow, 4)] {
        tallies.extend(read(&row, at)?.map(|tally| (kind, tally)));
    }
    Ok(Webhooks { tallies, has_url: row.try_get(8)? })
}

fn read(row: &PgRow, at: usize) -> Result<Option<Tally>, sqlx::Error> {
    let count: i64 = row.try_get(at)?;
    if count == 0 {
        return Ok(None);
    }
    Ok(Some(Tally {
        count: count.unsigned_abs(),
        first_at: row.try_get(at + 1)?,
        last_at: row.try_get(at + 2)?,
        example: Example::Event(row.try_get(at + 3)?),
        findings: Vec::new(),
    }))
}
