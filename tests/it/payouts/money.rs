//! Conservation of money, exact to the last digit.

use std::str::FromStr;
use std::time::Duration;

use bigdecimal::BigDecimal;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::{draft, pay};
use crate::support::{account, sandbox};

const SECOND: Duration = Duration::from_secs(1);

/// Parses the exact value of a JSON number.
fn exact(value: &Value) -> BigDecimal {
    BigDecimal::from_str(&value.to_string()).unwrap_or_else(|_| panic!("{value} is not a number"))
}

#[tokio::test]
async fn wallet_funds_only_as_many_requests_as_it_covers() {
    account(async |s| {
        let mut requests = Vec::new();
        for _ in 0..4 {
            let request = draft(s, "ar_ars").await;
            pay(s, &request, "", json!({"port_code": "cl_clp", "budget": 400_000})).await;
            s.act(&request, "request_quote").await.expect(200);
            requests.push(request);
        }
        s.tick().await;
        let accepts = requests.iter().map(|request| s.act(request, "accept_quote"));
        for answer in futures_util::future::join_all(accepts).await {
            answer.expect(200);
        }
        s.tick().await;
        let states = async || {
            let mut states = Vec::new();
            for request in &requests {
                states.push(s.attributes_of(request).await["state"].as_str().unwrap().to_owned());
            }
            states
        };
        let working = states().await.iter().filter(|state| *state == "working").count();
        assert_eq!(working, 2, "1 000 000 is enough for two of four");
        let left = s.attributes_of(&requests[0]).await["funds_available"].clone();
        assert_eq!(left, 200_000);
        s.advance(Duration::from_hours(13)).await;
        let ended = states().await;
        assert_eq!(ended.iter().filter(|state| *state == "finished").count(), 2, "{ended:?}");
        assert_eq!(ended.iter().filter(|state| *state == "cancelled").count(), 2, "{ended:?}");
        assert_eq!(s.attributes_of(&requests[0]).await["funds_available"], 200_000);
    })
    .await;
}

#[tokio::test]
async fn refund_in_time_funds_a_waiting_request() {
    account(async |s| {
        // the first takes most of the balance, and its refund comes within a minute
        let first = draft(s, "ar_ars").await;
        pay(s, &first, "sandbox:returned", json!({"port_code": "cl_clp", "budget": 900_000})).await;
        let second = draft(s, "ar_ars").await;
        let paid = pay(s, &second, "", json!({"port_code": "cl_clp", "budget": 500_000})).await;
        for action in ["request_quote", "accept_quote"] {
            for request in [&first, &second] {
                s.act(request, action).await.expect(200);
                s.tick().await;
            }
        }
        assert_eq!(s.attributes_of(&first).await["state"], "working");
        assert_eq!(s.attributes_of(&second).await["state"], "quote_accepted");
        s.advance(Duration::from_mins(1)).await;
        assert_eq!(s.attributes_of(&first).await["state"], "finished");
        assert_eq!(s.attributes_of(&second).await["state"], "finished");
        assert_eq!(super::output(s, &paid).await["state"], "settled");
    })
    .await;
}

#[tokio::test]
async fn refund_is_the_full_budget_or_the_budget_minus_fees() {
    account(async |s| {
        let mut left = BigDecimal::from(1_000_000);
        for (label, refund) in [
            ("", "nothing"),
            ("sandbox:rejected", "budget"),
            ("sandbox:cancelled", "budget"),
            ("sandbox:returned", "net"),
            ("sandbox:failed", "net"),
        ] {
            let request = draft(s, "ar_ars").await;
            let id = pay(s, &request, label, json!({"port_code": "mx_mxn", "budget": 10_000})).await;
            s.advance(SECOND).await;
            for action in ["request_quote", "accept_quote"] {
                s.act(&request, action).await.expect(200);
                s.tick().await;
            }
            s.advance(Duration::from_mins(1)).await;
            let ended = s.attributes_of(&request).await;
            assert_eq!(ended["state"], "finished", "{label}");
            assert_eq!(ended["credit_note_url"].is_string(), refund != "nothing", "{label}");
            let estimate = json!({"data": {"type": "concierge_estimates", "attributes": {"port_code": "ar_ars",
                "outputs": [{"port_code": "mx_mxn", "budget": 10_000}]}}});
            let estimate = s.post("/api/concierge_estimates", &estimate).await.expect(201);
            let fee = exact(&estimate["data"]["attributes"]["outputs"][0]["fee_and_cost"]);
            assert!(fee > BigDecimal::default());
            let budget = exact(&super::output(s, &id).await["budget"]);
            left -= match refund {
                "nothing" => budget,
                "budget" => BigDecimal::from(0),
                _ => fee,
            };
            assert_eq!(exact(&ended["funds_available"]), left, "{label}");
        }
    })
    .await;
}

