//! Seeds: resources with wanted ids, all of a document or nothing of it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::support::{Account, Program, Receiver, account, client, count, database, empty_database, sandbox, send};

const PATH: &str = "/_sandbox/seed";
const OUTPUTS: &str = "/api/concierge_request_outputs";

/// What refers to one of a type.
fn to(type_name: &str, id: impl Into<Value>) -> Value {
    json!({"data": {"type": type_name, "id": id.into()}})
}

fn user(id: impl Into<Value>, attributes: impl Into<Value>) -> Value {
    json!({"type": "users", "id": id.into(), "attributes": attributes.into()})
}

fn instruction(id: impl Into<Value>, user: i64) -> Value {
    json!({"type": "withdrawal_instructions", "id": id.into(), "attributes": {"label": "savings", "body": {"a": 1.50}},
        "relationships": {"user": to("users", user)}})
}

fn request(id: impl Into<Value>) -> Value {
    json!({"type": "concierge_requests", "id": id.into(), "attributes": {"port_code": "ar_ars"}})
}

fn output(id: impl Into<Value>, request: i64, user: i64, instruction: i64, state: &str) -> Value {
    json!({"type": "concierge_request_outputs", "id": id.into(),
        "attributes": {"port_code": "cl_clp", "amount": 1000, "state": state},
        "relationships": {"request": to("concierge_requests", request), "user": to("users", user),
            "withdrawal_instruction": to("withdrawal_instructions", instruction.to_string())}})
}

fn wallet(currency: &str, user: i64, balance: impl Into<Value>) -> Value {
    json!({"type": "cash_wallets", "id": currency, "attributes": {"balance": balance.into()},
        "relationships": {"user": to("users", user)}})
}

/// A payroll: what refers to something comes before it, too.
fn payroll() -> Value {
    json!({"data": [
        output(40001, 7001, 100, 9001, "accepted"),
        output("40002", 7001, 101, 9002, "rejected"),
        output(40003, 7001, 101, 9002, "accepting"),
        output(40004, 1010, 20202, 2121, "accepting"),
        instruction(9001, 100),
        instruction(9002, 101),
        request(7001),
        user(100, json!({"email": "ana@example.com", "name": "Ana", "compliance_state": "enabled", "otp_enabled": true})),
        user("101", json!({"compliance_state": "new"})),
        wallet("ars", 50505, "200.5"),
        wallet("BRL", 100, 0),
    ]})
}

async fn seed(account: &Account, document: &Value) -> Value {
    account.post(PATH, document).await.expect(201)
}

/// Seeds what is wrong, and gives the code and the pointer of each fault, after checking that nothing of it is there.
async fn faults(account: &Account, data: Value) -> Vec<(String, String)> {
    const ROWS: &str = "select (select count(*) from users) + (select count(*) from withdrawal_instructions)
        + (select count(*) from concierge_requests) + (select count(*) from concierge_request_outputs)
        + (select count(*) from cash_wallets) + (select sum(next_id) from id_counters where type <> 'events')::bigint";
    let before = account.count(ROWS).await;
    let answer = account.post(PATH, &json!({ "data": data })).await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
    assert_eq!(account.count(ROWS).await, before);
    answer.errors().into_iter().map(|(_, code, pointer)| (code, pointer)).collect()
}

fn fault(code: &str, pointer: &str) -> (String, String) {
    (code.to_owned(), pointer.to_owned())
}

