//! Advances of a clock over thousands of timers.

use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;

use super::{ADVANCE, OUTPUTS, frozen_account};
use crate::support::{Account, sandbox};

/// Adds outputs; the check of one is due per interval.
async fn add_outputs(sandbox: &Account, account: &Account, outputs: i64, every: &str) {
    let sql = format!(
        "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id,
            port_code, amount, state, created_at, state_since, due_at)
        select $1, 100000 + n, 1010, 20202, 2121, 'cl_clp', 1, 'accepting', t, t, t + n * interval '{every}'
        from generate_series(1, $2) n, (select timestamptz '2019-11-25T12:53:02.741Z') at (t)"
    );
    let row = account.row(sandbox.database()).await;
    sqlx::query(AssertSqlSafe(sql)).bind(row).bind(outputs).execute(sandbox.database()).await.unwrap();
    // keeps drafts from being pruned during the test
    let sql = "update concierge_requests set due_at = null where account_id = $1";
    sqlx::query(sql).bind(row).execute(sandbox.database()).await.unwrap();
}

#[tokio::test]
async fn clock_advances_ten_years_over_ten_thousand_timers() {
    for (outputs, every) in [(2500, "0s"), (1500, "10ms"), (10_000, "8 hours")] {
        sandbox(async |s| {
            let account = frozen_account(s).await;
            add_outputs(s, &account, outputs, every).await;
            let started = Instant::now();
            let advanced = account.request(reqwest::Method::POST, ADVANCE).body(r#"{"by":"P3650D"}"#);
            let advanced = advanced.header("Content-Type", "application/json").send().await.unwrap();
            assert_eq!(advanced.status(), 200);
            let took = started.elapsed();
            println!("ten years with {outputs} timers, one every {every}, took {took:?}");
            assert!(took < Duration::from_mins(1), "{took:?}");
            let page = account.get(&format!("{OUTPUTS}?filter[state]=accepted&page[size]=1")).await.expect(200);
            assert_eq!(page["meta"]["total"], outputs);
            let accepted_on_time = "select count(*) from events e join concierge_request_outputs o
                on o.account_id = e.account_id and o.id = e.resource_id and o.due_at is null and o.state_since = e.created_at
                where e.id = o.id - 100000";
            assert_eq!(s.count(accepted_on_time).await, outputs, "each check at its due time, in order");
        })
        .await;
    }
}
