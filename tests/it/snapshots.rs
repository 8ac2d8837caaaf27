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

use crate::support::{Answer, Program, Receiver, Sandbox, client, count, documented_output, fresh_database, send};

const PATH: &str = "/_sandbox/snapshots";
const OUTPUTS: &str = "/api/concierge_request_outputs";
/// Tables with an account that are no part of its world.
const NOT_COPIED: [&str; 2] = ["api_keys", "faults"];

async fn as_key(sandbox: &Sandbox, key: &str, method: Method, path: &str, body: &Value) -> Answer {
    let request = sandbox.client.request(method, sandbox.url(path)).header("Authorization", key);
    send(request.header("Content-Type", "application/json").body(body.to_string())).await
}

async fn take(sandbox: &Sandbox, name: &str) -> Value {
    sandbox.post(PATH, &json!({ "name": name })).await.expect(201)
}

async fn restore(sandbox: &Sandbox, name: &str) {
    sandbox.post(&format!("{PATH}/{name}/restore"), &json!({})).await.expect(204);
}

async fn clock(sandbox: &Sandbox, action: &str, body: &Value) -> Value {
    sandbox.post(&format!("/_sandbox/clock/{action}"), body).await.expect(200)
}

#[track_caller]
fn assert_same(left: &BTreeMap<&str, Vec<String>>, right: &BTreeMap<&str, Vec<String>>) {
    for (table, rows) in left {
        assert_eq!(*rows, right[table], "{table}");
    }
}

/// The names of the snapshots there are.
async fn names(sandbox: &Sandbox) -> Vec<String> {
    let listed = sandbox.get(PATH).await.expect(200);
    listed["snapshots"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

/// Every row of an account, as text and in one order, table by table. Ids that servers have leased are no part of it.
async fn world(sandbox: &Sandbox, which: &str) -> BTreeMap<&'static str, Vec<String>> {
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
        world.insert(table, rows.fetch_all(&sandbox.database).await.unwrap());
    }
    world
}

const PRESENT: &str = "name = 'default'";

#[tokio::test]
async fn an_account_goes_back_to_where_it_was() {
    let sandbox = Sandbox::start().await;
    assert_eq!(sandbox.create_output().await, "32323");
    sandbox.advance(Duration::from_secs(1)).await;
    let taken = take(&sandbox, "before-quote").await;
    let counts = json!({"users": 2, "withdrawal_instructions": 1, "concierge_requests": 1,
        "concierge_request_outputs": 1, "events": 2});
    let shown =
        json!({"name": "before-quote", "taken_at": "2019-11-25T12:53:03.741Z", "frozen": false, "counts": counts});
    assert_eq!(taken, shown);
    assert_eq!(sandbox.get(PATH).await.expect(200), json!({ "snapshots": [shown] }));
    for _ in 0..2 {
        assert_eq!(sandbox.create_output().await, "32324", "ids go on where they were");
        let user = json!({"data": {"type": "users", "attributes": {"email": "ana@example.com"}}});
        assert_eq!(sandbox.create("/api/users", &user).await, "50506");
        sandbox.act("1010", "request_quote").await.expect(200);
        sandbox.advance(Duration::from_mins(1)).await;
        assert_eq!(sandbox.attributes_of("1010").await["state"], "quoted");
        restore(&sandbox, "before-quote").await;
        assert_eq!(sandbox.attributes_of("1010").await["state"], "draft");
        assert_eq!(sandbox.state_of("32323").await, "accepted");
        sandbox.get(&format!("{OUTPUTS}/32324")).await.assert_error(404, "resource_not_found", "");
        sandbox.get("/api/users/50506").await.assert_error(404, "resource_not_found", "");
        let clock = sandbox.get("/_sandbox/clock").await.expect(200);
        assert_eq!(clock["now"], "2019-11-25T12:53:03.741Z");
    }
    // both keys lead there
    let read =
        as_key(&sandbox, "your_read_only_api_key", Method::GET, "/api/concierge_requests/1010", &json!({})).await;
    assert_eq!(read.expect(200)["data"]["attributes"]["state"], "draft");
    sandbox.stop().await;
}