#[tokio::test]
async fn what_is_seeded_is_there_and_goes_on() {
    account(async |s| {
        let seeded = seed(s, &payroll()).await;
        let counts = json!({"users": 2, "withdrawal_instructions": 2, "concierge_requests": 1,
            "concierge_request_outputs": 4, "cash_wallets": 2});
        assert_eq!(seeded, json!({ "seeded": counts }));
        let ana = s.get("/api/users/100").await.expect(200);
        let attributes = json!({"name": "Ana", "email": "ana@example.com", "kyc_accepted": true, "otp_enabled": true,
            "do_not_email": false, "trezor_login_enabled": false, "compliance_state": "enabled", "webhook_url": null});
        assert_eq!(ana["data"]["attributes"], attributes);
        let shown = s.get("/api/withdrawal_instructions/9001").await;
        assert!(shown.text.contains("\"body\":{\"a\":1.5"), "{shown:?}");
        let shown = s.get(&format!("{OUTPUTS}/40002")).await.expect(200);
        assert_eq!(shown["data"]["attributes"]["rejection_reason"], "the preliminary checks failed");
        assert_eq!(shown["data"]["attributes"]["state"], "rejected");
        let shown = s.attributes_of("7001").await;
        let counted = ["state", "outputs_count", "outputs_accepted", "funds_available"].map(|name| shown[name].clone());
        assert_eq!(counted, [json!("draft"), json!(4 - 1), json!(1), json!(200.5)]);
        // nothing was told of it
        assert_eq!(s.get("/_sandbox/events").await.expect(200)["meta"]["total"], 0);
        // new ids come behind
        let new_user = json!({"data": {"type": "users", "attributes": {}}});
        assert_eq!(s.create("/api/users", &new_user).await, "50506");
        assert_eq!(s.create_output().await, "40005");
        let new = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}});
        assert_eq!(s.create("/api/concierge_requests", &new).await, "7002");
        // it goes on as if it had just been made
        s.advance(Duration::from_secs(1)).await;
        assert_eq!(s.get("/api/users/101").await.expect(200)["data"]["attributes"]["compliance_state"], "enabled");
        s.advance(Duration::from_secs(1)).await;
        for (id, state) in [("40001", "accepted"), ("40002", "rejected"), ("40003", "accepted"), ("40004", "accepted")]
        {
            assert_eq!(s.state_of(id).await, state, "{id}");
        }
        s.act("7001", "request_quote").await.expect(200);
        s.tick().await;
        s.act("7001", "accept_quote").await.expect(200);
        for _ in 0..4 {
            s.advance(Duration::from_secs(1)).await;
        }
        assert_eq!(s.attributes_of("7001").await["state"], "quote_accepted", "200.5 is too little");
        seed(s, &json!({"data": [wallet("ars", 50505, 1000)]})).await;
        for _ in 0..5 {
            s.advance(Duration::from_secs(1)).await;
        }
        assert_eq!(s.attributes_of("7001").await["state"], "finished");
        // the timeline knows where it came from
        let timeline = s.get("/_sandbox/timeline/concierge_request_outputs/40001").await.expect(200);
        let first = &timeline["transitions"][0];
        assert_eq!(
            (&first["from"], &first["to"], &first["trigger"]),
            (&json!("accepted"), &json!("working"), &json!("work"))
        );
        let timeline = s.get("/_sandbox/timeline/users/101").await.expect(200);
        let first = &timeline["transitions"][0];
        assert_eq!(
            (&first["from"], &first["to"], &first["trigger"]),
            (&json!("new"), &json!("enabled"), &json!("enable"))
        );
    })
    .await;
}

#[tokio::test]
async fn in_an_account_that_stands_still_it_happens_at_once() {
    account(async |s| {
        s.post("/_sandbox/clock/freeze", &json!({})).await.expect(200);
        s.patch("/_sandbox/settings", &json!({"check_delay": "0s", "approval": "manual"})).await.expect(200);
        let data = json!({"data": [output(40001, 1010, 20202, 2121, "accepting"), user(1, json!({}))]});
        seed(s, &data).await;
        assert_eq!(s.state_of("40001").await, "accepted");
        assert_eq!(s.count("select count(*) from users where id = 1 and due_at is null").await, 1);
        s.patch("/_sandbox/settings", &json!({"progression": "manual"})).await.expect(200);
        let data =
            json!({"data": [output(40002, 7001, 20202, 2121, "accepting"), request(7001), wallet("usd", 20202, 5)]});
        seed(s, &data).await;
        let timers = "select count(due_at) from (
                select due_at from concierge_request_outputs where id = 40002
                union all select due_at from concierge_requests where id = 7001
                union all select due_at from cash_wallets where user_id = 20202
            ) timers";
        assert_eq!(s.count(timers).await, 0);
    })
    .await;
}

