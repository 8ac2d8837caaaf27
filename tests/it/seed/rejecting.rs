//! Refused seeds: taken ids, broken references, unknown members.

use proptest::test_runner::{Config, TestRunner};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::{PATH, instruction, output, payroll, request, seed, to, user, wallet};
use crate::properties::edits::{apply, edits};
use crate::support::{Account, Program, account, client, count, database, sandbox, send};

/// Posts a faulty seed and asserts that it stores nothing.
/// Returns the code and pointer of each fault.
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
async fn seed_rejects_taken_and_leased_ids() {
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
        // the ids named as free are free
        let free = [32322, 32339, 50000].map(|id| output(id, 1010, 20202, 2121, "accepting"));
        seed(s, &json!({ "data": free })).await;
        for expected in (32324..=32338).chain(50001..50003) {
            assert_eq!(s.create_output().await, expected.to_string());
        }
    })
    .await;
}

#[tokio::test]
async fn seeded_ids_never_collide_with_leases_of_other_servers() {
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
async fn seed_reports_all_faults_at_once_and_stores_nothing() {
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
async fn seed_with_a_broken_reference_stores_nothing() {
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
        // resources of another account don't count
        s.second_account("another").await;
        seed(s, &payroll()).await;
        let document = json!({"data": [instruction(9003, 100)]}).to_string();
        let request = s.client.post(s.url(PATH)).header("Authorization", "another");
        let answer = send(request.header("Content-Type", "application/json").body(document)).await;
        answer.assert_error(404, "related_resource_not_found", "/data/0/relationships/user/data/id");
        // a deleted instruction can't be referenced
        s.delete("/api/withdrawal_instructions/9001").await.expect(409);
        let unused = json!({"data": [instruction(9004, 100)]});
        seed(s, &unused).await;
        s.delete("/api/withdrawal_instructions/9004").await.expect(204);
        let found = faults(s, json!([output(40010, 7001, 100, 9004, "accepting"), instruction(9004, 100)])).await;
        assert_eq!(found, [fault("id_taken", "/data/1/id")], "the id of a deleted instruction stays taken");
        let found = faults(s, json!([output(40010, 7001, 100, 9004, "accepting")])).await;
        assert_eq!(
            found,
            [fault("related_resource_not_found", "/data/0/relationships/withdrawal_instruction/data/id")]
        );
    })
    .await;
}

#[tokio::test]
async fn seed_rejects_bad_documents() {
    account(async |s| {
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
        let read = s.client.post(s.url(PATH)).header("Authorization", &s.read_only_key);
        let answer = send(read.header("Content-Type", "application/json").body("{\"data\":[]}")).await;
        answer.assert_error(401, "not_enough_permissions", "Authorization");
        let many: Vec<Value> = (60_000..65_000).map(|id| user(id, json!({}))).collect();
        assert_eq!(seed(s, &json!({ "data": many })).await["seeded"]["users"], 5000);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edited_seed_is_stored_whole_or_not_at_all() {
    account(async |s| {
        // each case is a few calls: its number stays small
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(24) });
        let ran = block_in_place(|| {
            runner.run(&edits(), |edits| {
                let mut document = payroll();
                for (place, edit) in edits {
                    apply(&mut document, place, edit);
                }
                let data = document["data"].clone();
                Handle::current().block_on(async {
                    let fresh = s.account(json!({})).await;
                    let stored = fresh.post(PATH, &document).await;
                    if stored.status == 201 {
                        assert_eq!(counted(&stored.body), data.as_array().unwrap().len());
                        let again = fresh.post(PATH, &document).await;
                        // the ids are taken: the first call stored them
                        assert!(data == json!([]) || only_wallets(&data) || again.status == 409, "{again:?}");
                    } else {
                        assert!((400..500).contains(&stored.status), "{stored:?}");
                        // every id is still free: nothing was stored
                        fresh.post(PATH, &payroll()).await.expect(201);
                    }
                });
                Ok(())
            })
        });
        ran.unwrap_or_else(|failed| panic!("{failed}"));
    })
    .await;
}

/// Returns the number of resources in the answer to a seed.
fn counted(answer: &Value) -> usize {
    let counts = answer["seeded"].as_object().unwrap().values();
    usize::try_from(counts.map(|count| count.as_u64().unwrap()).sum::<u64>()).unwrap()
}

/// Returns whether a seed has only wallets, which replace each other.
fn only_wallets(data: &Value) -> bool {
    data.as_array().unwrap().iter().all(|resource| resource["type"] == "cash_wallets")
}