#[tokio::test]
async fn every_table_and_every_column_is_copied() {
    let sandbox = Sandbox::start().await;
    let sql = "select table_name::text from information_schema.columns
        where table_schema = 'public' and column_name = 'account_id'";
    let tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(&sandbox.database).await.unwrap();
    let copied: BTreeSet<&str> = TABLES.into_iter().collect();
    let there: BTreeSet<&str> = tables.iter().map(String::as_str).filter(|table| !NOT_COPIED.contains(table)).collect();
    assert_eq!(there, copied, "a table that is new belongs into TABLES, or isn't copied");
    busy(&sandbox).await;
    for table in TABLES.into_iter().chain(["accounts"]) {
        let sql = format!("alter table {table} add column new text; update {table} set new = 'kept'");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&sandbox.database).await.unwrap();
    }
    let before = world(&sandbox, PRESENT).await;
    for (table, rows) in &before {
        assert!(rows.iter().any(|row| row.contains("kept")), "there is nothing in {table} that could be lost");
    }
    let lease = "update deliveries set leased_by = gen_random_uuid(), leased_until = '2100-01-01' where state = 'due'";
    assert_ne!(sqlx::query(lease).execute(&sandbox.database).await.unwrap().rows_affected(), 0);
    take(&sandbox, "all").await;
    assert_same(&world(&sandbox, "snapshot_name = 'all'").await, &before);
    assert_same(&world(&sandbox, PRESENT).await, &before); // taking one changes nothing
    sandbox.post("/_sandbox/reset", &json!({})).await.expect(204);
    assert_ne!(world(&sandbox, PRESENT).await, before);
    restore(&sandbox, "all").await;
    assert_same(&world(&sandbox, PRESENT).await, &before);
    let leased = "select count(*) from deliveries d join accounts a on a.id = d.account_id and a.ended_at is null
        where leased_by is not null or leased_until is not null";
    assert_eq!(sandbox.count(leased).await, 0, "leases are no part of it");
    sandbox.stop().await;
}

/// Has something happen to everything there is.
async fn busy(sandbox: &Sandbox) {
    let receiver = Receiver::answering("HTTP/1.1 503 X\r\nContent-Length: 4\r\n\r\nbusy").await;
    let settings = json!({"check_delay": "2s", "approval_delay": "3s", "quote_delay": "4s", "step_delay": "5s",
        "approval": "auto", "progression": "auto"});
    sandbox.patch("/_sandbox/settings", &settings).await.expect(200);
    let user = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": receiver.url()}}});
    sandbox.patch("/api/users/me", &user).await.expect(200);
    let user = json!({"data": {"type": "users", "attributes": {"email": "ana@example.com"}}});
    sandbox.create("/api/users", &user).await;
    let instruction = |label: &str| {
        json!({"data": {"type": "withdrawal_instructions", "attributes": {"label": label, "payment_method_type": "x",
            "body": {"bank_account_number": 17}},
            "relationships": {"user": {"data": {"type": "users", "id": "20202"}}}}})
    };
    let deleted = sandbox.create("/api/withdrawal_instructions", &instruction("mine")).await;
    sandbox.delete(&format!("/api/withdrawal_instructions/{deleted}")).await.expect(204);
    let failing = sandbox.create("/api/withdrawal_instructions", &instruction("sandbox:failed|settled")).await;
    for instruction in [2121.to_string(), failing] {
        let mut output = documented_output();
        output["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(instruction);
        let request = sandbox.request(Method::POST, OUTPUTS).header("Content-Type", "application/json");
        let outcome = if instruction == "2121" { "rejected" } else { "failed|settled" };
        send(request.header("Sandbox-Outcome", outcome).body(output.to_string())).await.expect(201);
    }
    let estimate = json!({"data": {"type": "concierge_estimates", "attributes": {"port_code": "ar_ars",
        "outputs": [{"port_code": "cl_clp", "amount": 1000}, {"port_code": "cl_clp", "amount": 1000}]}}});
    let estimate = sandbox.post("/api/concierge_estimates", &estimate).await.expect(201);
    let hint = json!({"data": {"attributes": {"hint_token": estimate["data"]["attributes"]["hint_token"]}}});
    let request = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars",
        "external_id": "payroll", "payment_authorization_code": "17"}}});
    let cancelled = sandbox.create("/api/concierge_requests", &request).await;
    sandbox.act(&cancelled, "cancel").await.expect(200);
    sandbox.advance(Duration::from_secs(2)).await;
    sandbox.post("/api/concierge_requests/1010/request_quote", &hint).await.expect(200);
    sandbox.tick().await;
    sandbox.act("1010", "accept_quote").await.expect(200);
    sandbox.tell(Duration::from_secs(5)).await;
    sandbox.tell(Duration::from_secs(11)).await;
    assert_eq!(sandbox.state_of("32324").await, "failed");
    sandbox.tell(Duration::from_secs(30)).await;
    assert_eq!(sandbox.attributes_of("1010").await["state"], "finished");
    clock(sandbox, "freeze", &json!({})).await;
}

