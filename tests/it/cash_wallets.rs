//! Cash wallets: a user's balance in each currency.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{account, sandbox, send};

const CURRENCIES: [&str; 10] = ["ars", "brl", "clp", "cop", "eur", "mxn", "pen", "pyg", "usd", "uyu"];

/// Reads the balances of a list, with their ids.
fn balances(document: &Value) -> Vec<(&str, &Value)> {
    let wallets = document["data"].as_array().unwrap().iter();
    wallets.map(|wallet| (wallet["id"].as_str().unwrap(), &wallet["attributes"]["balance"])).collect()
}

#[tokio::test]
async fn user_has_a_wallet_in_every_port_currency() {
    account(async |s| {
        let answer = s.get("/api/cash_wallets/").await;
        // compared as text, so that the order of attributes counts
        let dollars =
            r#"{"id":"usd","type":"cash_wallets","attributes":{"currency":"usd","balance":1000000,"available":1000000}}"#;
        assert!(answer.text.contains(dollars), "{}", answer.text);
        let all = answer.expect(200);
        let (rich, none) = (json!(1_000_000), json!(0));
        let expected = CURRENCIES.map(|code| (code, if ["ars", "clp", "usd"].contains(&code) { &rich } else { &none }));
        assert_eq!(balances(&all), expected);
        assert_eq!(all["meta"]["total"], 10);
        for currency in ["usd", "USD", "Usd"] {
            let shown = s.get(&format!("/api/cash_wallets/{currency}")).await.expect(200);
            assert_eq!(shown["data"], all["data"][8]);
        }
        let empty = s.get("/api/cash_wallets/EUR").await.expect(200);
        assert_eq!(empty["data"]["attributes"], json!({"currency": "eur", "balance": 0, "available": 0}));
    })
    .await;
}

#[tokio::test]
async fn balance_is_exact() {
    account(async |s| {
        let digits = "123456789012345678901234567890.12345678";
        s.sql("update cash_wallets set balance = 123456789012345678901234567890.123456780000 where currency = 'clp'")
            .await;
        s.sql("update cash_wallets set balance = 0.00000001 where currency = 'ars'").await;
        let shown = s.get("/api/cash_wallets/clp").await;
        assert!(shown.text.contains(&format!(r#""balance":{digits},"available":{digits}}}"#)), "{}", shown.text);
        let shown = s.get("/api/cash_wallets/ars").await;
        assert!(shown.text.contains(r#""balance":0.00000001,"#), "{}", shown.text);
    })
    .await;
}

#[tokio::test]
async fn each_user_sees_its_own_wallets() {
    account(async |s| {
        s.sql("insert into cash_wallets select account_id, id, 'clp', 12.5 from users where id = 20202").await;
        let get = async |key: &str, path: &str| {
            send(s.client.request(Method::GET, s.url(path)).header("Authorization", key)).await
        };
        let payee = get(&format!("{}; user=20202", s.key), "/api/cash_wallets").await.expect(200);
        let held: Vec<_> = balances(&payee).into_iter().filter(|(_, balance)| **balance != json!(0)).collect();
        assert_eq!(held, [("clp", &json!(12.5))]);
        let payee = get(&format!("{};user=20202", s.key), "/api/cash_wallets/clp").await.expect(200);
        assert_eq!(payee["data"]["attributes"]["available"], 12.5);
        let master = get(&s.read_only_key, "/api/cash_wallets/clp").await.expect(200);
        assert_eq!(master["data"]["attributes"]["balance"], 1_000_000);
        for path in ["/api/cash_wallets", "/api/cash_wallets/usd", "/api/cash_wallets/xxx", "/api/cash_wallets?x=1"] {
            get(&format!("{}; user=777", s.key), path).await.assert_error(401, "acting_user_unknown", "Authorization");
            get("nobody's", path).await.assert_error(401, "invalid_api_key", "Authorization");
            let stranger = send(s.client.get(s.url(path))).await;
            stranger.assert_error(401, "invalid_api_key", "Authorization");
        }
    })
    .await;
}

#[tokio::test]
async fn each_account_sees_its_own_wallets() {
    sandbox(async |s| {
        let mut connection = s.server().app().database.connection().await.unwrap();
        let keys = [("another_key", "write")];
        let now = s.clock.now();
        concierge_sandbox::concierge::fixtures::create_account(&mut connection, "another", &keys, now).await.unwrap();
        connection.release();
        s.sql("update cash_wallets set balance = 7 where currency = 'usd' and account_id = 1").await;
        let get = |key: &'static str| send(s.client.get(s.url("/api/cash_wallets")).header("Authorization", key));
        let (ours, foreign) = (get("your_api_key").await.expect(200), get("another_key").await.expect(200));
        assert_eq!(balances(&ours)[8], ("usd", &json!(7)));
        assert_eq!(balances(&foreign)[8], ("usd", &json!(1_000_000)));
        assert_eq!(balances(&foreign).len(), 10);
    })
    .await;
}

#[tokio::test]
async fn wallets_are_listed_in_pages() {
    account(async |s| {
        let page = s.get("/api/cash_wallets?page[size]=3&page[number]=2&sort=-id").await.expect(200);
        assert_eq!(balances(&page).into_iter().map(|(id, _)| id).collect::<Vec<_>>(), ["pen", "mxn", "eur"]);
        assert_eq!(page["meta"]["total"], 10);
        let sparse = s.get("/api/cash_wallets?fields[cash_wallets]=available&page[size]=1").await.expect(200);
        assert_eq!(sparse["data"][0]["attributes"], json!({"available": 1_000_000}));
        s.get("/api/cash_wallets?sort=balance").await.assert_error(400, "sort_unknown", "sort");
        let answer = s.get("/api/cash_wallets?filter[currency]=usd").await;
        answer.assert_error(400, "filter_unknown", "filter[currency]");
    })
    .await;
}

#[tokio::test]
async fn unknown_currency_is_404() {
    account(async |s| {
        for currency in ["jpy", "us", "usdx", "usd%20", "50505", "%00", "%ff", "us_usd"] {
            s.get(&format!("/api/cash_wallets/{currency}")).await.assert_error(404, "resource_not_found", "");
        }
    })
    .await;
}
