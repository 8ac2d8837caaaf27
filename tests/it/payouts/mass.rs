//! A request with thousands of outputs goes through its life in batches.

use std::time::Duration;

use super::set_to_work;
use crate::support::Sandbox;

/// Adds many accepted outputs to request 1010.
async fn fill(sandbox: &Sandbox) {
    sandbox
        .sql(
            "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id,
                port_code, amount, state, created_at, state_since, due_at)
            select account_id, 100000 + n, 1010, 20202, 2121, 'cl_clp', n, 'accepting', t, t, t
            from concierge_requests, generate_series(1, 3500) n, (select timestamptz '2019-11-25T12:53:02Z') at (t)",
        )
        .await;
    sandbox.tick().await;
    assert_eq!(sandbox.attributes_of("1010").await["outputs_accepted"], 3500);
}

#[tokio::test]
async fn thousands_of_outputs_are_quoted_started_and_settled() {
    let sandbox = Sandbox::start().await;
    fill(&sandbox).await;
    sandbox.sql("update cash_wallets set balance = 1e12").await;
    set_to_work(&sandbox, "1010").await;
    sandbox.advance(Duration::from_secs(10)).await;
    let shown = sandbox.attributes_of("1010").await;
    assert_eq!((&shown["state"], &shown["outputs_settled"]), (&"finished".into(), &3500.into()));
    assert_eq!(sandbox.count("select count(*) from events where event_type like '%_settled'").await, 3500);
    sandbox.stop().await;
}

#[tokio::test]
async fn thousands_of_outputs_are_cancelled() {
    let sandbox = Sandbox::start().await;
    fill(&sandbox).await;
    // the answer waits for the first of them only
    let cancelled = sandbox.act("1010", "cancel").await.expect(200);
    assert_eq!(cancelled["data"]["attributes"]["state"], "cancelled");
    sandbox.tick().await;
    assert_eq!(sandbox.attributes_of("1010").await["outputs_cancelled"], 3500);
    sandbox.stop().await;
}