#[tokio::test]
async fn the_clock_goes_on_from_where_it_was() {
    let sandbox = Sandbox::start().await;
    sandbox.create_output().await;
    take(&sandbox, "running").await;
    clock(&sandbox, "set", &json!({"to": "2019-11-25T12:53:03Z", "frozen": true})).await;
    assert_eq!(take(&sandbox, "frozen").await["frozen"], true);
    clock(&sandbox, "advance", &json!({"by": "PT48H"})).await;
    sandbox.advance(Duration::from_hours(1)).await;
    assert_eq!(sandbox.state_of("32323").await, "accepted");

    restore(&sandbox, "frozen").await;
    sandbox.advance(Duration::from_hours(1)).await;
    let shown = sandbox.get("/_sandbox/clock").await.expect(200);
    assert_eq!((&shown["now"], &shown["frozen"]), (&json!("2019-11-25T12:53:03.000Z"), &json!(true)));
    assert_eq!(shown["next_due_at"], "2019-11-25T12:53:03.741Z");
    assert_eq!(sandbox.state_of("32323").await, "accepting");

    restore(&sandbox, "running").await;
    let shown = sandbox.get("/_sandbox/clock").await.expect(200);
    assert_eq!((&shown["now"], &shown["frozen"]), (&json!("2019-11-25T12:53:02.741Z"), &json!(false)));
    assert_eq!(shown["ahead_seconds"], -7200.0);
    assert_eq!(sandbox.state_of("32323").await, "accepting");
    sandbox.advance(Duration::from_secs(1)).await;
    assert_eq!(sandbox.state_of("32323").await, "accepted");
    let told = sandbox.get("/_sandbox/events/2").await.expect(200);
    assert_eq!(told["data"]["attributes"]["created_at"], "2019-11-25T12:53:03.741Z");
    assert_eq!(sandbox.get("/_sandbox/clock").await.expect(200)["now"], "2019-11-25T12:53:03.741Z");
    sandbox.stop().await;
}

#[tokio::test]
async fn settings_and_keys() {
    let sandbox = Sandbox::start().await;
    sandbox.patch("/_sandbox/settings", &json!({"progression": "manual", "check_delay": "7s"})).await.expect(200);
    let settings = sandbox.get("/_sandbox/settings").await.expect(200);
    take(&sandbox, "manual").await;
    sandbox.patch("/_sandbox/settings", &json!({"progression": "auto", "check_delay": null})).await.expect(200);
    // a key is the account's, whenever it was made
    let key = "insert into api_keys select sha256('younger'), account_id, user_id, 'write', created_at from api_keys
        where level = 'read'";
    sandbox.sql(key).await;
    let restored = as_key(&sandbox, "younger", Method::POST, &format!("{PATH}/manual/restore"), &json!({})).await;
    restored.expect(204);
    assert_eq!(sandbox.get("/_sandbox/settings").await.expect(200), settings);
    let theirs = as_key(&sandbox, "younger", Method::GET, "/_sandbox/settings", &json!({})).await;
    assert_eq!(theirs.expect(200), settings);
    let account = sandbox.get("/_sandbox/accounts/me").await.expect(200);
    assert_eq!(account["id"], "default");
    assert_eq!(sandbox.get("/_sandbox/accounts").await.expect(200)["accounts"], json!([account]));
    sandbox.stop().await;
}

