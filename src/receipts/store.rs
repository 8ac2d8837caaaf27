//! All SQL of receipts.

use bigdecimal::BigDecimal;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::{Figures, LISTED, Line, PageKind, Receipt};
use crate::concierge::outputs::state::{MACHINE, Refund};

/// Selects a request by its token, the totals of its outputs by state, and its first outputs, one row each.
///
/// `$4` are the states that refund the whole budget. `$5` are the states that refund the budget minus fees.
///
/// Outputs are read twice instead of being materialized: once for the totals, once for the list.
const FIND: &str = concat!(
    "with request as (
        select r.*, u.name as payer_name, a.public_url
        from concierge_requests r
        join accounts a on a.id = r.account_id and ",
    crate::account_lives!("a"),
    "
        join users u on u.account_id = r.account_id and u.id = r.user_id
        where r.receipt_token = $1 and ($2 or r.money_returned > 0)
    ), line as not materialized (
        select * from (
            select o.*, case
                when o.state = any($4) then coalesce(o.budget, 0)
                when o.state = any($5) then coalesce(o.budget - o.fee_and_cost, o.budget, 0)
                else 0
            end as came_back
            from concierge_request_outputs o
            where o.account_id = (select account_id from request) and o.request_id = (select id from request)
        ) o
        where $2 or came_back > 0
    ), figures as (
        -- descending, the final states are in reading order: settled, returned, rejected, cancelled
        select array_agg(state order by state desc) as states, array_agg(outputs order by state desc) as counts,
            array_agg(budgets order by state desc) as budgets, array_agg(came_back order by state desc) as came_back
        from (
            select state, count(*) as outputs, coalesce(sum(budget), 0) as budgets, sum(came_back) as came_back
            from line group by state
        ) by_state
    ), first as (
        select * from line order by id limit $3
    )
    select r.id, r.external_id, r.payer_name, r.port_code, r.currency, r.state, r.quote_requested_at,
        r.quote_accepted_at, r.state_since, r.total_to_spend, r.money_returned,
        coalesce(f.states, '{}'), coalesce(f.counts, '{}'), coalesce(f.budgets, '{}'), coalesce(f.came_back, '{}'),
        r.public_url, o.id, u.name, o.port_code, o.amount, o.budget, o.fee_and_cost, o.state, o.came_back
    from request r
    cross join figures f
    left join first o on true
    left join users u on u.account_id = o.account_id and u.id = o.user_id
    order by o.id"
);

/// Returns the receipt or credit note with this token, if there is one.
///
/// # Errors
/// Database errors.
pub async fn find(connection: &mut PgConnection, token: &str, kind: PageKind) -> Result<Option<Receipt>, sqlx::Error> {
    let rows = sqlx::query(FIND)
        .bind(token)
        .bind(kind == PageKind::Receipt)
        .bind(LISTED)
        .bind(states(Refund::Budget))
        .bind(states(Refund::BudgetLessFee))
        .fetch_all(connection)
        .await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let mut outputs = Vec::with_capacity(rows.len());
    for row in &rows {
        outputs.extend(read_line(row, 16)?);
    }
    Ok(Some(Receipt {
        request_id: row.try_get(0)?,
        external_id: row.try_get(1)?,
        payer_name: row.try_get(2)?,
        port_code: row.try_get(3)?,
        currency: row.try_get(4)?,
        state: row.try_get(5)?,
        quote_requested_at: row.try_get(6)?,
        quote_accepted_at: row.try_get(7)?,
        finished_at: row.try_get(8)?,
        total_to_spend: row.try_get(9)?,
        money_returned: row.try_get(10)?,
        figures: read_figures(row, 11)?,
        outputs,
        public_url: row.try_get(15)?,
    }))
}

/// Returns the names of the states with this refund.
fn states(refund: Refund) -> Vec<&'static str> {
    MACHINE.states.iter().filter(|state| state.refund() == refund).map(|state| state.name()).collect()
}

/// Reads the totals of every state. Each column is an array with one element for each state.
fn read_figures(row: &PgRow, at: usize) -> Result<Vec<Figures>, sqlx::Error> {
    let (states, counts): (Vec<String>, Vec<i64>) = (row.try_get(at)?, row.try_get(at + 1)?);
    let (budgets, returned): (Vec<BigDecimal>, Vec<BigDecimal>) = (row.try_get(at + 2)?, row.try_get(at + 3)?);
    let all = states.into_iter().zip(counts).zip(budgets.into_iter().zip(returned));
    let figures = |((state, count), (budgets, money_returned))| Figures { state, count, budgets, money_returned };
    Ok(all.map(figures).collect())
}

fn read_line(row: &PgRow, at: usize) -> Result<Option<Line>, sqlx::Error> {
    let Some(id) = row.try_get(at)? else { return Ok(None) };
    Ok(Some(Line {
        id,
        payee_name: row.try_get(at + 1)?,
        port_code: row.try_get(at + 2)?,
        amount: row.try_get(at + 3)?,
        budget: row.try_get(at + 4)?,
        fee_and_cost: row.try_get(at + 5)?,
        state: row.try_get(at + 6)?,
        money_returned: row.try_get(at + 7)?,
    }))
}
