//! An estimate's `hint_token` holds its prices for the quote of the same ports and amounts.

use std::io::Write;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{draft, output, pay};
use crate::support::{Account, Answer, account, database, sandbox, send};

const MEXICO: &str = r#"{"port_code":"mx_mxn","amount":500}"#;
const CHILE: &str = r#"{"port_code":"cl_clp","budget":1e5}"#;

/// Makes an estimate with that key, or none, and returns its token.
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

/// Asks for a quote with a token.
async fn request_quote(account: &Account, request: &str, token: impl Into<Value>) -> Answer {
    let path = format!("/api/concierge_requests/{request}/request_quote");
    let body =
        json!({"data": {"type": "concierge_requests", "id": request, "attributes": {"hint_token": token.into()}}});
    send(account.request(Method::POST, &path).header("Content-Type", "application/json").body(body.to_string())).await
}

/// A draft from Argentina with the outputs of the estimate, in another order and another spelling.
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
        // the prices of another day: pesos are worth half
        let prices = include_str!("../../../src/concierge/prices.json");
        let mut prices: Value = serde_json::from_str(prices).unwrap();
        prices["ar_ars"]["per_usd"] = json!(119.6);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(prices.to_string().as_bytes()).unwrap();
        let path = file.path().to_owned();
        let after = database.server_with(|config| config.prices = Some(path)).await;
        database.stop_now(before).await;

        let (held, of_the_day) = (same_outputs(&after).await, same_outputs(&after).await);
        request_quote(&after, &held, token).await.expect(200);
        after.act(&of_the_day, "request_quote").await.expect(200);
        after.tick().await;
        let mexican_budget = async |request: &str| {
            let linked = after.get(&format!("/api/concierge_requests/{request}")).await.expect(200);
            let id = linked["data"]["relationships"]["outputs"]["data"][1]["id"].as_str().unwrap().to_owned();
            output(&after, &id).await["budget"].as_f64().unwrap()
        };
        let (held, of_the_day) = (mexican_budget(&held).await, mexican_budget(&of_the_day).await);
        assert!((of_the_day / held - 2.0).abs() < 1e-9, "{held} {of_the_day}");
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
        let theirs = estimate(s, Some("their_key"), "ar_ars", &[MEXICO, CHILE, CHILE]).await;
        request_quote(s, &request, theirs).await.assert_error(422, "hint_token_unknown", POINTER);
        for unknown in ["", "x", &"0".repeat(64), "\u{1F600}"] {
            request_quote(s, &request, unknown).await.assert_error(422, "hint_token_unknown", POINTER);
        }
        for no_token in [json!(5), json!(["x"]), json!({}), json!(true)] {
            request_quote(s, &request, no_token).await.assert_error(422, "attribute_invalid", POINTER);
        }
        let elsewhere = estimate(s, Some(&s.key), "us_usd", &outputs).await;
        request_quote(s, &request, elsewhere).await.assert_error(422, "hint_token_mismatch", POINTER);
        let price = |amount: &str| format!(r#"{{"port_code":"mx_mxn",{amount}}}"#);
        let others: [&[&str]; 5] = [
            &[MEXICO],
            &[MEXICO, CHILE, CHILE],
            &[&price(r#""amount":501"#), CHILE],
            &[&price(r#""budget":500"#), CHILE],
            &[r#"{"port_code":"us_usd","amount":500}"#, CHILE],
        ];
        for other in others {
            let token = estimate(s, Some(&s.key), "ar_ars", other).await;
            request_quote(s, &request, token).await.assert_error(422, "hint_token_mismatch", POINTER);
        }
        assert_eq!(s.attributes_of(&request).await["state"], "draft");
        // an estimate for which nobody said who calls is good for anybody
        let anybody_s = estimate(s, None, "ar_ars", &outputs).await;
        request_quote(s, &request, anybody_s).await.expect(200);
        // the state comes before the token
        let answer = request_quote(s, &request, "nonsense").await;
        answer.assert_error(409, "action_not_possible", "");
    })
    .await;
}