#[tokio::test]
async fn nothing_happens_in_a_snapshot() {
    const DUE: &str = "
        update concierge_request_outputs o set due_at = '2019-01-01' from accounts a
        where a.id = o.account_id and snapshot_of is not null;
        update deliveries d set due_at = '2019-01-01' from accounts a
        where a.id = d.account_id and snapshot_of is not null and state = 'due'";
    let sandbox = Sandbox::start().await;
    let receiver = Receiver::answering("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n").await;
    let url = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": receiver.url()}}});
    sandbox.patch("/api/users/me", &url).await.expect(200);
    let user = json!({"data": {"type": "users", "attributes": {}}});
    sandbox.create("/api/users", &user).await;
    sandbox.create_output().await;
    sandbox.tell(Duration::ZERO).await;
    take(&sandbox, "all").await;
    // even of what is due nothing happens
    sandbox.sql(DUE).await;
    let kept = world(&sandbox, "snapshot_name = 'all'").await;
    sandbox.post("/_sandbox/reset", &json!({})).await.expect(204);
    let attempts = "select count(*) from delivery_attempts";
    let attempted = sandbox.count(attempts).await;
    sandbox.tell(Duration::from_hours(40 * 24)).await;
    sandbox.tell(Duration::from_hours(40 * 24)).await;
    assert_same(&world(&sandbox, "snapshot_name = 'all'").await, &kept);
    assert!(sandbox.count(attempts).await <= attempted, "nothing is sent of it");
    let metrics = sandbox.client.get(sandbox.url("/_sandbox/metrics")).send().await.unwrap().text().await.unwrap();
    let age = metrics.lines().find(|line| line.contains("oldest") && !line.starts_with('#')).unwrap();
    assert!(age.ends_with(" 0.0"), "{age}");
    assert_eq!(sandbox.get("/_sandbox/accounts").await.expect(200)["accounts"].as_array().unwrap().len(), 1);
    sandbox.stop().await;
}

#[tokio::test]
async fn what_was_to_be_told_is_told_again() {
    let sandbox = Sandbox::start().await;
    let mut receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let url = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": receiver.url()}}});
    sandbox.patch("/api/users/me", &url).await.expect(200);
    sandbox.create_output().await;
    sandbox.tell(Duration::ZERO).await;
    receiver.call().await;
    take(&sandbox, "told-of-one").await;
    let mut bodies = Vec::new();
    for _ in 0..2 {
        sandbox.tell(Duration::from_secs(1)).await;
        let call = receiver.call().await;
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!(body["data"]["id"], "2");
        assert_eq!(body["data"]["attributes"]["event_type"], "concierge_request_output_accepted");
        bodies.push(body);
        restore(&sandbox, "told-of-one").await;
    }
    assert_eq!(bodies[0], bodies[1]);
    let events = "select count(*) from events e join accounts a on a.id = e.account_id and a.ended_at is null";
    assert_eq!(sandbox.count(events).await, 2, "the snapshot's and the account's");
    sandbox.stop().await;
}

#[tokio::test]
async fn what_is_under_way_ends_with_its_world() {
    let sandbox = Sandbox::start_with(|config| {
        (config.check_delay, config.step_delay) = (Duration::ZERO, Duration::ZERO);
    })
    .await;
    take(&sandbox, "empty").await;
    let document = documented_output();
    for _ in 0..3 {
        let posts = join_all((0..60).map(|_| sandbox.post(OUTPUTS, &document)));
        let ((), answers) = tokio::join!(restore(&sandbox, "empty"), posts);
        for answer in answers {
            answer.expect(201);
        }
        sandbox.tick().await;
        // what was made before is gone; what was made after is there from the first id on
        let found = sandbox.get(&format!("{OUTPUTS}?page[size]=1000")).await.expect(200);
        let ids: BTreeSet<i64> = (found["data"].as_array().unwrap().iter())
            .map(|output| output["id"].as_str().unwrap().parse().unwrap())
            .collect();
        for (id, expected) in ids.iter().zip(32323..) {
            assert_eq!(*id, expected, "{ids:?}");
        }
        restore(&sandbox, "empty").await;
        assert_eq!(sandbox.create_output().await, "32323");
        restore(&sandbox, "empty").await;
    }
    sandbox.stop().await;
}

/// A receiver of the world's events that answers none until it is opened, and what opens it.
async fn listen_closed(sandbox: &Sandbox) -> (Receiver, watch::Sender<bool>) {
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
    sandbox.patch("/api/users/me", &url).await.expect(200);
    (receiver, open)
}

#[tokio::test]
async fn what_was_about_to_be_told_is_not_told_any_more() {
    let sandbox = Sandbox::start_with(|config| config.webhook_deliveries_per_receiver = 1).await;
    let (mut receiver, open) = listen_closed(&sandbox).await;
    take(&sandbox, "quiet").await;
    for _ in 0..10 {
        sandbox.create_output().await;
    }
    receiver.call().await;
    // the others wait for their turn
    restore(&sandbox, "quiet").await;
    open.send_replace(true);
    sandbox.tell(Duration::from_secs(1)).await;
    assert_eq!(receiver.calls(), []);
    sandbox.create_output().await;
    let told: Value = serde_json::from_slice(&receiver.call().await.body).unwrap();
    assert_eq!(told["data"]["id"], "1");
    drop(receiver);
    sandbox.stop().await;
}

