//! An advance of two days leaves the same rows as a wait of two days.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{ADVANCE, DOWN, OK, OUTPUTS};
use crate::support::{Account, Receiver, Sandbox, documented_output, dump, sandbox_with};

/// The way in which time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passing {
    /// The machine's clock moves, in this number of steps.
    Waited(u32),
    /// The account's clock is advanced, in this number of steps.
    Advanced(u32),
}

/// An account with a receiver, and the way in which its time passes.
struct Scene<'a> {
    sandbox: &'a Sandbox,
    account: Account,
    /// A second client of the account for advances, outside the comparison.
    clock_client: Account,
    passing: Passing,
    receiver: Receiver,
}

/// Creates a receiver that accepts an event at the third attempt, and never one of user 50507.
async fn receiver() -> Receiver {
    let seen: Mutex<HashMap<Vec<u8>, usize>> = Mutex::default();
    Receiver::deciding(move |call| {
        let mut seen = seen.lock();
        let attempts = seen.entry(call.body.clone()).or_default();
        *attempts += 1;
        let is_refused = String::from_utf8_lossy(&call.body).contains(r#"{"type":"users","id":"50507"}"#);
        if is_refused || *attempts < 3 { DOWN.into() } else { OK.into() }
    })
    .await
}

impl<'a> Scene<'a> {
    async fn start(sandbox: &'a Sandbox, passing: Passing) -> Self {
        let mut body = json!({"key": "the_same", "read_only_key": "the_same_to_read"});
        if matches!(passing, Passing::Advanced(_)) {
            body["clock"] = json!({"now": "2019-11-25T12:53:02.741Z"});
        }
        let account = sandbox.account(body).await;
        let receiver = receiver().await;
        account.listen(&receiver.url()).await;
        let clock_client = account.at(&sandbox.url(""));
        Self { sandbox, account, clock_client, passing, receiver }
    }

    async fn pass(&self, time: Duration) {
        match self.passing {
            Passing::Waited(steps) => {
                let steps = if time > SECOND { steps } else { 1 };
                for _ in 0..steps {
                    self.sandbox.tell(time / steps).await;
                }
            }
            Passing::Advanced(steps) => {
                let steps = if time > SECOND { steps } else { 1 };
                for _ in 0..steps {
                    let by = json!({"by": format!("{}ms", (time / steps).as_millis())});
                    self.clock_client.post(ADVANCE, &by).await.expect(200);
                }
            }
        }
    }

    /// Creates a payee and an instruction with this label; returns the ids of both.
    async fn payee(&self, label: &str) -> (String, String) {
        let user = self.account.create("/api/users", &json!({"data": {"type": "users"}})).await;
        let instruction = json!({"data": {"type": "withdrawal_instructions",
            "attributes": {"label": label, "body": {"bank": "x"}},
            "relationships": {"user": {"data": {"type": "users", "id": user}}}}});
        let instruction = self.account.create("/api/withdrawal_instructions", &instruction).await;
        (user, instruction)
    }

    async fn pay(&self, request: &str, label: &str, attributes: Value) -> String {
        let (user, instruction) = self.payee(label).await;
        let mut document = documented_output();
        document["data"]["attributes"] = attributes;
        let relationships = &mut document["data"]["relationships"];
        relationships["request"]["data"]["id"] = json!(request);
        relationships["user"]["data"]["id"] = json!(user);
        relationships["withdrawal_instruction"]["data"]["id"] = json!(instruction);
        self.account.create(OUTPUTS, &document).await
    }

    async fn draft(&self) -> String {
        let document = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}});
        self.account.create("/api/concierge_requests", &document).await
    }

    async fn dump(&self) -> Vec<String> {
        dump(self.sandbox.database(), self.account.row(self.sandbox.database()).await).await
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// Runs every kind of timer, over two days and then a month.
/// Returns the rows after each period, and the number of calls to the receiver.
async fn run_scenarios(sandbox: &Sandbox, passing: Passing) -> (Vec<String>, Vec<String>, usize) {
    let mut scene = Scene::start(sandbox, passing).await;
    let (account, pesos) = (&scene.account, json!({"port_code": "cl_clp", "amount": 1000}));
    // request 1010 is paid; its outputs take every scenario
    for label in ["", "sandbox:failed", "sandbox:failed|settled", "sandbox:returned", "sandbox:cancelled"] {
        scene.pay("1010", label, pesos.clone()).await;
    }
    scene.pay("1010", "sandbox:rejected", pesos.clone()).await;
    scene.pass(3 * SECOND).await;
    account.act("1010", "request_quote").await.expect(200);
    scene.pass(SECOND).await;
    account.act("1010", "accept_quote").await.expect(200);
    scene.pass(MILLISECOND).await;
    // four drafts: slow quote that expires, no money, stuck output, no further call
    let (expires, unfunded, stuck, pruned) =
        (scene.draft().await, scene.draft().await, scene.draft().await, scene.draft().await);
    scene.pay(&expires, "", json!({"port_code": "us_usd", "budget": 100})).await;
    scene.pay(&unfunded, "", json!({"port_code": "cl_clp", "budget": 100_000_000})).await;
    scene.pay(&stuck, "sandbox:stuck", pesos.clone()).await;
    scene.pay(&stuck, "", pesos.clone()).await;
    scene.pass(2 * SECOND).await;
    for request in [&expires, &unfunded, &stuck] {
        account.act(request, "request_quote").await.expect(200);
        scene.pass(MILLISECOND).await;
    }
    scene.pass(2 * SECOND).await;
    for request in [&unfunded, &stuck] {
        account.act(request, "accept_quote").await.expect(200);
        scene.pass(MILLISECOND).await;
    }
    scene.pay(&pruned, "", pesos).await;
    scene.pass(2 * DAY).await;
    let two_days = scene.dump().await;
    for (request, state) in [
        ("1010", "finished"),
        (&*expires, "cancelled"),
        (&*unfunded, "cancelled"),
        (&*stuck, "working"),
        (&*pruned, "draft"),
    ] {
        assert_eq!(account.attribute(&format!("/api/concierge_requests/{request}"), "state").await, state, "{request}");
    }
    let page = account.get("/_sandbox/events?filter[resource]=users/50507").await.expect(200);
    let attempts = &page["data"][0]["attributes"]["attempts_count"];
    assert!(attempts.as_i64() >= Some(7), "two days cover most of the retry schedule: {attempts}");
    scene.pass(30 * DAY).await;
    let month = scene.dump().await;
    assert_eq!(account.attribute(&format!("/api/concierge_requests/{pruned}"), "state").await, "cancelled");
    let calls = scene.receiver.calls().len();
    (two_days, month, calls)
}

/// Asserts that two dumps are equal; shows the first different row.
#[track_caller]
fn assert_same(found: &[String], expected: &[String], context: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{context}");
    }
    assert_eq!(found.len(), expected.len(), "{context}");
}

#[tokio::test(flavor = "multi_thread")]
async fn advanced_time_leaves_the_same_rows_as_waited_time() {
    let run_scenarios = async |passing| {
        sandbox_with(
            |config| config.public_url = Some("http://sandbox.test".into()),
            async |s| run_scenarios(s, passing).await,
        )
        .await
    };
    let (days, month, calls) = run_scenarios(Passing::Advanced(1)).await;
    let count = |table: &str| days.iter().filter(|row| row.starts_with(&format!("{table} "))).count();
    assert!(count("events") > 60 && count("delivery_attempts") > 2 * count("events"), "{}", days.join("\n"));
    for passing in [Passing::Waited(10), Passing::Advanced(8)] {
        let (other_days, other_month, other_calls) = run_scenarios(passing).await;
        assert_same(&other_days, &days, &format!("{passing:?}, after two days"));
        assert_same(&other_month, &month, &format!("{passing:?}, after a month"));
        assert_eq!(other_calls, calls, "{passing:?}");
    }
}