/// Generates a payout: its origin, each output's label and attributes, and if its quote is accepted.
fn payouts() -> impl Strategy<Value = (&'static str, Vec<(&'static str, Value)>, bool)> {
    let label = prop_oneof![
        4 => Just(""),
        1 => Just("sandbox:rejected"),
        1 => Just("sandbox:failed"),
        1 => Just("sandbox:failed|settled"),
        1 => Just("sandbox:returned"),
        1 => Just("sandbox:cancelled"),
    ];
    let port = prop_oneof![Just("cl_clp"), Just("mx_mxn"), Just("us_usd"), Just("py_pyg"), Just("es_eur")];
    let price = prop_oneof![Just("amount"), Just("budget")];
    let output = (label, port, price, 1..2_000_000_u64, 0..=8_u32).prop_map(|(label, port, price, digits, places)| {
        // up to 20 000 units, with up to eight places
        let value = BigDecimal::new((digits * 10_000).into(), 6) / BigDecimal::from(10_u64.pow(places.min(3)));
        let number: serde_json::Number = value.with_scale(i64::from(places)).to_plain_string().parse().unwrap();
        let value =
            if number.to_string().chars().all(|c| c == '0' || c == '.') { json!(1) } else { Value::Number(number) };
        let mut attributes = json!({"port_code": port});
        attributes[price] = value;
        (label, attributes)
    });
    (
        prop_oneof![Just("ar_ars"), Just("cl_clp"), Just("us_usd")],
        prop::collection::vec(output, 1..5),
        prop::bool::weighted(0.8),
    )
}

#[tokio::test]
async fn random_payouts_conserve_money() {
    sandbox(async |s| {
        let mut runner = TestRunner::deterministic();
        let mut requests = Vec::new();
        for _ in 0..200 {
            let (port, outputs, accepted) = payouts().new_tree(&mut runner).unwrap().current();
            let request = draft(s, port).await;
            for (label, attributes) in outputs {
                pay(s, &request, label, attributes).await;
            }
            s.act(&request, "request_quote").await.expect(200);
            requests.push((request, accepted));
            s.clock.advance(Duration::from_millis(37));
        }
        s.advance(Duration::from_secs(2)).await;
        for (request, accepted) in &requests {
            if *accepted {
                s.act(request, "accept_quote").await.expect(200);
                s.clock.advance(Duration::from_millis(11));
            }
        }
        // no wallet was overdrawn: the database refuses a negative balance, and no call failed
        s.advance(Duration::from_hours(24)).await;
        for (currency, port) in [("ars", "ar_ars"), ("clp", "cl_clp"), ("usd", "us_usd")] {
            let mut balance = BigDecimal::from(1_000_000);
            let (mut finished, mut cancelled) = (0, 0);
            let all = s.get("/api/concierge_requests?page[size]=1000").await.expect(200);
            for request in all["data"].as_array().unwrap() {
                let attributes = &request["attributes"];
                if attributes["port_code"] != port
                    || attributes["state"] == "cancelled"
                    || attributes["state"] == "draft"
                {
                    cancelled += i32::from(attributes["port_code"] == port);
                    continue;
                }
                assert_eq!(attributes["state"], "finished");
                finished += 1;
                balance -= exact(&attributes["total_to_spend"]);
                if let Some(url) = attributes["credit_note_url"].as_str() {
                    let note: Value = s.client.get(url).send().await.unwrap().json().await.unwrap();
                    balance += exact(&note["money_returned"]);
                }
            }
            let wallet = s.get(&format!("/api/cash_wallets/{currency}")).await.expect(200);
            assert_eq!(exact(&wallet["data"]["attributes"]["balance"]), balance, "{currency}");
            assert!(finished > 20 && cancelled > 5, "{currency}: {finished} finished, {cancelled} not");
        }
    })
    .await;
}

#[tokio::test]
async fn amount_below_the_last_decimal_place_is_paid() {
    account(async |s| {
        let tiny = draft(s, "us_usd").await;
        pay(s, &tiny, "", json!({"port_code": "py_pyg", "amount": 0.000_000_01})).await;
        let huge = draft(s, "py_pyg").await;
        for _ in 0..3 {
            pay(s, &huge, "", json!({"port_code": "us_usd", "amount": 999_999_999_999_u64})).await;
        }
        for request in [&tiny, &huge] {
            s.act(request, "request_quote").await.expect(200);
            s.advance(SECOND).await;
            assert_eq!(s.attributes_of(request).await["state"], "quoted");
            s.act(request, "accept_quote").await.expect(200);
        }
        s.advance(Duration::from_mins(1)).await;
        assert_eq!(s.attributes_of(&tiny).await["state"], "finished");
        assert_eq!(s.attributes_of(&tiny).await["total_to_spend"], 0);
        assert_eq!(s.attributes_of(&huge).await["state"], "quote_accepted");
    })
    .await;
}
