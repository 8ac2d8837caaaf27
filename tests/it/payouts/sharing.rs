//! Several servers share the work of payouts, and one is killed meanwhile.

use std::str::FromStr;

use bigdecimal::BigDecimal;
use reqwest::{Client, Method};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{client, database, documented_output, send, within};

const PAYOUTS: usize = 60;
const LABELS: [&str; 6] =
    ["", "sandbox:rejected", "sandbox:failed", "sandbox:failed|settled", "sandbox:returned", "sandbox:cancelled"];
const PACE: [&str; 6] = ["--check-delay", "20ms", "--step-delay", "25ms", "--quote-delay", "10ms"];

/// A client that fails over to another server.
#[derive(Clone)]
struct Payer {
    client: Client,
    bases: Vec<String>,
}

impl Payer {
    /// Sends a request to the first server that answers, beginning with `first`.
    /// A lost answer may stand for a completed call, so callers must expect a repetition.
    async fn send(&self, first: usize, method: Method, path: &str, body: &Value) -> (u16, Value) {
        loop {
            for turn in 0..self.bases.len() {
                let base = &self.bases[(first + turn) % self.bases.len()];
                let request = self.client.request(method.clone(), format!("{base}{path}"));
                let request =
                    request.header("Authorization", "your_api_key").header("Content-Type", "application/json");
                let Ok(response) = request.body(body.to_string()).send().await else { continue };
                let status = response.status().as_u16();
                match response.json::<Value>().await {
                    Ok(document) if status != 503 => return (status, document),
                    _ => {}
                }
            }
        }
    }

    async fn create(&self, first: usize, path: &str, document: &Value) -> String {
        let (status, document) = self.send(first, Method::POST, path, document).await;
        assert_eq!(status, 201, "{document}");
        document["data"]["id"].as_str().unwrap().to_owned()
    }

    async fn reach(&self, first: usize, request: &str, state: &str) {
        let path = format!("/_sandbox/wait?resource=concierge_requests/{request}&state={state}&timeout=5s");
        loop {
            match self.send(first, Method::GET, &path, &Value::Null).await {
                (200, _) => return,
                (408, _) => {}
                (_, document) => panic!("{document}"),
            }
        }
    }

    /// Makes one payout, from a draft until it is finished.
    async fn pay(self, number: usize, instructions: Vec<String>) {
        let draft = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}});
        let request = self.create(number, "/api/concierge_requests", &draft).await;
        for turn in 0..3 {
            let mut output = documented_output();
            output["data"]["attributes"]["amount"] = json!(1000 + number * 10 + turn);
            output["data"]["relationships"]["request"]["data"]["id"] = json!(request);
            let instruction = &instructions[(number + turn) % instructions.len()];
            output["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(instruction);
            self.create(number + turn, "/api/concierge_request_outputs", &output).await;
        }
        for (action, reached) in [("request_quote", "quoted"), ("accept_quote", "finished")] {
            let path = format!("/api/concierge_requests/{request}/{action}");
            let (status, document) = self.send(number, Method::POST, &path, &Value::Null).await;
            // 409: the answer to the first try was lost with its server
            assert!([200, 409].contains(&status), "{document}");
            self.reach(number, &request, reached).await;
        }
    }
}

#[tokio::test]
async fn payouts_finish_once_after_a_server_is_killed() {
    database(async |database| {
        let mut servers = Vec::new();
        for _ in 0..3 {
            servers.push(database.program(&PACE).await);
        }
        let bases = servers.iter().map(|server| server.base.clone()).collect();
        let payer = Payer { client: client(), bases };
        let mut instructions = Vec::new();
        for label in LABELS {
            let document = json!({"data": {"type": "withdrawal_instructions", "attributes": {"label": label, "body": {}},
                "relationships": {"user": {"data": {"type": "users", "id": 20202}}}}});
            instructions.push(payer.create(0, "/api/withdrawal_instructions", &document).await);
        }
        let mut payouts = JoinSet::new();
        for number in 0..PAYOUTS {
            payouts.spawn(payer.clone().pay(number, instructions.clone()));
        }
        for _ in 0..PAYOUTS / 4 {
            within(payouts.join_next()).await.unwrap().unwrap();
        }
        let killed = servers.remove(0);
        killed.signal(Signal::KILL);
        assert_eq!(killed.ended().await.status.code(), None);
        while let Some(paid) = within(payouts.join_next()).await {
            paid.unwrap();
        }

        let survivor = &servers[0];
        let exact = |value: &Value| BigDecimal::from_str(&value.to_string()).unwrap();
        let all = survivor.get("/api/concierge_requests?filter[state]=finished&page[size]=1000").await;
        let all = all["data"].as_array().unwrap();
        assert_eq!(all.len(), PAYOUTS);
        let mut balance = BigDecimal::from(1_000_000);
        for request in all {
            balance -= exact(&request["attributes"]["total_to_spend"]);
            if let Some(url) = request["attributes"]["credit_note_url"].as_str() {
                let note: Value = within(payer.client.get(url).send()).await.unwrap().json().await.unwrap();
                balance += exact(&note["money_returned"]);
            }
        }
        let wallet = send(survivor.request(&payer.client, Method::GET, "/api/cash_wallets/ars")).await.expect(200);
        assert_eq!(exact(&wallet["data"]["attributes"]["balance"]), balance);
    })
    .await;
}

#[tokio::test]
async fn locked_row_does_not_delay_other_outputs() {
    database(async |database| {
        let server = database.program(&["--check-delay", "2h"]).await;
        let pool = database.pool();
        let held = server.create_output().await;
        let mut holder = pool.begin().await.unwrap();
        sqlx::query("select 1 from concierge_requests where id = 1010 for update").execute(&mut *holder).await.unwrap();
        let client = client();
        let draft = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}});
        let made = server.request(&client, Method::POST, "/api/concierge_requests").json(&draft);
        let request = send(made).await.expect(201)["data"]["id"].clone();
        let mut output = documented_output();
        output["data"]["relationships"]["request"]["data"]["id"] = request;
        let made = server.request(&client, Method::POST, "/api/concierge_request_outputs").json(&output);
        let free = send(made).await.expect(201)["data"]["id"].as_str().unwrap().to_owned();
        // the locked output has been due longer than the free one
        let due =
            "update concierge_request_outputs set due_at = now() - (case id when $1 then 60 else 1 end) * interval '1 s'";
        sqlx::query(due).bind(held.parse::<i64>().unwrap()).execute(pool).await.unwrap();
        let is = async |id: &str, state: &str| {
            let path = format!("/api/concierge_request_outputs/{id}");
            within(async { while server.get(&path).await["data"]["attributes"]["state"] != state {} }).await;
        };
        is(&free, "accepted").await;
        is(&held, "accepting").await;
        holder.commit().await.unwrap();
        is(&held, "accepted").await;
    })
    .await;
}
