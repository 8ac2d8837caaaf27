//! Two days that are skipped leave what two days that were waited leave.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{ADVANCE, DOWN, OK, OUTPUTS};
use crate::support::{Account, Receiver, Sandbox, documented_output, dump, sandbox_with};

/// How time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passing {
    /// The machine's clock goes on, in so many steps.
    Waited(u32),
    /// The account's clock is advanced, in so many steps.
    Advanced(u32),
}

/// A world, and how time passes in it.
struct World<'a> {
    sandbox: &'a Sandbox,
    account: Account,
    /// The same account, so that its clock is moved by calls that don't count.
    mover: Account,
    passing: Passing,
    receiver: Receiver,
}

/// A receiver that takes an event at the third try, and of user 50507 none.
async fn receiver() -> Receiver {
    let seen: Mutex<HashMap<Vec<u8>, usize>> = Mutex::default();
    Receiver::deciding(move |call| {
        let mut seen = seen.lock();
        let tries = seen.entry(call.body.clone()).or_default();
        *tries += 1;
        let is_refused = String::from_utf8_lossy(&call.body).contains(r#"{"type":"users","id":"50507"}"#);
        if is_refused || *tries < 3 { DOWN.into() } else { OK.into() }
    })
    .await
}

impl<'a> World<'a> {
    async fn begin(sandbox: &'a Sandbox, passing: Passing) -> Self {
        let mut body = json!({"key": "the_same", "read_only_key": "the_same_to_read"});
        if matches!(passing, Passing::Advanced(_)) {
            body["clock"] = json!({"now": "2019-11-25T12:53:02.741Z"});
        }
        let account = sandbox.account(body).await;
        let receiver = receiver().await;
        account.listen(&receiver.url()).await;
        let mover = account.at(&sandbox.url(""));
        Self { sandbox, account, mover, passing, receiver }
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
                    self.mover.post(ADVANCE, &by).await.expect(200);
                }
            }
        }
    }

    /// A payee with that e-mail address and an instruction of that label.
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

/// Everything that time does, over two days and then over a month: the rows at the end of each, and how often the receiver was
/// called.
async fn live(sandbox: &Sandbox, passing: Passing) -> (Vec<String>, Vec<String>, usize) {
    let mut world = World::begin(sandbox, passing).await;
    let (account, pesos) = (&world.account, json!({"port_code": "cl_clp", "amount": 1000}));
    // one that is paid, in every way
    for label in ["", "sandbox:failed", "sandbox:failed|settled", "sandbox:returned", "sandbox:cancelled"] {
        world.pay("1010", label, pesos.clone()).await;
    }
    world.pay("1010", "sandbox:rejected", pesos.clone()).await;
    world.pass(3 * SECOND).await;
    account.act("1010", "request_quote").await.expect(200);
    world.pass(SECOND).await;
    account.act("1010", "accept_quote").await.expect(200);
    world.pass(MILLISECOND).await;
    // one whose quote takes a second, and expires; one that has no money; one that is stuck; one that is left alone
    let (expires, unfunded, stuck, pruned) =
        (world.draft().await, world.draft().await, world.draft().await, world.draft().await);
    world.pay(&expires, "", json!({"port_code": "us_usd", "budget": 100})).await;
    world.pay(&unfunded, "", json!({"port_code": "cl_clp", "budget": 100_000_000})).await;
    world.pay(&stuck, "sandbox:stuck", pesos.clone()).await;
    world.pay(&stuck, "", pesos.clone()).await;
    world.pass(2 * SECOND).await;
    for request in [&expires, &unfunded, &stuck] {
        account.act(request, "request_quote").await.expect(200);
        world.pass(MILLISECOND).await;
    }
    world.pass(2 * SECOND).await;
    for request in [&unfunded, &stuck] {
        account.act(request, "accept_quote").await.expect(200);
        world.pass(MILLISECOND).await;
    }
    world.pay(&pruned, "", pesos).await;
    world.pass(2 * DAY).await;
    let two_days = world.dump().await;
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
    assert!(attempts.as_i64() >= Some(7), "two days are most of the ladder: {attempts}");
    world.pass(30 * DAY).await;
    let month = world.dump().await;
    assert_eq!(account.attribute(&format!("/api/concierge_requests/{pruned}"), "state").await, "cancelled");
    let calls = world.receiver.calls().len();
    (two_days, month, calls)
}

/// Asserts that two dumps are the same, and shows where they aren't.
#[track_caller]
fn assert_same(found: &[String], expected: &[String], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{what}");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_days_advanced_are_two_days_waited() {
    let live = async |passing| {
        sandbox_with(|config| config.public_url = Some("http://sandbox.test".into()), async |s| live(s, passing).await)
            .await
    };
    let (days, month, calls) = live(Passing::Advanced(1)).await;
    let count = |table: &str| days.iter().filter(|row| row.starts_with(&format!("{table} "))).count();
    assert!(count("events") > 60 && count("delivery_attempts") > 2 * count("events"), "{}", days.join("\n"));
    for passing in [Passing::Waited(10), Passing::Advanced(8)] {
        let (other_days, other_month, other_calls) = live(passing).await;
        assert_same(&other_days, &days, &format!("{passing:?}, after two days"));
        assert_same(&other_month, &month, &format!("{passing:?}, after a month"));
        assert_eq!(other_calls, calls, "{passing:?}");
    }
}
