//! Requests with thousands of outputs: their transitions happen in batches.

use std::time::Duration;

use super::set_to_work;
use crate::support::{Account, sandbox};

/// Adds 3500 accepted outputs to request 1010.
async fn fill(account: &Account) {
    account
        .sql(
            "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id,
                port_code, amount, state, created_at, state_since, due_at)
            select account_id, 100000 + n, 1010, 20202, 2121, 'cl_clp', n, 'accepting', t, t, t
            from concierge_requests, generate_series(1, 3500) n, (select timestamptz '2019-11-25T12:53:02Z') at (t)",
        )
        .await;
    account.tick().await;
    assert_eq!(account.attributes_of("1010").await["outputs_accepted"], 3500);
}

#[tokio::test]
async fn request_settles_thousands_of_outputs() {
    sandbox(async |s| {
        fill(s).await;
        s.sql("update cash_wallets set balance = 1e12").await;
        set_to_work(s, "1010").await;
        s.advance(Duration::from_secs(10)).await;
        let shown = s.attributes_of("1010").await;
        assert_eq!((&shown["state"], &shown["outputs_settled"]), (&"finished".into(), &3500.into()));
        assert_eq!(s.count("select count(*) from events where event_type like '%_settled'").await, 3500);
    })
    .await;
}

#[tokio::test]
async fn cancel_reaches_thousands_of_outputs() {
    sandbox(async |s| {
        fill(s).await;
        // the answer waits only for the first batch of outputs
        let cancelled = s.act("1010", "cancel").await.expect(200);
        assert_eq!(cancelled["data"]["attributes"]["state"], "cancelled");
        s.tick().await;
        assert_eq!(s.attributes_of("1010").await["outputs_cancelled"], 3500);
    })
    .await;
}
