//! The `hint_token` of an estimate: it holds the prices for a quote of the same ports and amounts.

use std::io::Write;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{draft, output, pay};
use crate::support::{Account, Answer, account, database, sandbox, send};

const MEXICO: &str = r#"{"port_code":"mx_mxn","amount":500}"#;
const CHILE: &str = r#"{"port_code":"cl_clp","budget":1e5}"#;

/// Creates an estimate, with or without a key, and returns its token.
async fn estimate(account: &Account, key: Option<&str>, origin: &str, outputs: &[&str]) -> String {
    let body = format!(
        r#"{{"data":{{"type":"concierge_estimates","attributes":{{"port_code":"{origin}","outputs":[{}]}}}}}}"#,
        outputs.join(",")
    );
    let request =
        account.client.post(account.url("/api/concierge_estimates")).header("Content-Type", "application/json");
    let request = match key {
        Some(key) => request.header("Authorization", key),
        None => request,
    };
    let made = send(request.body(body)).await.expect(201);
    made["data"]["attributes"]["hint_token"].as_str().unwrap().to_owned()
}

/// Requests a quote with a token.
async fn request_quote(account: &Account, request: &str, token: impl Into<Value>) -> Answer {
    let path = format!("/api/concierge_requests/{request}/request_quote");
    let body =
        json!({"data": {"type": "concierge_requests", "id": request, "attributes": {"hint_token": token.into()}}});
    send(account.request(Method::POST, &path).header("Content-Type", "application/json").body(body.to_string())).await
}

/// Creates a draft from Argentina with the outputs of the estimate, in another order and spelling.
async fn same_outputs(account: &Account) -> String {
    let request = draft(account, "ar_ars").await;
    pay(account, &request, "", json!({"port_code": "cl_clp", "budget": 100_000})).await;
    pay(account, &request, "", json!({"port_code": "mx_mxn", "amount": "500.00"})).await;
    request
}

#[tokio::test]
async fn hint_token_gives_the_quote_the_prices_of_the_estimate() {
    database(async |database| {
        let before = database.server().await;
        let token = estimate(&before, Some("your_api_key"), "ar_ars", &[MEXICO, CHILE]).await;
        // prices of another day: the peso has lost half its value
        let prices = include_str!("../../../src/concierge/prices.json");
        let mut prices: Value = serde_json::from_str(prices).unwrap();
        prices["ar_ars"]["per_usd"] = json!(119.6);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(prices.to_string().as_bytes()).unwrap();
        let path = file.path().to_owned();
        let after = database.server_with(|config| config.prices = Some(path)).await;
        database.stop_now(before).await;

        let (hinted, unhinted) = (same_outputs(&after).await, same_outputs(&after).await);
        request_quote(&after, &hinted, token).await.expect(200);
        after.act(&unhinted, "request_quote").await.expect(200);
        after.tick().await;
        let mexican_budget = async |request: &str| {
            let linked = after.get(&format!("/api/concierge_requests/{request}")).await.expect(200);
            let id = linked["data"]["relationships"]["outputs"]["data"][1]["id"].as_str().unwrap().to_owned();
            output(&after, &id).await["budget"].as_f64().unwrap()
        };
        let (hinted, unhinted) = (mexican_budget(&hinted).await, mexican_budget(&unhinted).await);
        assert!((unhinted / hinted - 2.0).abs() < 1e-9, "{hinted} {unhinted}");
    })
    .await;
}

#[tokio::test]
async fn hint_token_expires_after_ten_minutes() {
    account(async |s| {
        let (in_time, late) = (same_outputs(s).await, same_outputs(s).await);
        let token = estimate(s, Some(&s.key), "ar_ars", &[CHILE, MEXICO]).await;
        s.advance(Duration::from_mins(10)).await;
        request_quote(s, &in_time, token.as_str()).await.expect(200);
        s.tick().await;
        let answer = request_quote(s, &late, token.as_str()).await;
        answer.assert_error(422, "hint_token_expired", "/data/attributes/hint_token");
        let detail = answer.body["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("2019-11-25T13:03:02.741Z"), "{detail}");
        assert_eq!(s.attributes_of(&late).await["state"], "draft");
    })
    .await;
}

#[tokio::test]
async fn hint_token_requires_its_account_origin_and_outputs() {
    sandbox(async |s| {
        const POINTER: &str = "/data/attributes/hint_token";
        s.second_account("their_key").await;
        let request = same_outputs(s).await;
        let outputs = [MEXICO, CHILE];
        let foreign = estimate(s, Some("their_key"), "ar_ars", &[MEXICO, CHILE, CHILE]).await;
        request_quote(s, &request, foreign).await.assert_error(422, "hint_token_unknown", POINTER);
        for unknown in ["", "x", &"0".repeat(64), "\u{1F600}"] {
            request_quote(s, &request, unknown).await.assert_error(422, "hint_token_unknown", POINTER);
        }
        for invalid in [json!(5), json!(["x"]), json!({}), json!(true)] {
            request_quote(s, &request, invalid).await.assert_error(422, "attribute_invalid", POINTER);
        }
        let elsewhere = estimate(s, Some(&s.key), "us_usd", &outputs).await;
        request_quote(s, &request, elsewhere).await.assert_error(422, "hint_token_mismatch", POINTER);
        let price = |amount: &str| format!(r#"{{"port_code":"mx_mxn",{amount}}}"#);
        let mismatches: [&[&str]; 5] = [
            &[MEXICO],
            &[MEXICO, CHILE, CHILE],
            &[&price(r#""amount":501"#), CHILE],
            &[&price(r#""budget":500"#), CHILE],
            &[r#"{"port_code":"us_usd","amount":500}"#, CHILE],
        ];
        for other in mismatches {
            let token = estimate(s, Some(&s.key), "ar_ars", other).await;
            request_quote(s, &request, token).await.assert_error(422, "hint_token_mismatch", POINTER);
        }
        assert_eq!(s.attributes_of(&request).await["state"], "draft");
        // an estimate made without a key is valid for every account
        let keyless = estimate(s, None, "ar_ars", &outputs).await;
        request_quote(s, &request, keyless).await.expect(200);
        // the state is checked before the token
        let answer = request_quote(s, &request, "nonsense").await;
        answer.assert_error(409, "action_not_possible", "");
    })
    .await;
}
