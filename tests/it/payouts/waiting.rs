//! Requests, deadlines and outputs that wait for money or approval: none is missed.

use std::sync::Arc;
use std::time::Duration;

use concierge_sandbox::concierge::pricing::Prices;
use concierge_sandbox::concierge::rules::Rules;
use concierge_sandbox::lifecycle::Agenda;
use concierge_sandbox::lifecycle::step::{step_by_kind, step_exactly};
use serde_json::json;

use super::{draft, pay, thousand};
use crate::support::{Account, account, database, sandbox, sandbox_with, settings, within};

const SECOND: Duration = Duration::from_secs(1);

/// Creates two quoted requests on one wallet, with the first one's label and both budgets.
async fn two_quoted(account: &Account, first: (&str, i32), second: i32) -> [String; 2] {
    let requests = [draft(account, "ar_ars").await, draft(account, "ar_ars").await];
    pay(account, &requests[0], first.0, json!({"port_code": "cl_clp", "budget": first.1})).await;
    pay(account, &requests[1], "", json!({"port_code": "cl_clp", "budget": second})).await;
    account.advance(SECOND).await;
    for request in &requests {
        account.act(request, "request_quote").await.expect(200);
    }
    account.tick().await;
    requests
}

#[tokio::test]
async fn immediate_refund_funds_a_waiting_request() {
    account(async |s| {
        let requests = two_quoted(s, ("sandbox:rejected", 900_000), 500_000).await;
        s.sql("update cash_wallets set balance = 0").await;
        for request in &requests {
            s.act(request, "accept_quote").await.expect(200);
            s.tick().await;
        }
        s.sql("update cash_wallets set balance = 1000000, due_at = '2019-11-25T12:53:05Z'").await;
        s.advance(Duration::from_mins(1)).await;
        for request in &requests {
            assert_eq!(s.attributes_of(request).await["state"], "finished");
        }
    })
    .await;
}