#[tokio::test]
async fn one_is_whole_whatever_is_under_way() {
    let sandbox = Sandbox::start_with(|config| {
        (config.check_delay, config.step_delay) = (Duration::ZERO, Duration::ZERO);
    })
    .await;
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let url = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": receiver.url()}}});
    sandbox.patch("/api/users/me", &url).await.expect(200);
    let work = async {
        let document = documented_output();
        for _ in 0..5 {
            let posts = join_all((0..30).map(|_| sandbox.post(OUTPUTS, &document))).await;
            for answer in posts {
                answer.expect(201);
            }
            sandbox.tick().await;
        }
        sandbox.act("1010", "request_quote").await.expect(200);
        sandbox.tick().await;
        sandbox.act("1010", "accept_quote").await.expect(200);
        for _ in 0..5 {
            sandbox.tick().await;
        }
    };
    let taken = async {
        for number in 0..12 {
            take(&sandbox, &format!("number-{number}")).await;
        }
    };
    tokio::join!(work, taken);
    assert_eq!(sandbox.attributes_of("1010").await["state"], "finished");
    // that each of them is in order is checked at the end; and one goes on to the same end
    restore(&sandbox, "number-11").await;
    sandbox.tick().await;
    drop(receiver);
    sandbox.stop().await;
}