#[tokio::test]
async fn whoever_acts_owns_what_names_nobody() {
    sandbox(async |s| {
        let mut mine = instruction(9001, 1);
        mine.as_object_mut().unwrap().remove("relationships");
        let request_of_mine = json!({"data": [mine, request(7001)]}).to_string();
        let seeding = s.client.post(s.url(PATH)).header("Authorization", "your_api_key; user=20202");
        send(seeding.header("Content-Type", "application/json").body(request_of_mine)).await.expect(201);
        for path in ["withdrawal_instructions/9001", "concierge_requests/7001"] {
            let shown = s.get(&format!("/api/{path}")).await.expect(200);
            assert_eq!(shown["data"]["relationships"]["user"]["data"]["id"], "20202", "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn events_of_what_was_seeded_go_to_the_master_user() {
    account(async |s| {
        let mut receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        let data = json!({"data": [user(7, json!({"compliance_state": "enabled", "webhook_url": "http://127.0.0.1:1/"})),
            output(40001, 1010, 20202, 2121, "accepting")]});
        seed(s, &data).await;
        let url = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": receiver.url()}}});
        s.patch("/api/users/me", &url).await.expect(200);
        s.tell(Duration::from_secs(1)).await;
        let told: Value = serde_json::from_slice(&receiver.call().await.body).unwrap();
        assert_eq!(told["data"]["attributes"]["event_type"], "concierge_request_output_accepted");
        drop(receiver);
    })
    .await;
}

#[tokio::test]
async fn ids_that_are_taken_or_may_be_are_refused() {
    account(async |s| {
        s.create_output().await;
        let taken = json!([
            user(50505, json!({})),
            output(32323, 1010, 20202, 2121, "accepting"),
            output(32330, 1010, 20202, 2121, "accepting"),
            user(1, json!({})),
            user("1", json!({})),
            request(1010),
        ]);
        let ids = [0, 1, 2, 4, 5].map(|place| fault("id_taken", &format!("/data/{place}/id")));
        assert_eq!(faults(s, taken.clone()).await, ids);
        let answer = s.post(PATH, &json!({ "data": taken })).await;
        let details = answer.body["errors"].as_array().unwrap().iter().map(|error| error["detail"].as_str().unwrap());
        let details: Vec<&str> = details.collect();
        assert!(details[2].contains("32323 to 32338"), "{details:?}");
        assert!(details[2].contains("from 32339 on, or below 32323"), "{details:?}");
        assert!(details[3].contains("/data/3"), "{details:?}");
        // what is said to be free is
        let free = [32322, 32339, 50000].map(|id| output(id, 1010, 20202, 2121, "accepting"));
        seed(s, &json!({ "data": free })).await;
        for expected in (32324..=32338).chain(50001..50003) {
            assert_eq!(s.create_output().await, expected.to_string());
        }
    })
    .await;
}

#[tokio::test]
async fn other_servers_ids_are_never_given_twice() {
    database(async |database| {
        let servers = [database.program(&[]).await, database.program(&[]).await];
        let client = client();
        let seed = async |server: &Program, id: i64| {
            let data = json!({"data": [output(id, 1010, 20202, 2121, "accepting")]});
            send(server.request(&client, Method::POST, PATH).json(&data)).await
        };
        assert_eq!(servers[0].create_output().await, "32323");
        assert_eq!(servers[1].create_output().await, "32339");
        seed(&servers[0], 32340).await.assert_error(409, "id_taken", "/data/0/id");
        seed(&servers[1], 32324).await.assert_error(409, "id_taken", "/data/0/id");
        seed(&servers[0], 32355).await.expect(201);
        seed(&servers[1], 32356).await.expect(201);
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(servers[0].create_output().await);
            ids.push(servers[1].create_output().await);
        }
        let made: i64 = 2 + 2 + 40;
        assert_eq!(count(database, "select count(*) from concierge_request_outputs").await, made);
        assert!(!ids.contains(&"32355".to_owned()) && !ids.contains(&"32356".to_owned()), "{ids:?}");
    })
    .await;
}

#[tokio::test]
async fn every_fault_is_named_at_once_and_nothing_is_stored() {
    account(async |s| {
        s.create_output().await;
        s.act("1010", "request_quote").await.expect(200);
        let mut no_user = output(40007, 7001, 20202, 2121, "accepting");
        no_user["relationships"]["user"] = json!({"data": null});
        let mut wrong_type = output(40008, 7001, 20202, 2121, "accepting");
        wrong_type["relationships"]["request"] = to("users", 20202);
        let mut both = output(40009, 7001, 777, 2121, "accepting");
        both["attributes"]["budget"] = json!(5);
        let data = json!([
            user(1, json!({"email": "nope", "compliance_state": "good", "kyc_accepted": 1, "webhook_url": "ftp://x"})),
            user(2, json!({"compliance_sate": "enabled"})),
            json!({"type": "users"}),
            json!({"type": "users", "id": []}),
            json!({"type": "users", "id": 0}),
            json!({"type": "users", "id": "1000000000000000"}),
            json!({"type": "ports", "id": 1}),
            json!({"id": 1}),
            json!("x"),
            instruction(9001, 777),
            json!({"type": "withdrawal_instructions", "id": 9002, "attributes": {"body": {"payment_method": "x"}},
                "relationships": {"user": to("users", 778)}}),
            request(7001),
            json!({"type": "concierge_requests", "id": 7002, "attributes": {"port_code": "ar_ars", "state": "quoted"}}),
            json!({"type": "concierge_requests", "id": 7003, "attributes": {"port_code": "xx", "state": "new"}}),
            output(40001, 1010, 20202, 2121, "accepting"),
            output(40002, 7009, 20202, 2121, "accepting"),
            output(40003, 7001, 1, 2121, "accepting"),
            output(40004, 7001, 20202, 2129, "accepting"),
            output(40005, 7001, 20202, 2121, "settled"),
            no_user,
            wrong_type,
            both,
            wallet("xyz", 20202, 5),
            wallet("ars", 20202, -1),
            wallet("usd", 779, 1),
            wallet("clp", 20202, 1),
            wallet("CLP", 20202, 1),
            json!({"type": "cash_wallets", "id": "ars", "attributes": {"currency": "usd"}}),
            json!({"type": "users", "id": 3, "attributes": []}),
        ]);
        let mut expected = vec![
            fault("attribute_invalid", "/data/0/attributes/email"),
            fault("attribute_invalid", "/data/0/attributes/compliance_state"),
            fault("attribute_invalid", "/data/0/attributes/kyc_accepted"),
            fault("webhook_url_invalid", "/data/0/attributes/webhook_url"),
            fault("attribute_unknown", "/data/1/attributes/compliance_sate"),
            fault("document_invalid", "/data/2"),
            fault("document_invalid", "/data/3/id"),
            fault("document_invalid", "/data/4/id"),
            fault("document_invalid", "/data/5/id"),
            fault("type_mismatch", "/data/6/type"),
            fault("document_invalid", "/data/7"),
            fault("document_invalid", "/data/8"),
            fault("attribute_invalid", "/data/10/attributes/body/payment_method"),
            fault("state_not_seedable", "/data/12/attributes/state"),
            fault("attribute_invalid", "/data/13/attributes/port_code"),
            fault("attribute_invalid", "/data/13/attributes/state"),
            fault("state_not_seedable", "/data/18/attributes/state"),
            fault("relationship_missing", "/data/19/relationships/user/data"),
            fault("relationship_type_mismatch", "/data/20/relationships/request/data/type"),
            fault("amount_and_budget_given", "/data/21/attributes/budget"),
            fault("document_invalid", "/data/22/id"),
            fault("attribute_invalid", "/data/23/attributes/balance"),
            fault("document_invalid", "/data/26/id"),
            fault("attribute_invalid", "/data/27/attributes/currency"),
            fault("attribute_missing", "/data/27/attributes"),
            fault("document_invalid", "/data/28/attributes"),
        ];
        let missing = "related_resource_not_found";
        expected.extend([
            fault(missing, "/data/9/relationships/user/data/id"),
            fault(missing, "/data/10/relationships/user/data/id"),
            fault("request_not_draft", "/data/14/relationships/request/data/id"),
            fault(missing, "/data/15/relationships/request/data/id"),
            fault(missing, "/data/17/relationships/withdrawal_instruction/data/id"),
            fault(missing, "/data/21/relationships/user/data/id"),
            fault(missing, "/data/24/relationships/user/data/id"),
            fault("withdrawal_instruction_of_another_user", "/data/16/relationships/withdrawal_instruction/data/id"),
        ]);
        let mut found = faults(s, data).await;
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        let detail = s.post(PATH, &json!({"data": [output(40005, 1010, 20202, 2121, "settled")]})).await;
        let detail = detail.body["errors"][0]["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("/_sandbox/simulations/concierge_requests/ID/transition"), "{detail}");
    })
    .await;
}

#[tokio::test]
async fn one_broken_reference_stores_nothing() {
    sandbox(async |s| {
        let mut document = payroll();
        document["data"][4]["relationships"]["user"]["data"]["id"] = json!("999");
        let data = document["data"].clone();
        assert_eq!(
            faults(s, data).await,
            [
                fault("related_resource_not_found", "/data/4/relationships/user/data/id"),
                fault("withdrawal_instruction_of_another_user", "/data/0/relationships/withdrawal_instruction/data/id"),
            ]
        );
        // another account's are not there either
        s.second_account("another").await;
        seed(s, &payroll()).await;
        let theirs = json!({"data": [instruction(9003, 100)]}).to_string();
        let request = s.client.post(s.url(PATH)).header("Authorization", "another");
        let answer = send(request.header("Content-Type", "application/json").body(theirs)).await;
        answer.assert_error(404, "related_resource_not_found", "/data/0/relationships/user/data/id");
        // a deleted instruction is gone
        s.delete("/api/withdrawal_instructions/9001").await.expect(409);
        let unused = json!({"data": [instruction(9004, 100)]});
        seed(s, &unused).await;
        s.delete("/api/withdrawal_instructions/9004").await.expect(204);
        let gone = faults(s, json!([output(40010, 7001, 100, 9004, "accepting"), instruction(9004, 100)])).await;
        assert_eq!(gone, [fault("id_taken", "/data/1/id")], "its id stays its own");
        let gone = faults(s, json!([output(40010, 7001, 100, 9004, "accepting")])).await;
        assert_eq!(gone, [fault("related_resource_not_found", "/data/0/relationships/withdrawal_instruction/data/id")]);
    })
    .await;
}

#[tokio::test]
async fn bad_documents_are_refused() {
    sandbox(async |s| {
        for (body, status, code, pointer) in [
            (json!([]), 400, "document_invalid", ""),
            (json!({}), 400, "document_invalid", ""),
            (json!({"data": {}}), 400, "document_invalid", "/data"),
            (json!({"data": null}), 400, "document_invalid", "/data"),
        ] {
            s.post(PATH, &body).await.assert_error(status, code, pointer);
        }
        s.post_text(PATH, "").await.assert_error(400, "json_invalid", "");
        s.post_text(PATH, "x".repeat(3 << 20)).await.assert_error(413, "body_too_large", "");
        let many: Vec<Value> = (0..2000).map(|_| instruction(1, 777)).collect();
        assert_eq!(faults(s, json!(many)).await.len(), 100);
        seed(s, &json!({"data": []})).await;
        let read = s.client.post(s.url(PATH)).header("Authorization", "your_read_only_api_key");
        let answer = send(read.header("Content-Type", "application/json").body("{\"data\":[]}")).await;
        answer.assert_error(401, "not_enough_permissions", "Authorization");
        let many: Vec<Value> = (60_000..65_000).map(|id| user(id, json!({}))).collect();
        assert_eq!(seed(s, &json!({ "data": many })).await["seeded"]["users"], 5000);
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_has_what_was_seeded() {
    account(async |s| {
        seed(s, &payroll()).await;
        s.post("/_sandbox/snapshots", &json!({"name": "seeded"})).await.expect(201);
        s.post("/_sandbox/reset", &json!({})).await.expect(204);
        s.get("/api/users/100").await.assert_error(404, "resource_not_found", "");
        s.post("/_sandbox/snapshots/seeded/restore", &json!({})).await.expect(204);
        s.get("/api/users/100").await.expect(200);
        assert_eq!(s.create_output().await, "40005");
    })
    .await;
}

/// A file with a document.
fn file(document: &Value) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), document.to_string()).unwrap();
    file
}

#[tokio::test]
async fn the_default_account_begins_with_a_file() {
    empty_database(async |database| {
        let seed = file(&payroll());
        let arguments = ["--seed", seed.path().to_str().unwrap()];
        let server = database.program(&arguments).await;
        assert_eq!(server.get("/api/users/100").await["data"]["attributes"]["name"], "Ana");
        assert_eq!(server.create_output().await, "40005");
        server.stop().await;
        // it is there now, whatever the file says
        let other = file(&json!({"data": [{"type": "nothing"}]}));
        let arguments = ["--seed", other.path().to_str().unwrap()];
        let server = database.program(&arguments).await;
        assert_eq!(server.get("/api/users/100").await["data"]["attributes"]["name"], "Ana");
        server.stop().await;
        assert_eq!(count(database, "select count(*) from accounts where id > 0").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_file_with_faults_stops_the_start_and_is_read_again() {
    empty_database(async |database| {
        let mut document = payroll();
        document["data"][4]["relationships"]["user"]["data"]["id"] = json!(999);
        document["data"][6]["attributes"]["port_code"] = json!("xx");
        let seed = file(&document);
        let path = seed.path().to_str().unwrap();
        let ended = database.starting(&["--seed", path]).ended().await;
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        let said = ended.stderr.last().unwrap();
        for part in
            [path, "/data/4/relationships/user/data/id none of the users", "/data/6/attributes/port_code is \"xx\""]
        {
            assert!(said.contains(part), "{part} isn't in {said}");
        }
        assert_eq!(count(database, "select count(*) from accounts where id > 0").await, 0);
        for (text, part) in [("{", "line 1, column"), ("[]", "must be an object with a member `data`")] {
            std::fs::write(seed.path(), text).unwrap();
            let ended = database.starting(&["--seed", path]).ended().await;
            assert!(ended.stderr.last().unwrap().contains(part), "{ended:?}");
        }
        std::fs::write(seed.path(), payroll().to_string()).unwrap();
        let servers = [0; 3].map(|_| database.starting(&["--seed", path]));
        for mut server in servers {
            server.ready().await;
            assert_eq!(server.get("/api/users/100").await["data"]["attributes"]["name"], "Ana");
            server.stop().await;
        }
        let ended = database.starting(&["--seed", "/nowhere.json"]).ended().await;
        assert!(ended.stderr.last().unwrap().contains("--seed"), "{ended:?}");
    })
    .await;
}
