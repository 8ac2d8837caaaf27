//! Every sum is exact: budgets, totals, refunds and wallets. The rules stand in `docs/payouts.md`.

use sqlx::postgres::PgPool;

/// Requests with sums that do not add up.
const REQUESTS: &str = "
    with sums as (
        select r.account_id, r.id, r.state, r.total_to_spend, r.money_returned, r.outputs_open,
            coalesce(sum(o.budget), 0) as budgets,
            coalesce(sum(case
                when o.state in ('rejected', 'cancelled') then o.budget
                when o.state = 'returned' then o.budget - o.fee_and_cost
            end), 0) as refunds,
            count(*) filter (where o.state not in ('rejected', 'cancelled', 'settled', 'returned')) as open
        from concierge_requests r
        left join concierge_request_outputs o on o.account_id = r.account_id and o.request_id = r.id
        where r.account_id in (select id from accounts where ended_at is null)
        group by r.account_id, r.id
    )
    select 'request ' || id || ' costs ' || total_to_spend || ', its outputs ' || budgets
    from sums where total_to_spend <> budgets
    union all
    select 'request ' || id || ' got ' || money_returned || ' back, its outputs ' || refunds
    from sums where money_returned <> case when state in ('working', 'finished') then refunds else 0 end
    union all
    select 'request ' || id || ' counts ' || outputs_open || ' open outputs of ' || open
    from sums where state in ('working', 'finished') and outputs_open <> open
    union all
    select 'request ' || id || ' is ' || state || ' without a total'
    from sums where state in ('quoted', 'quote_accepted', 'working', 'finished') and total_to_spend is null";

/// Wallets with another balance than the initial one less the cost of the funded requests.
const WALLETS: &str = "
    with spent as (
        select account_id, user_id, currency, sum(total_to_spend - money_returned) as sum
        from concierge_requests where state in ('working', 'finished')
        group by account_id, user_id, currency
    )
    select 'the wallet ' || w.currency || ' of account ' || w.account_id || ' holds ' || w.balance || ' instead of '
        || 1000000 - coalesce(s.sum, 0)
    from cash_wallets w
    left join spent s on s.account_id = w.account_id and s.user_id = w.user_id and s.currency = w.currency
    where w.balance <> 1000000 - coalesce(s.sum, 0)
    and w.account_id in (select id from accounts where ended_at is null)";

/// Returns the sums that do not add up, in accounts and snapshots with the fixtures' wallets.
pub async fn faults(database: &PgPool) -> Vec<String> {
    let mut faults: Vec<String> = sqlx::query_scalar(REQUESTS).fetch_all(database).await.unwrap();
    faults.extend(sqlx::query_scalar::<_, String>(WALLETS).fetch_all(database).await.unwrap());
    faults
}
