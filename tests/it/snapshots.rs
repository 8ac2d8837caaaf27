//! Snapshots: the world of an account, kept under a name, to which it goes back.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use concierge_sandbox::accounts::store::TABLES;
use concierge_sandbox::accounts::store::copy::OWN;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use crate::support::{
    Account, Answer, Program, Receiver, client, count, database, documented_output, sandbox, sandbox_with, send,
};

const PATH: &str = "/_sandbox/snapshots";
const OUTPUTS: &str = "/api/concierge_request_outputs";
/// Tables with an account that are no part of its world.
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

/// The names of the snapshots there are.
async fn names(account: &Account) -> Vec<String> {
    let listed = account.get(PATH).await.expect(200);
    listed["snapshots"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

/// Every row of an account, as text and in one order, table by table. Ids that servers have leased are no part of it.
async fn world(account: &Account, which: &str) -> BTreeMap<&'static str, Vec<String>> {
    let mut world = BTreeMap::new();
    for table in TABLES.into_iter().chain(["accounts"]) {
        let left_out = match table {
            "accounts" => OWN.to_vec(),
            "deliveries" => vec!["account_id", "leased_by", "leased_until"],
            "id_counters" => vec!["account_id", "next_id"],
            _ => vec!["account_id"],
        };
        let id = if table == "accounts" { "id" } else { "account_id" };
        let sql = format!(
            "select (to_jsonb(t) - $1::text[])::text as row from {table} t
            where {id} = (select id from accounts where {which}) order by row"
        );
        let rows = sqlx::query_scalar(AssertSqlSafe(sql)).bind(left_out);
        world.insert(table, rows.fetch_all(account.database()).await.unwrap());
    }
    world
}

const PRESENT: &str = "name = 'default'";

#[tokio::test]
async fn an_account_goes_back_to_where_it_was() {
    sandbox(async |s| {
        assert_eq!(s.create_output().await, "32323");
        s.advance(Duration::from_secs(1)).await;
        let taken = take(s, "before-quote").await;
        let counts = json!({"users": 2, "withdrawal_instructions": 1, "concierge_requests": 1,
            "concierge_request_outputs": 1, "events": 2});
        let shown =
            json!({"name": "before-quote", "taken_at": "2019-11-25T12:53:03.741Z", "frozen": false, "counts": counts});
        assert_eq!(taken, shown);
        assert_eq!(s.get(PATH).await.expect(200), json!({ "snapshots": [shown] }));
        for _ in 0..2 {
            assert_eq!(s.create_output().await, "32324", "ids go on where they were");
            let user = json!({"data": {"type": "users", "attributes": {"email": "ana@example.com"}}});
            assert_eq!(s.create("/api/users", &user).await, "50506");
            s.act("1010", "request_quote").await.expect(200);
            s.advance(Duration::from_mins(1)).await;
            assert_eq!(s.attributes_of("1010").await["state"], "quoted");
            restore(s, "before-quote").await;
            assert_eq!(s.attributes_of("1010").await["state"], "draft");
            assert_eq!(s.state_of("32323").await, "accepted");
            s.get(&format!("{OUTPUTS}/32324")).await.assert_error(404, "resource_not_found", "");
            s.get("/api/users/50506").await.assert_error(404, "resource_not_found", "");
            let clock = s.get("/_sandbox/clock").await.expect(200);
            assert_eq!(clock["now"], "2019-11-25T12:53:03.741Z");
        }
        // both keys lead there
        let read = as_key(s, "your_read_only_api_key", Method::GET, "/api/concierge_requests/1010", &json!({})).await;
        assert_eq!(read.expect(200)["data"]["attributes"]["state"], "draft");
    })
    .await;
}

#[tokio::test]
async fn every_table_and_every_column_is_copied() {
    sandbox(async |s| {
        let sql = "select table_name::text from information_schema.columns
            where table_schema = 'public' and column_name = 'account_id'";
        let tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(s.database()).await.unwrap();
        let copied: BTreeSet<&str> = TABLES.into_iter().collect();
        let there: BTreeSet<&str> =
            tables.iter().map(String::as_str).filter(|table| !NOT_COPIED.contains(table)).collect();
        assert_eq!(there, copied, "a table that is new belongs into TABLES, or isn't copied");
        busy(s).await;
        for table in TABLES.into_iter().chain(["accounts"]) {
            let sql = format!("alter table {table} add column new text; update {table} set new = 'kept'");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(s.database()).await.unwrap();
        }
        let before = world(s, PRESENT).await;
        for (table, rows) in &before {
            assert!(rows.iter().any(|row| row.contains("kept")), "there is nothing in {table} that could be lost");
        }
        let lease =
            "update deliveries set leased_by = gen_random_uuid(), leased_until = '2100-01-01' where state = 'due'";
        assert_ne!(sqlx::query(lease).execute(s.database()).await.unwrap().rows_affected(), 0);
        take(s, "all").await;
        assert_same(&world(s, "snapshot_name = 'all'").await, &before);
        assert_same(&world(s, PRESENT).await, &before); // taking one changes nothing
        s.post("/_sandbox/reset", &json!({})).await.expect(204);
        assert_ne!(world(s, PRESENT).await, before);
        restore(s, "all").await;
        assert_same(&world(s, PRESENT).await, &before);
        let leased = "select count(*) from deliveries d join accounts a on a.id = d.account_id and a.ended_at is null
            where leased_by is not null or leased_until is not null";
        assert_eq!(s.count(leased).await, 0, "leases are no part of it");
    })
    .await;
}

/// Has something happen to everything there is.
async fn busy(account: &Account) {
    let receiver = Receiver::answering("HTTP/1.1 503 X\r\nContent-Length: 4\r\n\r\nbusy").await;
    let settings = json!({"check_delay": "2s", "approval_delay": "3s", "quote_delay": "4s", "step_delay": "5s",
        "approval": "auto", "progression": "auto"});
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

#[tokio::test]
async fn the_clock_goes_on_from_where_it_was() {
    sandbox(async |s| {
        s.create_output().await;
        take(s, "running").await;
        clock(s, "set", &json!({"to": "2019-11-25T12:53:03Z", "frozen": true})).await;
        assert_eq!(take(s, "frozen").await["frozen"], true);
        clock(s, "advance", &json!({"by": "PT48H"})).await;
        s.advance(Duration::from_hours(1)).await;
        assert_eq!(s.state_of("32323").await, "accepted");

        restore(s, "frozen").await;
        s.advance(Duration::from_hours(1)).await;
        let shown = s.get("/_sandbox/clock").await.expect(200);
        assert_eq!((&shown["now"], &shown["frozen"]), (&json!("2019-11-25T12:53:03.000Z"), &json!(true)));
        assert_eq!(shown["next_due_at"], "2019-11-25T12:53:03.741Z");
        assert_eq!(s.state_of("32323").await, "accepting");

        restore(s, "running").await;
        let shown = s.get("/_sandbox/clock").await.expect(200);
        assert_eq!((&shown["now"], &shown["frozen"]), (&json!("2019-11-25T12:53:02.741Z"), &json!(false)));
        assert_eq!(shown["ahead_seconds"], -7200.0);
        assert_eq!(s.state_of("32323").await, "accepting");
        s.advance(Duration::from_secs(1)).await;
        assert_eq!(s.state_of("32323").await, "accepted");
        let told = s.get("/_sandbox/events/2").await.expect(200);
        assert_eq!(told["data"]["attributes"]["created_at"], "2019-11-25T12:53:03.741Z");
        assert_eq!(s.get("/_sandbox/clock").await.expect(200)["now"], "2019-11-25T12:53:03.741Z");
    })
    .await;
}

#[tokio::test]
async fn settings_and_keys() {
    sandbox(async |s| {
        s.patch("/_sandbox/settings", &json!({"progression": "manual", "check_delay": "7s"})).await.expect(200);
        let settings = s.get("/_sandbox/settings").await.expect(200);
        take(s, "manual").await;
        s.patch("/_sandbox/settings", &json!({"progression": "auto", "check_delay": null})).await.expect(200);
        // a key is the account's, whenever it was made
        let key =
            "insert into api_keys select sha256('younger'), account_id, user_id, 'write', created_at from api_keys
            where level = 'read'";
        s.sql(key).await;
        let restored = as_key(s, "younger", Method::POST, &format!("{PATH}/manual/restore"), &json!({})).await;
        restored.expect(204);
        assert_eq!(s.get("/_sandbox/settings").await.expect(200), settings);
        let theirs = as_key(s, "younger", Method::GET, "/_sandbox/settings", &json!({})).await;
        assert_eq!(theirs.expect(200), settings);
        let account = s.get("/_sandbox/accounts/me").await.expect(200);
        assert_eq!(account["id"], "default");
        assert_eq!(s.get("/_sandbox/accounts").await.expect(200)["accounts"], json!([account]));
    })
    .await;
}

#[tokio::test]
async fn nothing_happens_in_a_snapshot() {
    sandbox(async |s| {
        const DUE: &str = "
            update concierge_request_outputs o set due_at = '2019-01-01' from accounts a
            where a.id = o.account_id and snapshot_of is not null;
            update deliveries d set due_at = '2019-01-01' from accounts a
            where a.id = d.account_id and snapshot_of is not null and state = 'due'";
        let receiver = Receiver::answering("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n").await;
        let url = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": receiver.url()}}});
        s.patch("/api/users/me", &url).await.expect(200);
        let user = json!({"data": {"type": "users", "attributes": {}}});
        s.create("/api/users", &user).await;
        s.create_output().await;
        s.tell(Duration::ZERO).await;
        take(s, "all").await;
        // even of what is due nothing happens
        s.sql(DUE).await;
        let kept = world(s, "snapshot_name = 'all'").await;
        s.post("/_sandbox/reset", &json!({})).await.expect(204);
        let attempts = "select count(*) from delivery_attempts";
        let attempted = s.count(attempts).await;
        s.tell(Duration::from_hours(40 * 24)).await;
        s.tell(Duration::from_hours(40 * 24)).await;
        assert_same(&world(s, "snapshot_name = 'all'").await, &kept);
        assert!(s.count(attempts).await <= attempted, "nothing is sent of it");
        let metrics = s.client.get(s.url("/_sandbox/metrics")).send().await.unwrap().text().await.unwrap();
        let age = metrics.lines().find(|line| line.contains("oldest") && !line.starts_with('#')).unwrap();
        assert!(age.ends_with(" 0.0"), "{age}");
        assert_eq!(s.get("/_sandbox/accounts").await.expect(200)["accounts"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_was_to_be_told_is_told_again() {
    sandbox(async |s| {
        let mut receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        let url = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": receiver.url()}}});
        s.patch("/api/users/me", &url).await.expect(200);
        s.create_output().await;
        s.tell(Duration::ZERO).await;
        receiver.call().await;
        take(s, "told-of-one").await;
        let mut bodies = Vec::new();
        for _ in 0..2 {
            s.tell(Duration::from_secs(1)).await;
            let call = receiver.call().await;
            let body: Value = serde_json::from_slice(&call.body).unwrap();
            assert_eq!(body["data"]["id"], "2");
            assert_eq!(body["data"]["attributes"]["event_type"], "concierge_request_output_accepted");
            bodies.push(body);
            restore(s, "told-of-one").await;
        }
        assert_eq!(bodies[0], bodies[1]);
        let events = "select count(*) from events e join accounts a on a.id = e.account_id and a.ended_at is null";
        assert_eq!(s.count(events).await, 2, "the snapshot's and the account's");
    })
    .await;
}

#[tokio::test]
async fn what_is_under_way_ends_with_its_world() {
    sandbox_with(
        |config| {
            (config.check_delay, config.step_delay) = (Duration::ZERO, Duration::ZERO);
        },
        async |s| {
            take(s, "empty").await;
            let document = documented_output();
            for _ in 0..3 {
                let posts = join_all((0..60).map(|_| s.post(OUTPUTS, &document)));
                let ((), answers) = tokio::join!(restore(s, "empty"), posts);
                for answer in answers {
                    answer.expect(201);
                }
                s.tick().await;
                // what was made before is gone; what was made after is there from the first id on
                let found = s.get(&format!("{OUTPUTS}?page[size]=1000")).await.expect(200);
                let ids: BTreeSet<i64> = (found["data"].as_array().unwrap().iter())
                    .map(|output| output["id"].as_str().unwrap().parse().unwrap())
                    .collect();
                for (id, expected) in ids.iter().zip(32323..) {
                    assert_eq!(*id, expected, "{ids:?}");
                }
                restore(s, "empty").await;
                assert_eq!(s.create_output().await, "32323");
                restore(s, "empty").await;
            }
        },
    )
    .await;
}

/// A receiver of the world's events that answers none until it is opened, and what opens it.
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

#[tokio::test]
async fn what_was_about_to_be_told_is_not_told_any_more() {
    sandbox_with(
        |config| config.webhook_deliveries_per_receiver = 1,
        async |s| {
            let (mut receiver, open) = listen_closed(s).await;
            take(s, "quiet").await;
            for _ in 0..10 {
                s.create_output().await;
            }
            receiver.call().await;
            // the others wait for their turn
            restore(s, "quiet").await;
            open.send_replace(true);
            s.tell(Duration::from_secs(1)).await;
            assert_eq!(receiver.calls(), []);
            s.create_output().await;
            let told: Value = serde_json::from_slice(&receiver.call().await.body).unwrap();
            assert_eq!(told["data"]["id"], "1");
            drop(receiver);
        },
    )
    .await;
}

#[tokio::test]
async fn one_is_whole_whatever_is_under_way() {
    sandbox_with(
        |config| {
            (config.check_delay, config.step_delay) = (Duration::ZERO, Duration::ZERO);
        },
        async |s| {
            let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            let url = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": receiver.url()}}});
            s.patch("/api/users/me", &url).await.expect(200);
            let work = async {
                let document = documented_output();
                for _ in 0..5 {
                    let posts = join_all((0..30).map(|_| s.post(OUTPUTS, &document))).await;
                    for answer in posts {
                        answer.expect(201);
                    }
                    s.tick().await;
                }
                s.act("1010", "request_quote").await.expect(200);
                s.tick().await;
                s.act("1010", "accept_quote").await.expect(200);
                for _ in 0..5 {
                    s.tick().await;
                }
            };
            let taken = async {
                for number in 0..12 {
                    take(s, &format!("number-{number}")).await;
                }
            };
            tokio::join!(work, taken);
            assert_eq!(s.attributes_of("1010").await["state"], "finished");
            // that each of them is in order is checked at the end; and one goes on to the same end
            restore(s, "number-11").await;
            s.tick().await;
            drop(receiver);
        },
    )
    .await;
}

#[tokio::test]
async fn one_is_taken_before_or_after_a_walk_through_time() {
    sandbox(async |s| {
        let (mut receiver, open) = listen_closed(s).await;
        s.create_output().await;
        let seconds = json!({"by": "PT5S"});
        let walk = clock(s, "advance", &seconds);
        let taken = async {
            // the walk waits for what it told of, and the clock stands still meanwhile
            receiver.call().await;
            let mut taken = pin!(take(s, "one"));
            let time_enough = async {
                for _ in 0..50 {
                    assert_eq!(s.get("/_sandbox/clock").await.expect(200)["frozen"], false);
                }
            };
            tokio::select! {
                taken = &mut taken => panic!("it doesn't wait for the walk: {taken}"),
                () = time_enough => {}
            }
            open.send_replace(true);
            taken.await
        };
        let (walked, taken) = tokio::join!(walk, taken);
        assert_eq!((&taken["frozen"], &taken["taken_at"]), (&json!(false), &walked["to"]));
        drop(receiver);
    })
    .await;
}

#[tokio::test]
async fn receipts_are_those_of_the_present() {
    sandbox_with(
        |config| config.step_delay = Duration::ZERO,
        async |s| {
            s.create_output().await;
            s.advance(Duration::from_secs(1)).await;
            s.act("1010", "request_quote").await.expect(200);
            s.tick().await;
            s.act("1010", "accept_quote").await.expect(200);
            s.tick().await;
            let receipt = s.attributes_of("1010").await["receipt_url"].as_str().unwrap().to_owned();
            let status = async || send(s.client.get(&receipt).header("Accept", "application/json")).await.status;
            assert_eq!(status().await, 200);
            take(s, "finished").await;
            assert_eq!(status().await, 200);
            s.post("/_sandbox/reset", &json!({})).await.expect(204);
            assert_eq!(status().await, 404);
            restore(s, "finished").await;
            assert_eq!(status().await, 200);
        },
    )
    .await;
}

#[tokio::test]
async fn they_outlive_resets_and_go_with_their_account() {
    sandbox(async |s| {
        let keys = json!({"key": "mine", "read_only_key": "mine-read"});
        s.post("/_sandbox/accounts", &keys).await.expect(201);
        let mine = async |method, path: &str, body: Value| as_key(s, "mine", method, path, &body).await;
        mine(Method::POST, OUTPUTS, documented_output()).await.expect(201);
        mine(Method::POST, PATH, json!({"name": "one"})).await.expect(201);
        mine(Method::POST, PATH, json!({"name": "two"})).await.expect(201);
        take(s, "one").await;
        mine(Method::POST, "/_sandbox/reset", json!({})).await.expect(204);
        mine(Method::POST, &format!("{PATH}/one/restore"), json!({})).await.expect(204);
        mine(Method::GET, &format!("{OUTPUTS}/32323"), json!({})).await.expect(200);
        mine(Method::POST, &format!("{PATH}/two/restore"), json!({})).await.expect(204);
        // the other account's of that name is another one
        restore(s, "one").await;
        s.get(&format!("{OUTPUTS}/32323")).await.assert_error(404, "resource_not_found", "");
        mine(Method::DELETE, "/_sandbox/accounts/me", json!({})).await.expect(204);
        let traces = "select count(*) from accounts where snapshot_name = 'two' or created_at <> (
                select created_at from accounts where name = 'default'
            ) and id > 0";
        assert_eq!(s.count(traces).await, 0);
        assert_eq!(names(s).await, ["one"]);
        // a new account with the same keys has none
        s.post("/_sandbox/accounts", &keys).await.expect(201);
        assert_eq!(mine(Method::GET, PATH, json!({})).await.expect(200), json!({"snapshots": []}));
    })
    .await;
}

#[tokio::test]
async fn the_same_name_again_and_deleting() {
    sandbox(async |s| {
        take(s, "one").await;
        take(s, "two").await;
        s.create_output().await;
        let again = take(s, "one").await;
        assert_eq!(again["counts"]["concierge_request_outputs"], 1);
        assert_eq!(names(s).await, ["two", "one"]);
        restore(s, "one").await;
        assert_eq!(s.create_output().await, "32324");
        s.delete(&format!("{PATH}/one")).await.expect(204);
        assert_eq!(names(s).await, ["two"]);
        let gone = format!("{PATH}/one/restore");
        s.post(&gone, &json!({})).await.assert_error(404, "resource_not_found", "");
        s.delete(&format!("{PATH}/one")).await.assert_error(404, "resource_not_found", "");
        assert_eq!(s.state_of("32324").await, "accepting", "what isn't there changes nothing");
        // there are at most so many
        for number in 1..20 {
            take(s, &format!("number-{number}")).await;
        }
        let answer = s.post(PATH, &json!({"name": "one-more"})).await;
        answer.assert_error(409, "too_many_snapshots", "");
        assert!(answer.body["errors"][0]["detail"].as_str().unwrap().contains("20 snapshots"), "{answer:?}");
        take(s, "number-19").await;
        s.delete(&format!("{PATH}/two")).await.expect(204);
        take(s, "one-more").await;
    })
    .await;
}

#[tokio::test]
async fn bad_input_is_refused() {
    sandbox(async |s| {
        s.second_account("another").await;
        as_key(s, "another", Method::POST, PATH, &json!({"name": "theirs"})).await.expect(201);
        let long = "x".repeat(101);
        for (body, status, code, pointer) in [
            (json!({}), 422, "attribute_missing", ""),
            (json!({"name": null}), 422, "attribute_missing", "/name"),
            (json!({"name": ""}), 422, "attribute_invalid", "/name"),
            (json!({"name": 5}), 422, "attribute_invalid", "/name"),
            (json!({"name": long}), 422, "attribute_invalid", "/name"),
            (json!({"name": "a/b"}), 422, "attribute_invalid", "/name"),
            (json!({"name": ".."}), 422, "attribute_invalid", "/name"),
            (json!({"name": "año"}), 422, "attribute_invalid", "/name"),
            (json!({"name": "a", "x": 1}), 422, "attribute_unknown", "/x"),
            (json!(["a"]), 400, "document_invalid", ""),
        ] {
            s.post(PATH, &body).await.assert_error(status, code, pointer);
        }
        s.post_text(PATH, "{").await.assert_error(400, "json_invalid", "");
        s.post_text(PATH, "x".repeat(2 << 20)).await.assert_error(413, "body_too_large", "");
        s.post(&format!("{PATH}?x=1"), &json!({"name": "a"})).await.assert_error(400, "parameter_unknown", "x");
        for name in ["theirs", "nope", "a%2Fb", "%ff", &long] {
            let path = format!("{PATH}/{name}/restore");
            s.post(&path, &json!({})).await.assert_error(404, "resource_not_found", "");
            s.delete(&format!("{PATH}/{name}")).await.assert_error(404, "resource_not_found", "");
        }
        s.post(&format!("{PATH}/x/restore"), &json!({"x": 1})).await.assert_error(422, "attribute_unknown", "/x");
        let read =
            async |method, path: &str| as_key(s, "your_read_only_api_key", method, path, &json!({"name": "x"})).await;
        read(Method::GET, PATH).await.expect(200);
        for (method, path) in [
            (Method::POST, PATH.to_owned()),
            (Method::POST, format!("{PATH}/x/restore")),
            (Method::DELETE, format!("{PATH}/x")),
        ] {
            read(method.clone(), &path).await.assert_error(401, "not_enough_permissions", "Authorization");
            let answer = as_key(s, "nope", method, &path, &json!({})).await;
            answer.assert_error(401, "invalid_api_key", "Authorization");
        }
        assert_eq!(s.count("select count(*) from accounts where snapshot_of is not null").await, 1);
        assert_eq!(s.count("select count(*) from accounts where ended_at is not null").await, 0);
    })
    .await;
}

#[tokio::test]
async fn one_that_a_server_took_another_one_restores() {
    database(async |database| {
        let servers = [database.program(&[]).await, database.program(&[]).await];
        let client = client();
        let call = async |server: &Program, path: &str, body: Value| {
            send(server.request(&client, Method::POST, path).json(&body)).await
        };
        // each has leased ids of its own
        assert_eq!(servers[0].create_output().await, "32323");
        assert_eq!(servers[1].create_output().await, "32339");
        call(&servers[0], PATH, json!({"name": "shared"})).await.expect(201);
        servers[0].create_output().await;
        servers[1].create_output().await;
        call(&servers[1], &format!("{PATH}/shared/restore"), json!({})).await.expect(204);
        let mut ids = Vec::new();
        for server in [&servers[0], &servers[1], &servers[0]] {
            ids.push(server.create_output().await);
        }
        assert_eq!(ids, ["32340", "32356", "32341"], "behind the highest there was, and none twice");
        let made = "select count(*) from concierge_request_outputs o join accounts a on a.id = o.account_id
            where a.name = 'default'";
        assert_eq!(count(database, made).await, 5);
    })
    .await;
}
