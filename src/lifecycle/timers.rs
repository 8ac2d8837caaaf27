//! The SQL of the timers of everything in an account, where nothing is to happen by itself any more, or is to again.

use sqlx::Acquire;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use crate::accounts::pace::Pace;
use crate::accounts::store::find;
use crate::concierge::requests::quote::DRAFT;
use crate::database::end;

/// Takes the timers off everything in an account: from now on nothing happens by itself, but for what has begun. Says off how
/// much. Requests and wallets are locked in their order, as by everybody who waits for several.
///
/// # Errors
/// Those of the database.
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

/// How long something may turn up that was begun while nothing happened by itself, in seconds: longer than any request takes.
const LATE: f64 = 30.0;

/// Gives everything in an account its timer that had none, as if it came to where it is at `now` of its time; deadlines
/// that are over are due at once. What is being made meanwhile as if nothing happened by itself is [found](start_late) later.
///
/// # Errors
/// Those of the database.
pub async fn start(
    connection: &mut PgConnection,
    id: i64,
    now: OffsetDateTime,
    pace: &Pace,
) -> Result<(), sqlx::Error> {
    let late = "update accounts set started_until = clock_timestamp() + make_interval(secs => $2) where id = $1";
    sqlx::query(late).bind(id).bind(LATE).execute(&mut *connection).await?;
    start_without(connection, id, now, pace, true).await?;
    // requests may wait for what is in them
    let wallets = "with held as (
            select account_id, user_id, currency from cash_wallets where account_id = $1 and due_at is null
            order by user_id, currency for no key update
        )
        update cash_wallets w set due_at = $2 from held h
        where w.account_id = h.account_id and w.user_id = h.user_id and w.currency = h.currency";
    sqlx::query(wallets).bind(id).bind(now).execute(connection).await.map(|_| ())
}

/// Gives what turned up in accounts its timer that was made as if nothing happened by itself. Accounts that somebody is changing
/// are left for another time. `now` is the server's time.
///
/// # Errors
/// Those of the database.
pub async fn start_late(connection: &mut PgConnection, now: OffsetDateTime, server: &Pace) -> Result<(), sqlx::Error> {
    let sql = "select id, started_until < clock_timestamp() from accounts where started_until is not null
        for no key update skip locked";
    let mut transaction = connection.begin().await?;
    let outcome = async {
        let started: Vec<(i64, bool)> = sqlx::query_as(sql).fetch_all(&mut *transaction).await?;
        for (id, is_over) in started {
            let account = find(&mut transaction, id).await?;
            if let Some(account) = account.filter(|account| !account.own.is_manual) {
                let (now, pace) = (account.time.at(now), account.own.pace(server));
                start_without(&mut transaction, id, now, &pace, false).await?;
            }
            if is_over {
                let over = "update accounts set started_until = null where id = $1";
                sqlx::query(over).bind(id).execute(&mut *transaction).await?;
            }
        }
        Ok(())
    }
    .await;
    end(transaction, outcome).await
}

/// Starts what has no timer. `all`: also outputs that have come further than they were made, of which some go on by nothing.
async fn start_without(
    connection: &mut PgConnection,
    id: i64,
    now: OffsetDateTime,
    pace: &Pace,
    all: bool,
) -> Result<(), sqlx::Error> {
    if pace.approves {
        let users = "update users set due_at = $2
            where account_id = $1 and compliance_state = 'new' and due_at is null";
        sqlx::query(users).bind(id).bind(now + pace.approval_delay).execute(&mut *connection).await?;
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
    // who waits for its payee's approval, or for its request to work, goes on with that
    let outputs = "with held as (
            select o.account_id, o.id from concierge_request_outputs o
            join users u on u.account_id = o.account_id and u.id = o.user_id
            join concierge_requests r on r.account_id = o.account_id and r.id = o.request_id
            where o.account_id = $1 and o.due_at is null
            and (o.state = 'accepting' or $4 and o.state in ('accepted', 'working', 'settling', 'failed'))
            and case o.state
                when 'accepting' then u.compliance_state <> 'new'
                -- those that its start comes to yet start with it
                when 'accepted' then r.state = 'working' and (r.outputs_done_to is null or o.id <= r.outputs_done_to)
                else true
            end
            order by o.id for no key update of o
        )
        update concierge_request_outputs o set due_at = case o.state when 'accepting' then $2 else $3 end
        from held h where o.account_id = h.account_id and o.id = h.id";
    sqlx::query(outputs)
        .bind(id)
        .bind(now + pace.check_delay)
        .bind(now + pace.step_delay)
        .bind(all)
        .execute(connection)
        .await
        .map(|_| ())
}
