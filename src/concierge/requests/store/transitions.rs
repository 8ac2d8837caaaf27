//! SQL of requests' transitions: locks requests and saves the results.

use bigdecimal::BigDecimal;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;

use crate::accounts::caller;
use crate::accounts::caller::{Access, Caller, Credentials};
use crate::concierge::cash_wallets::ledger::Wallet;
use crate::concierge::due::Due;
use crate::concierge::pricing::Price;
use crate::concierge::requests::progress::Progress;
use crate::concierge::requests::quote::Timetable;
use crate::concierge::requests::state::{MACHINE, State};
use crate::database::StoreError;
use crate::events::Cause;

/// Columns for [`read`], prefixed with a table alias.
#[macro_export]
macro_rules! progress_columns {
    ($t:literal) => {
        concat!(
            $t,
            ".id, ",
            $t,
            ".account_id, ",
            $t,
            ".user_id, ",
            $t,
            ".port_code, ",
            $t,
            ".state, ",
            $t,
            ".state_since, ",
            $t,
            ".due_at, ",
            $t,
            ".outputs_done_to, ",
            $t,
            ".quote_requested_at, ",
            $t,
            ".eta, ",
            $t,
            ".accept_quote_before, ",
            $t,
            ".provision_funds_before, ",
            $t,
            ".quote_accepted_at, ",
            $t,
            ".cancellation_reason, ",
            $t,
            ".total_to_spend, ",
            $t,
            ".money_returned, ",
            $t,
            ".held_prices::text, ",
            $t,
            ".outputs_open"
        )
    };
}

/// Parses the name of a state.
///
/// # Errors
/// A decoding error if no state has this name.
pub fn read_state(name: &str) -> Result<State, sqlx::Error> {
    MACHINE.named(name).ok_or_else(|| sqlx::Error::Decode(format!("no request state {name:?}").into()))
}

/// Number of these columns.
pub const COLUMNS: usize = 18;

/// Reads the changing part of a request from the columns at `at`.
///
/// # Errors
/// A decoding error if the row does not match.
pub fn read(row: &PgRow, at: usize) -> Result<Progress, sqlx::Error> {
    let eta: Option<OffsetDateTime> = row.try_get(at + 9)?;
    let accept_quote_before: Option<OffsetDateTime> = row.try_get(at + 10)?;
    let provision_funds_before: Option<OffsetDateTime> = row.try_get(at + 11)?;
    let timetable = eta.zip(accept_quote_before).zip(provision_funds_before).map(
        |((eta, accept_quote_before), provision_funds_before)| Timetable {
            eta,
            accept_quote_before,
            provision_funds_before,
        },
    );
    Ok(Progress {
        id: row.try_get(at)?,
        account_id: row.try_get(at + 1)?,
        user_id: row.try_get(at + 2)?,
        port_code: row.try_get(at + 3)?,
        state: read_state(row.try_get(at + 4)?)?,
        state_since: row.try_get(at + 5)?,
        due_at: row.try_get(at + 6)?,
        outputs_done_to: row.try_get(at + 7)?,
        quote_requested_at: row.try_get(at + 8)?,
        timetable,
        quote_accepted_at: row.try_get(at + 12)?,
        cancellation_reason: row.try_get(at + 13)?,
        total_to_spend: row.try_get(at + 14)?,
        money_returned: row.try_get(at + 15)?,
        held_prices: row.try_get(at + 16)?,
        outputs_open: row.try_get(at + 17)?,
        cause: Cause::TIMER,
        told: Vec::new(),
    })
}

fn read_all(rows: &[PgRow]) -> Result<Vec<Progress>, sqlx::Error> {
    rows.iter().map(|row| read(row, 0)).collect()
}