#[tokio::test]
async fn one_is_taken_before_or_after_a_walk_through_time() {
    let sandbox = Sandbox::start().await;
    let (mut receiver, open) = listen_closed(&sandbox).await;
    sandbox.create_output().await;
    let seconds = json!({"by": "PT5S"});
    let walk = clock(&sandbox, "advance", &seconds);
    let taken = async {
        // the walk waits for what it told of, and the clock stands still meanwhile
        receiver.call().await;
        let mut taken = pin!(take(&sandbox, "one"));
        let time_enough = async {
            for _ in 0..50 {
                assert_eq!(sandbox.get("/_sandbox/clock").await.expect(200)["frozen"], false);
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
    sandbox.stop().await;
}

#[tokio::test]
async fn receipts_are_those_of_the_present() {
    let sandbox = Sandbox::start_with(|config| config.step_delay = Duration::ZERO).await;
    sandbox.create_output().await;
    sandbox.advance(Duration::from_secs(1)).await;
    sandbox.act("1010", "request_quote").await.expect(200);
    sandbox.tick().await;
    sandbox.act("1010", "accept_quote").await.expect(200);
    sandbox.tick().await;
    let receipt = sandbox.attributes_of("1010").await["receipt_url"].as_str().unwrap().to_owned();
    let status = async || send(sandbox.client.get(&receipt).header("Accept", "application/json")).await.status;
    assert_eq!(status().await, 200);
    take(&sandbox, "finished").await;
    assert_eq!(status().await, 200);
    sandbox.post("/_sandbox/reset", &json!({})).await.expect(204);
    assert_eq!(status().await, 404);
    restore(&sandbox, "finished").await;
    assert_eq!(status().await, 200);
    sandbox.stop().await;
}

#[tokio::test]
async fn they_outlive_resets_and_go_with_their_account() {
    let sandbox = Sandbox::start().await;
    let keys = json!({"key": "mine", "read_only_key": "mine-read"});
    sandbox.post("/_sandbox/accounts", &keys).await.expect(201);
    let mine = async |method, path: &str, body: Value| as_key(&sandbox, "mine", method, path, &body).await;
    mine(Method::POST, OUTPUTS, documented_output()).await.expect(201);
    mine(Method::POST, PATH, json!({"name": "one"})).await.expect(201);
    mine(Method::POST, PATH, json!({"name": "two"})).await.expect(201);
    take(&sandbox, "one").await;
    mine(Method::POST, "/_sandbox/reset", json!({})).await.expect(204);
    mine(Method::POST, &format!("{PATH}/one/restore"), json!({})).await.expect(204);
    mine(Method::GET, &format!("{OUTPUTS}/32323"), json!({})).await.expect(200);
    mine(Method::POST, &format!("{PATH}/two/restore"), json!({})).await.expect(204);
    // the other account's of that name is another one
    restore(&sandbox, "one").await;
    sandbox.get(&format!("{OUTPUTS}/32323")).await.assert_error(404, "resource_not_found", "");
    mine(Method::DELETE, "/_sandbox/accounts/me", json!({})).await.expect(204);
    let traces = "select count(*) from accounts where snapshot_name = 'two' or created_at <> (
            select created_at from accounts where name = 'default'
        ) and id > 0";
    assert_eq!(sandbox.count(traces).await, 0);
    assert_eq!(names(&sandbox).await, ["one"]);
    // a new account with the same keys has none
    sandbox.post("/_sandbox/accounts", &keys).await.expect(201);
    assert_eq!(mine(Method::GET, PATH, json!({})).await.expect(200), json!({"snapshots": []}));
    sandbox.stop().await;
}

#[tokio::test]
async fn the_same_name_again_and_deleting() {
    let sandbox = Sandbox::start().await;
    take(&sandbox, "one").await;
    take(&sandbox, "two").await;
    sandbox.create_output().await;
    let again = take(&sandbox, "one").await;
    assert_eq!(again["counts"]["concierge_request_outputs"], 1);
    assert_eq!(names(&sandbox).await, ["two", "one"]);
    restore(&sandbox, "one").await;
    assert_eq!(sandbox.create_output().await, "32324");
    sandbox.delete(&format!("{PATH}/one")).await.expect(204);
    assert_eq!(names(&sandbox).await, ["two"]);
    let gone = format!("{PATH}/one/restore");
    sandbox.post(&gone, &json!({})).await.assert_error(404, "resource_not_found", "");
    sandbox.delete(&format!("{PATH}/one")).await.assert_error(404, "resource_not_found", "");
    assert_eq!(sandbox.state_of("32324").await, "accepting", "what isn't there changes nothing");
    // there are at most so many
    for number in 1..20 {
        take(&sandbox, &format!("number-{number}")).await;
    }
    let answer = sandbox.post(PATH, &json!({"name": "one-more"})).await;
    answer.assert_error(409, "too_many_snapshots", "");
    assert!(answer.body["errors"][0]["detail"].as_str().unwrap().contains("20 snapshots"), "{answer:?}");
    take(&sandbox, "number-19").await;
    sandbox.delete(&format!("{PATH}/two")).await.expect(204);
    take(&sandbox, "one-more").await;
    sandbox.stop().await;
}

#[tokio::test]
async fn bad_input_is_refused() {
    let sandbox = Sandbox::start().await;
    sandbox.second_account("another").await;
    as_key(&sandbox, "another", Method::POST, PATH, &json!({"name": "theirs"})).await.expect(201);
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
        sandbox.post(PATH, &body).await.assert_error(status, code, pointer);
    }
    sandbox.post_text(PATH, "{").await.assert_error(400, "json_invalid", "");
    sandbox.post_text(PATH, "x".repeat(2 << 20)).await.assert_error(413, "body_too_large", "");
    sandbox.post(&format!("{PATH}?x=1"), &json!({"name": "a"})).await.assert_error(400, "parameter_unknown", "x");
    for name in ["theirs", "nope", "a%2Fb", "%ff", &long] {
        let path = format!("{PATH}/{name}/restore");
        sandbox.post(&path, &json!({})).await.assert_error(404, "resource_not_found", "");
        sandbox.delete(&format!("{PATH}/{name}")).await.assert_error(404, "resource_not_found", "");
    }
    sandbox.post(&format!("{PATH}/x/restore"), &json!({"x": 1})).await.assert_error(422, "attribute_unknown", "/x");
    let read = async |method, path: &str| {
        as_key(&sandbox, "your_read_only_api_key", method, path, &json!({"name": "x"})).await
    };
    read(Method::GET, PATH).await.expect(200);
    for (method, path) in [
        (Method::POST, PATH.to_owned()),
        (Method::POST, format!("{PATH}/x/restore")),
        (Method::DELETE, format!("{PATH}/x")),
    ] {
        read(method.clone(), &path).await.assert_error(401, "not_enough_permissions", "Authorization");
        let answer = as_key(&sandbox, "nope", method, &path, &json!({})).await;
        answer.assert_error(401, "invalid_api_key", "Authorization");
    }
    assert_eq!(sandbox.count("select count(*) from accounts where snapshot_of is not null").await, 1);
    assert_eq!(sandbox.count("select count(*) from accounts where ended_at is not null").await, 0);
    sandbox.stop().await;
}

#[tokio::test]
async fn one_that_a_server_took_another_one_restores() {
    let database = fresh_database().await;
    let servers = [Program::serve(Some(&database), &[]).await, Program::serve(Some(&database), &[]).await];
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
    assert_eq!(count(&database, made).await, 5);
    for server in servers {
        server.stop().await;
    }
}
