//! Prices and balances set by a test.

use std::time::Duration;

use serde_json::{Value, json};

use super::{REQUESTS, add_many, balance, manual, simulate, simulate_with, state};
use crate::support::account;

#[tokio::test]
async fn simulated_quote_uses_the_given_prices() {
    account(async |s| {
        manual(s).await;
        let output = s.create_output().await;
        s.act("1010", "request_quote").await.expect(200);
        for prices in [json!({"cl_xxx": {}}), json!({"cl_clp": {"per_usd": 0, "fee": 0, "cost": 0}}), json!([])] {
            let refused = simulate_with(s, REQUESTS, "1010", "quote", &json!({"prices": prices})).await;
            refused.assert_error(422, "attribute_invalid", "/prices");
        }
        let one_to_one = json!({"per_usd": 1, "fee": 0, "cost": 0});
        let prices = json!({"prices": {"cl_clp": one_to_one, "ar_ars": one_to_one}});
        let quoted = simulate_with(s, REQUESTS, "1010", "quote", &prices).await.expect(200);
        assert_eq!(quoted["data"]["attributes"]["total_to_spend"], 1000);
        let shown = s.get(&format!("/api/concierge_request_outputs/{output}")).await.expect(200);
        assert_eq!(shown["data"]["attributes"]["budget"], 1000);
    })
    .await;
}

#[tokio::test]
async fn interrupted_quote_restarts_with_the_given_prices() {
    account(async |s| {
        manual(s).await;
        add_many(s).await;
        s.act("1010", "request_quote").await.expect(200);
        // the state left by a killed server
        s.sql("update concierge_requests set outputs_done_to = 41000 where id = 1010").await;
        let one_to_one = json!({"per_usd": 1, "fee": 0, "cost": 0});
        let prices = json!({"prices": {"cl_clp": one_to_one, "ar_ars": one_to_one}});
        let quoted = simulate_with(s, REQUESTS, "1010", "quote", &prices).await.expect(200);
        assert_eq!(quoted["data"]["attributes"]["total_to_spend"], 3500);
    })
    .await;
}

#[tokio::test]
async fn credit_and_debit_change_the_balance() {
    account(async |s| {
        let money = |currency: &str, amount: Value| json!({"currency": currency, "amount": amount});
        simulate_with(s, "users", "50505", "debit", &money("ARS", json!(999_999.5))).await.expect(200);
        assert_eq!(balance(s, "ars").await, json!(0.5));
        let refused = simulate_with(s, "users", "50505", "debit", &money("ars", json!(1))).await;
        refused.assert_error(409, "funds_missing", "/amount");
        simulate_with(s, "users", "50505", "debit", &money("eur", json!(1))).await.assert_error(
            409,
            "funds_missing",
            "/amount",
        );
        for (body, pointer) in [
            (money("xyz", json!(1)), "/currency"),
            (money("ars", json!(0)), "/amount"),
            (money("ars", json!("much")), "/amount"),
        ] {
            let refused = simulate_with(s, "users", "50505", "credit", &body).await;
            assert_eq!((refused.status, refused.errors()[0].2.as_str()), (422, pointer), "{body}");
        }
        // a request that waits for money continues at once
        s.create_output().await;
        s.act("1010", "request_quote").await.expect(200);
        s.advance(Duration::from_secs(2)).await;
        s.act("1010", "accept_quote").await.expect(200);
        s.tick().await;
        assert_eq!(s.attributes_of("1010").await["state"], "quote_accepted");
        simulate_with(s, "users", "50505", "credit", &money("ars", json!("1000"))).await.expect(200);
        s.tick().await;
        assert_eq!(s.attributes_of("1010").await["state"], "working");
    })
    .await;
}

#[tokio::test]
async fn fund_provides_the_missing_money() {
    account(async |s| {
        manual(s).await;
        s.create_output().await;
        s.sql("update cash_wallets set balance = 80 where currency = 'ars'").await;
        let to = json!({"state": "quote_accepted", "through": true});
        simulate_with(s, REQUESTS, "1010", "transition", &to).await.expect(200);
        assert_eq!(state(simulate(s, REQUESTS, "1010", "fund").await), "working");
        assert_eq!(balance(s, "ars").await, json!(0));
    })
    .await;
}