/// Waits until a statement like this one waits for a lock.
async fn wait_until_blocked(account: &Account, statement: &str) {
    let waiting = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query like $1";
    within(async {
        let mut count = 0_i64;
        while count == 0 {
            count = sqlx::query_scalar(waiting).bind(statement).fetch_one(account.database()).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn acceptance_during_funding_is_not_missed() {
    sandbox(async |s| {
        pay(s, "1010", "", thousand()).await;
        s.advance(SECOND).await;
        s.act("1010", "request_quote").await.expect(200);
        s.tick().await;
        // the wallet gives out money ten seconds from now
        let (soon, later) = (s.clock.now() + 10 * SECOND, s.clock.now() + 20 * SECOND);
        let filled = sqlx::query("update cash_wallets set due_at = $1 where currency = 'ars'").bind(soon);
        filled.execute(s.database()).await.unwrap();
        // the acceptance stops before its end, because another transaction holds the event counter
        let mut counting = s.database().begin().await.unwrap();
        let count = "select 1 from id_counters where type = 'events' for no key update";
        sqlx::query(count).execute(&mut *counting).await.unwrap();
        let accepting = s.act("1010", "accept_quote");
        let meanwhile = async {
            wait_until_blocked(s, "with told as%").await;
            // a server with a clock ahead gives the money out and cannot see the acceptance yet
            let rules = Rules {
                timing: settings().timing(),
                prices: Arc::new(Prices::built_in().unwrap()),
                public_url: "".into(),
            };
            let mut connection = s.database().acquire().await.unwrap();
            let giving = step(&mut connection, later, &rules, false);
            let (given, ()) = tokio::join!(giving, async {
                wait_until_blocked(s, "%join cash_wallets w%for no key update%").await;
                counting.commit().await.unwrap();
            });
            given.unwrap();
        };
        let (accepted, ()) = tokio::join!(accepting, meanwhile);
        accepted.expect(200);
        s.advance(Duration::from_mins(1)).await;
        assert_eq!(s.attributes_of("1010").await["state"], "finished");
    })
    .await;
}

/// Runs a batch of due work in the default account, and returns its number of rows.
/// With `exactly`, the batch is one instant; without, it may span several.
async fn step(
    connection: &mut sqlx::PgConnection,
    now: time::OffsetDateTime,
    rules: &Rules,
    exactly: bool,
) -> Result<usize, sqlx::Error> {
    let agendas = Agenda::read(connection, Some(&[1]), &rules.timing).await?;
    if exactly {
        let moved = step_exactly(connection, &agendas[0], now, rules).await?;
        return Ok(moved.map_or(0, |moved| moved.rows.values().sum()));
    }
    Ok(step_by_kind(connection, &agendas, now, rules, |_| false).await?.values().sum())
}

#[tokio::test]
async fn refund_during_downtime_counts_before_a_later_deadline() {
    let mut ends = Vec::new();
    for exactly in [true, false] {
        let states = database(async |database| {
            let sandbox = database.server().await;
            let requests = two_quoted(&sandbox, ("sandbox:returned", 900_000), 500_000).await;
            for request in &requests {
                sandbox.act(request, "accept_quote").await.expect(200);
                sandbox.tick().await;
            }
            // the server stops, and one that starts 13 hours later must catch up
            let now = sandbox.clock.now() + Duration::from_hours(13);
            database.stop_now(sandbox).await;
            let rules = Rules {
                timing: settings().timing(),
                prices: Arc::new(Prices::built_in().unwrap()),
                public_url: "".into(),
            };
            let mut connection = database.pool().acquire().await.unwrap();
            while step(&mut connection, now, &rules, exactly).await.unwrap() > 0 {}
            let states: Vec<(i64, String, Option<time::OffsetDateTime>)> =
                sqlx::query_as("select id, state, state_since from concierge_requests where id > 1010 order by id")
                    .fetch_all(&mut *connection)
                    .await
                    .unwrap();
            assert!(states.iter().all(|(_, state, _)| state == "finished"), "{exactly}: {states:?}");
            states
        })
        .await;
        ends.push(states);
    }
    assert_eq!(ends[0], ends[1]);
}

#[tokio::test]
async fn account_without_keys_finishes_its_payouts() {
    sandbox(async |s| {
        pay(s, "1010", "", thousand()).await;
        super::set_to_work(s, "1010").await;
        s.sql("delete from api_keys").await;
        s.advance(Duration::from_mins(1)).await;
        let finished = "select count(*) from concierge_requests where state = 'finished' and receipt_token <> ''";
        assert_eq!(s.count(finished).await, 1);
    })
    .await;
}

/// Inserts three working requests: one ends in the middle of a batch, two at the next instant.
const THREE_AT_WORK: &str = "
    insert into concierge_requests
        (account_id, id, user_id, port_code, state, created_at, state_since, total_to_spend, outputs_open)
    select account_id, n, 50505, 'ar_ars', 'working', t, t, 1000, (array[900, 100, 400])[n]
    from concierge_requests, generate_series(1, 3) n, (select timestamptz '2019-11-25T12:53:02.741Z') at (t);
    insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id,
        port_code, amount, budget, fee_and_cost, state, created_at, state_since, due_at)
    select account_id, 100000 + n, case when n <= 900 then 1 when n <= 1000 then 2 else 3 end, 20202, 2121,
        'cl_clp', 1, 1, 0, 'settling', t, t,
        t + case when n <= 900 then interval '100 ms' else interval '200 ms' end
    from concierge_requests, generate_series(1, 1400) n, (select timestamptz '2019-11-25T12:53:02.741Z') at (t)
    where id = 1010";

#[tokio::test]
async fn advance_over_several_batches_equals_small_steps() {
    let mut ends = Vec::new();
    for steps in [1_u32, 10] {
        let events = account(async |s| {
            s.sql(THREE_AT_WORK).await;
            for _ in 0..steps {
                s.advance(SECOND / steps).await;
            }
            let events: Vec<(i64, String, i64)> =
                sqlx::query_as("select id, event_type, resource_id from events order by id")
                    .fetch_all(s.database())
                    .await
                    .unwrap();
            // removes the rows, because no transition leads to their initial state `working`
            s.sql("delete from concierge_request_outputs; delete from concierge_requests where id <= 3").await;
            events
        })
        .await;
        ends.push(events);
    }
    assert_eq!(ends[0].len(), 1400 + 2 * 3);
    assert_eq!(ends[0], ends[1]);
}

#[tokio::test]
async fn approval_accepts_thousands_of_waiting_outputs() {
    sandbox_with(|config| config.approval_delay = 10 * SECOND, async |s| {
        let user = s.create("/api/users", &json!({"data": {"type": "users"}})).await;
        assert_eq!(user, "50506");
        s
            .sql(
                "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id,
                    port_code, amount, state, created_at, state_since, due_at)
                select account_id, 100000 + n, 1010, 50506, 2121, 'cl_clp', n, 'accepting', t, t, t
                from concierge_requests, generate_series(1, 2500) n, (select timestamptz '2019-11-25T12:53:02Z') at (t)",
            )
            .await;
        s.advance(9 * SECOND).await;
        let waiting = "select count(*) from concierge_request_outputs where state = 'accepting' and due_at is null";
        assert_eq!(s.count(waiting).await, 2500);
        s.advance(SECOND).await;
        assert_eq!(s.attributes_of("1010").await["outputs_accepted"], 2500);
        let first = "select count(*) from events where event_type = 'user_enabled' and id = 1";
        assert_eq!(s.count(first).await, 1, "the payee must be enabled before its outputs are accepted");
    })
    .await;
}