/// Locks a request of the caller's account for an action.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn lock(
    connection: &mut PgConnection,
    credentials: &Credentials,
    id: i64,
) -> Result<(Caller, Option<Progress>), StoreError> {
    const SQL: &str = concat!(
        "with ",
        crate::caller!(),
        ", request as materialized (
            select r.* from caller c join concierge_requests r on r.account_id = c.account_id and r.id = $3
            where c.level = 'write' and c.user_id is not null
            for no key update of r
        )
        select ",
        crate::caller_columns!(),
        ", ",
        crate::progress_columns!("r"),
        " from caller c left join request r on true"
    );
    let row = credentials.query(SQL).bind(id).fetch_optional(connection).await?;
    let caller = Caller::authorize(row.as_ref(), Access::Write)?;
    let Some(row) = row else { return Ok((caller, None)) };
    let found: Option<i64> = row.try_get(caller::COLUMNS)?;
    Ok((caller, found.map(|_| read(&row, caller::COLUMNS)).transpose()?))
}

/// Locks a request.
///
/// # Errors
/// Database errors.
pub async fn lock_one(
    connection: &mut PgConnection,
    account_id: i64,
    id: i64,
) -> Result<Option<Progress>, sqlx::Error> {
    const SQL: &str = concat!(
        "select ",
        crate::progress_columns!("r"),
        " from concierge_requests r where r.account_id = $1 and r.id = $2 for no key update of r"
    );
    let row = sqlx::query(SQL).bind(account_id).bind(id).fetch_optional(connection).await?;
    row.as_ref().map(|row| read(row, 0)).transpose()
}

/// Locks the request of an output.
///
/// # Errors
/// Database errors.
pub async fn lock_of_output(
    connection: &mut PgConnection,
    account_id: i64,
    output_id: i64,
) -> Result<Option<Progress>, sqlx::Error> {
    const SQL: &str = concat!(
        "select ",
        crate::progress_columns!("r"),
        " from concierge_request_outputs o
        join concierge_requests r on r.account_id = o.account_id and r.id = o.request_id
        where o.account_id = $1 and o.id = $2 for no key update of r"
    );
    let row = sqlx::query(SQL).bind(account_id).bind(output_id).fetch_optional(connection).await?;
    row.as_ref().map(|row| read(row, 0)).transpose()
}

/// Locks due requests, oldest first per account; skips locked rows.
/// Also skips a request that waits for money if its wallet is due first or at the same time.
///
/// # Errors
/// Database errors.
pub async fn claim(connection: &mut PgConnection, due: &Due, limit: i64) -> Result<Vec<Progress>, sqlx::Error> {
    const SQL: &str = concat!(
        "select ",
        crate::progress_columns!("r"),
        " from unnest($1::bigint[], $2::timestamptz[]) as a (account_id, until)
        cross join lateral (
            select * from concierge_requests r
            where r.account_id = a.account_id and r.due_at <= a.until
            and not (r.state = 'quote_accepted' and exists (
                select from cash_wallets w
                where w.account_id = r.account_id and w.user_id = r.user_id and w.currency = r.currency
                and w.due_at <= r.due_at
            ))
            order by r.due_at, r.id limit $3
            for no key update of r skip locked
        ) r limit $4"
    );
    read_all(&due.query(SQL, limit).fetch_all(connection).await?)
}

