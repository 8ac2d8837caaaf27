//! Snapshots: named copies of an account's rows, and their restoration.

mod copying;
mod deliveries;
mod managing;
mod time;

use std::collections::BTreeMap;
use std::time::Duration;

use concierge_sandbox::accounts::store::TABLES;
use concierge_sandbox::accounts::store::copy::OWN;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use crate::support::{Account, Answer, Receiver, documented_output, send};

const PATH: &str = "/_sandbox/snapshots";

const OUTPUTS: &str = "/api/concierge_request_outputs";

/// Tables with an `account_id` outside of snapshots.
const NOT_COPIED: [&str; 2] = ["api_keys", "faults"];

async fn as_key(account: &Account, key: &str, method: Method, path: &str, body: &Value) -> Answer {
    let request = account.client.request(method, account.url(path)).header("Authorization", key);
    send(request.header("Content-Type", "application/json").body(body.to_string())).await
}

async fn take(account: &Account, name: &str) -> Value {
    account.post(PATH, &json!({ "name": name })).await.expect(201)
}

async fn restore(account: &Account, name: &str) {
    account.post(&format!("{PATH}/{name}/restore"), &json!({})).await.expect(204);
}

async fn clock(account: &Account, action: &str, body: &Value) -> Value {
    account.post(&format!("/_sandbox/clock/{action}"), body).await.expect(200)
}

#[track_caller]
fn assert_same(left: &BTreeMap<&str, Vec<String>>, right: &BTreeMap<&str, Vec<String>>) {
    for (table, rows) in left {
        assert_eq!(*rows, right[table], "{table}");
    }
}

/// Lists the names of all snapshots.
async fn names(account: &Account) -> Vec<String> {
    let listed = account.get(PATH).await.expect(200);
    listed["data"].as_array().unwrap().iter().map(|snapshot| snapshot["name"].as_str().unwrap().to_owned()).collect()
}

/// Reads every row of an account, as sorted text, table by table.
/// Leases of deliveries and ids are left out.
async fn account_rows(account: &Account, condition: &str) -> BTreeMap<&'static str, Vec<String>> {
    let mut account_rows = BTreeMap::new();
    for table in TABLES.into_iter().chain(["accounts"]) {
        let omitted = match table {
            "accounts" => OWN.to_vec(),
            "deliveries" => vec!["account_id", "leased_by", "leased_until"],
            "id_counters" => vec!["account_id", "next_id"],
            _ => vec!["account_id"],
        };
        let id = if table == "accounts" { "id" } else { "account_id" };
        let sql = format!(
            "select (to_jsonb(t) - $1::text[])::text as row from {table} t
            where {id} = (select id from accounts where {condition}) order by row"
        );
        let rows = sqlx::query_scalar(AssertSqlSafe(sql)).bind(omitted);
        account_rows.insert(table, rows.fetch_all(account.database()).await.unwrap());
    }
    account_rows
}

const PRESENT: &str = "name = 'default'";

/// Uses every table of an account, with failures and retries.
async fn use_every_table(account: &Account) {
    let receiver = Receiver::answering("HTTP/1.1 503 X\r\nContent-Length: 4\r\n\r\nbusy").await;
    let settings = json!({"check_delay": "2s", "approval_delay": "3s", "quote_delay": "4s", "step_delay": "5s",
        "approval": "auto", "progression": "auto", "public_url": "https://snapshot.example.com/a"});
    account.patch("/_sandbox/settings", &settings).await.expect(200);
    let user = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": receiver.url()}}});
    account.patch("/api/users/me", &user).await.expect(200);
    let user = json!({"data": {"type": "users", "attributes": {"email": "ana@example.com"}}});
    account.create("/api/users", &user).await;
    let instruction = |label: &str| {
        json!({"data": {"type": "withdrawal_instructions", "attributes": {"label": label, "payment_method_type": "x",
            "body": {"bank_account_number": 17}},
            "relationships": {"user": {"data": {"type": "users", "id": "20202"}}}}})
    };
    let deleted = account.create("/api/withdrawal_instructions", &instruction("mine")).await;
    account.delete(&format!("/api/withdrawal_instructions/{deleted}")).await.expect(204);
    let failing = account.create("/api/withdrawal_instructions", &instruction("sandbox:failed|settled")).await;
    for instruction in [2121.to_string(), failing] {
        let mut output = documented_output();
        output["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(instruction);
        let request = account.request(Method::POST, OUTPUTS).header("Content-Type", "application/json");
        let outcome = if instruction == "2121" { "rejected" } else { "failed|settled" };
        send(request.header("Sandbox-Outcome", outcome).body(output.to_string())).await.expect(201);
    }
    let estimate = json!({"data": {"type": "concierge_estimates", "attributes": {"port_code": "ar_ars",
        "outputs": [{"port_code": "cl_clp", "amount": 1000}, {"port_code": "cl_clp", "amount": 1000}]}}});
    let estimate = account.post("/api/concierge_estimates", &estimate).await.expect(201);
    let hint = json!({"data": {"attributes": {"hint_token": estimate["data"]["attributes"]["hint_token"]}}});
    let request = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars",
        "external_id": "payroll", "payment_authorization_code": "17"}}});
    let cancelled = account.create("/api/concierge_requests", &request).await;
    account.act(&cancelled, "cancel").await.expect(200);
    account.advance(Duration::from_secs(2)).await;
    account.post("/api/concierge_requests/1010/request_quote", &hint).await.expect(200);
    account.tick().await;
    account.act("1010", "accept_quote").await.expect(200);
    account.tell(Duration::from_secs(5)).await;
    account.tell(Duration::from_secs(11)).await;
    assert_eq!(account.state_of("32324").await, "failed");
    account.tell(Duration::from_secs(30)).await;
    assert_eq!(account.attributes_of("1010").await["state"], "finished");
    clock(account, "freeze", &json!({})).await;
}

/// Creates a receiver that answers only after it is opened; returns it with the sender that opens it.
async fn listen_closed(account: &Account) -> (Receiver, watch::Sender<bool>) {
    let (open, opened) = watch::channel(false);
    let receiver = Receiver::handling(move |mut stream, _| {
        let mut opened = opened.clone();
        async move {
            opened.wait_for(|opened| *opened).await.ok();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.ok();
        }
    })
    .await;
    let url = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": receiver.url()}}});
    account.patch("/api/users/me", &url).await.expect(200);
    (receiver, open)
}
