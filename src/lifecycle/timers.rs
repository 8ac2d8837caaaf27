//! SQL that stops and starts the timers of everything in an account, as its automatic transitions go off and on.

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use crate::accounts::store::find;
use crate::accounts::timing::Timing;
use crate::concierge::requests::quote::DRAFT;
use crate::database::transaction;

/// Removes the timers of everything in an account and returns their number. Transitions in progress complete.
///
/// Requests, outputs and wallets are locked in key order, like everywhere that waits for several.
///
/// # Errors
/// Database errors.
pub async fn stop(connection: &mut PgConnection, id: i64) -> Result<u64, sqlx::Error> {
    const SQL: [&str; 4] = [
        "update users set due_at = null where account_id = $1 and due_at is not null",
        "with held as (
            select account_id, id from concierge_requests where account_id = $1 and due_at is not null
            and state in ('draft', 'quote_requested', 'quoted', 'quote_accepted') order by id for no key update
        )
        update concierge_requests r set due_at = null from held h where r.account_id = h.account_id and r.id = h.id",
        "with held as (
            select account_id, id from concierge_request_outputs where account_id = $1 and due_at is not null
            and state in ('accepting', 'accepted', 'working', 'settling', 'failed') order by id for no key update
        )
        update concierge_request_outputs o set due_at = null from held h
        where o.account_id = h.account_id and o.id = h.id",
        "with held as (
            select account_id, user_id, currency from cash_wallets where account_id = $1 and due_at is not null
            order by user_id, currency for no key update
        )
        update cash_wallets w set due_at = null from held h
        where w.account_id = h.account_id and w.user_id = h.user_id and w.currency = h.currency",
    ];
    let mut stopped = 0;
    for sql in SQL {
        stopped += sqlx::query(sql).bind(id).execute(&mut *connection).await?.rows_affected();
    }
    Ok(stopped)
}

/// Seconds in which rows inserted under `manual` may still turn up: longer than any request takes.
const LATE: f64 = 30.0;

/// Sets the timer of everything in an account without one, as if its state began at `now`, in the account's time.
/// Expired deadlines are due at once. Rows inserted concurrently under `manual` are picked up by [`start_late`].
///
/// # Errors
/// Database errors.
pub async fn start(
    connection: &mut PgConnection,
    id: i64,
    now: OffsetDateTime,
    timing: &Timing,
) -> Result<(), sqlx::Error> {
    let late = "update accounts set started_until = clock_timestamp() + make_interval(secs => $2) where id = $1";
    sqlx::query(late).bind(id).bind(LATE).execute(&mut *connection).await?;
    start_without(connection, id, now, timing, true).await?;
    // requests may wait for money in these wallets
    let wallets = "with held as (
            select account_id, user_id, currency from cash_wallets where account_id = $1 and due_at is null
            order by user_id, currency for no key update
        )
        update cash_wallets w set due_at = $2 from held h
        where w.account_id = h.account_id and w.user_id = h.user_id and w.currency = h.currency";
    sqlx::query(wallets).bind(id).bind(now).execute(connection).await.map(|_| ())
}

/// Sets the timers of rows that were inserted under `manual` and turned up after [`start`]. Skips locked accounts.
/// `now` is the server's time.
///
/// # Errors
/// Database errors.
pub async fn start_late(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    server: &Timing,
) -> Result<(), sqlx::Error> {
    let sql = "select id, started_until < clock_timestamp() from accounts where started_until is not null
        for no key update skip locked";
    transaction(connection, async |transaction| {
        let started: Vec<(i64, bool)> = sqlx::query_as(sql).fetch_all(&mut *transaction).await?;
        for (id, is_over) in started {
            let account = find(transaction, id).await?;
            if let Some(account) = account.filter(|account| !account.settings.is_manual) {
                let (now, timing) = (account.time.at(now), account.settings.timing(server));
                start_without(transaction, id, now, &timing, false).await?;
            }
            if is_over {
                let over = "update accounts set started_until = null where id = $1";
                sqlx::query(over).bind(id).execute(&mut *transaction).await?;
            }
        }
        Ok(())
    })
    .await
}

/// Sets missing timers. `all` includes outputs past their first state, some of which rightly have no timer.
async fn start_without(
    connection: &mut PgConnection,
    id: i64,
    now: OffsetDateTime,
    timing: &Timing,
    all: bool,
) -> Result<(), sqlx::Error> {
    if timing.approves {
        let users = "update users set due_at = $2
            where account_id = $1 and compliance_state = 'new' and due_at is null";
        sqlx::query(users).bind(id).bind(now + timing.approval_delay).execute(&mut *connection).await?;
    }
    let requests = "with held as (
            select account_id, id from concierge_requests where account_id = $1 and due_at is null
            and state in ('draft', 'quote_requested', 'quoted', 'quote_accepted') order by id for no key update
        )
        update concierge_requests r set due_at = greatest($2, case r.state
                when 'draft' then coalesce(r.state_since, r.created_at) + $3
                when 'quote_requested' then r.eta
                when 'quoted' then r.accept_quote_before
                else r.provision_funds_before
            end)
        from held h where r.account_id = h.account_id and r.id = h.id";
    sqlx::query(requests).bind(id).bind(now).bind(DRAFT).execute(&mut *connection).await?;
    // an output that waits for its payee's approval, or for its request, continues with that
    let outputs = "with held as (
            select o.account_id, o.id from concierge_request_outputs o
            join users u on u.account_id = o.account_id and u.id = o.user_id
            join concierge_requests r on r.account_id = o.account_id and r.id = o.request_id
            where o.account_id = $1 and o.due_at is null
            and (o.state = 'accepting' or $4 and o.state in ('accepted', 'working', 'settling', 'failed'))
            and case o.state
                when 'accepting' then u.compliance_state <> 'new'
                -- the request's cascade has yet to start the outputs after its cursor
                when 'accepted' then r.state = 'working' and (r.outputs_done_to is null or o.id <= r.outputs_done_to)
                else true
            end
            order by o.id for no key update of o
        )
        update concierge_request_outputs o set due_at = case o.state when 'accepting' then $2 else $3 end
        from held h where o.account_id = h.account_id and o.id = h.id";
    sqlx::query(outputs)
        .bind(id)
        .bind(now + timing.check_delay)
        .bind(now + timing.step_delay)
        .bind(all)
        .execute(connection)
        .await
        .map(|_| ())
}