/// Locks the requests that wait for money in these wallets.
/// They are locked by id, as in every transaction that locks several requests.
///
/// # Errors
/// Database errors.
pub async fn claim_waiting(connection: &mut PgConnection, wallets: &[Wallet]) -> Result<Vec<Progress>, sqlx::Error> {
    const SQL: &str = concat!(
        "select ",
        crate::progress_columns!("r"),
        " from unnest($1::bigint[], $2::bigint[], $3::text[]) as w (account_id, user_id, currency)
        join concierge_requests r
            on r.account_id = w.account_id and r.user_id = w.user_id and r.currency = w.currency
            and r.state = 'quote_accepted'
        order by r.account_id, r.id
        for no key update of r"
    );
    let rows = sqlx::query(SQL)
        .bind(wallets.iter().map(|wallet| wallet.account_id).collect::<Vec<_>>())
        .bind(wallets.iter().map(|wallet| wallet.user_id).collect::<Vec<_>>())
        .bind(wallets.iter().map(|wallet| wallet.currency.as_str()).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    read_all(&rows)
}

/// Returns the wallets with further waiting requests besides `held`.
/// Their quotes were accepted after `held` was locked.
/// The wallets are locked, so a later acceptance waits for this transaction.
///
/// # Errors
/// Database errors.
pub async fn wallets_with_further_requests(
    connection: &mut PgConnection,
    wallets: &[Wallet],
    held: &[Progress],
) -> Result<Vec<Wallet>, sqlx::Error> {
    let sql = "select distinct r.account_id, r.user_id, r.currency
        from unnest($1::bigint[], $2::bigint[], $3::text[]) as w (account_id, user_id, currency)
        join concierge_requests r
            on r.account_id = w.account_id and r.user_id = w.user_id and r.currency = w.currency
            and r.state = 'quote_accepted'
        where not exists (
            select from unnest($4::bigint[], $5::bigint[]) as h (account_id, id)
            where h.account_id = r.account_id and h.id = r.id
        )";
    let rows = sqlx::query(sql)
        .bind(wallets.iter().map(|wallet| wallet.account_id).collect::<Vec<_>>())
        .bind(wallets.iter().map(|wallet| wallet.user_id).collect::<Vec<_>>())
        .bind(wallets.iter().map(|wallet| wallet.currency.as_str()).collect::<Vec<_>>())
        .bind(held.iter().map(|progress| progress.account_id).collect::<Vec<_>>())
        .bind(held.iter().map(|progress| progress.id).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let wallet =
        |row: &PgRow| Ok(Wallet { account_id: row.try_get(0)?, user_id: row.try_get(1)?, currency: row.try_get(2)? });
    rows.iter().map(wallet).collect()
}

/// Reads requests that are locked already.
///
/// # Errors
/// Database errors.
pub async fn read_locked(connection: &mut PgConnection, requests: &[(i64, i64)]) -> Result<Vec<Progress>, sqlx::Error> {
    const SQL: &str = concat!(
        "select ",
        crate::progress_columns!("r"),
        " from unnest($1::bigint[], $2::bigint[]) as d (account_id, id)
        join concierge_requests r on r.account_id = d.account_id and r.id = d.id"
    );
    let (accounts, ids): (Vec<i64>, Vec<i64>) = requests.iter().copied().unzip();
    read_all(&sqlx::query(SQL).bind(accounts).bind(ids).fetch_all(connection).await?)
}

/// Saves locked requests.
/// A finished request gets the token in the URLs of its receipt and credit note.
/// The token cannot be guessed: it derives from a secret of the account's oldest key with write access.
///
/// # Errors
/// Database errors.
pub async fn save(connection: &mut PgConnection, requests: &[Progress]) -> Result<(), sqlx::Error> {
    const SQL: &str = "
        update concierge_requests r set
            state = m.state, state_since = m.state_since, due_at = m.due_at, outputs_done_to = m.outputs_done_to,
            quote_requested_at = m.quote_requested_at, eta = m.eta, accept_quote_before = m.accept_quote_before,
            provision_funds_before = m.provision_funds_before, quote_accepted_at = m.quote_accepted_at,
            cancellation_reason = m.cancellation_reason, total_to_spend = m.total_to_spend,
            money_returned = m.money_returned, held_prices = m.held_prices::json, outputs_open = m.outputs_open,
            receipt_token = case when m.state = 'finished' then coalesce(r.receipt_token, encode(sha256(coalesce((
                select k.receipt_secret from api_keys k where k.account_id = m.account_id
                order by k.level = 'write' desc, k.created_at, k.key_sha256 limit 1
            ), uuid_send(gen_random_uuid())) || convert_to('receipt ' || m.id, 'UTF8')), 'hex')) end
        from unnest(
            $1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bigint[],
            $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[],
            $12::text[], $13::numeric[], $14::numeric[], $15::text[], $16::bigint[]
        ) as m (
            account_id, id, state, state_since, due_at, outputs_done_to,
            quote_requested_at, eta, accept_quote_before, provision_funds_before, quote_accepted_at,
            cancellation_reason, total_to_spend, money_returned, held_prices, outputs_open
        )
        where r.account_id = m.account_id and r.id = m.id";
    let times = |of: fn(&Progress) -> Option<OffsetDateTime>| requests.iter().map(of).collect::<Vec<_>>();
    sqlx::query(SQL)
        .bind(requests.iter().map(|progress| progress.account_id).collect::<Vec<_>>())
        .bind(requests.iter().map(|progress| progress.id).collect::<Vec<_>>())
        .bind(requests.iter().map(|progress| progress.state.name()).collect::<Vec<_>>())
        .bind(times(|progress| progress.state_since))
        .bind(times(|progress| progress.due_at))
        .bind(requests.iter().map(|progress| progress.outputs_done_to).collect::<Vec<_>>())
        .bind(times(|progress| progress.quote_requested_at))
        .bind(times(|progress| progress.timetable.map(|timetable| timetable.eta)))
        .bind(times(|progress| progress.timetable.map(|timetable| timetable.accept_quote_before)))
        .bind(times(|progress| progress.timetable.map(|timetable| timetable.provision_funds_before)))
        .bind(times(|progress| progress.quote_accepted_at))
        .bind(requests.iter().map(|progress| progress.cancellation_reason.as_deref()).collect::<Vec<_>>())
        .bind(requests.iter().map(|progress| progress.total_to_spend.clone()).collect::<Vec<_>>())
        .bind(requests.iter().map(|progress| progress.money_returned.clone()).collect::<Vec<_>>())
        .bind(requests.iter().map(|progress| progress.held_prices.as_deref()).collect::<Vec<_>>())
        .bind(requests.iter().map(|progress| progress.outputs_open).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(|_| ())
}

/// SQL for the next due request of account `a`.
pub const NEXT_DUE: &str = "select min(due_at) from concierge_requests where account_id = a.id";

/// Totals over the outputs of a request.
#[derive(Debug, Clone)]
pub struct Outputs {
    pub count: i64,
    /// Number of outputs that are not rejected.
    /// Before the request works, all of them are non-final.
    pub open: i64,
    /// Sum of all budgets.
    pub budget: BigDecimal,
    /// Sum of the budgets of rejected outputs.
    pub rejected: BigDecimal,
    /// Creation time of the newest output.
    pub last_created_at: Option<OffsetDateTime>,
    /// Destination ports, each once.
    pub port_codes: Vec<String>,
}

/// Computes the totals over the outputs of requests.
///
/// # Errors
/// Database errors.
pub async fn sum_outputs(connection: &mut PgConnection, requests: &[(i64, i64)]) -> Result<Vec<Outputs>, sqlx::Error> {
    let sql = "select outputs.* from unnest($1::bigint[], $2::bigint[]) with ordinality as r (account_id, id, position)
        left join lateral (
            select count(*), count(*) filter (where o.state <> 'rejected'), coalesce(sum(o.budget), 0),
                coalesce(sum(o.budget) filter (where o.state = 'rejected'), 0), max(o.created_at),
                coalesce(array_agg(distinct o.port_code), '{}')
            from concierge_request_outputs o where o.account_id = r.account_id and o.request_id = r.id
        ) outputs on true
        order by r.position";
    let (accounts, ids): (Vec<i64>, Vec<i64>) = requests.iter().copied().unzip();
    let rows = sqlx::query(sql).bind(accounts).bind(ids).fetch_all(connection).await?;
    let outputs = |row: &PgRow| {
        Ok(Outputs {
            count: row.try_get(0)?,
            open: row.try_get(1)?,
            budget: row.try_get(2)?,
            rejected: row.try_get(3)?,
            last_created_at: row.try_get(4)?,
            port_codes: row.try_get(5)?,
        })
    };
    rows.iter().map(outputs).collect()
}

/// Reads the port and the requested amount or budget of each output of a draft.
///
/// # Errors
/// Database errors.
pub async fn prices_asked(
    connection: &mut PgConnection,
    progress: &Progress,
) -> Result<Vec<(String, Price)>, sqlx::Error> {
    let sql =
        "select port_code, amount, budget from concierge_request_outputs where account_id = $1 and request_id = $2";
    let rows = sqlx::query(sql).bind(progress.account_id).bind(progress.id).fetch_all(connection).await?;
    let asked = |row: &PgRow| {
        let price = match row.try_get(1)? {
            Some(amount) => Price::Amount(amount),
            None => Price::Budget(row.try_get(2)?),
        };
        Ok((row.try_get(0)?, price))
    };
    rows.iter().map(asked).collect()
}
