//! Taking, listing, replacing and deleting snapshots.

use reqwest::Method;
use serde_json::{Value, json};

use super::{OUTPUTS, PATH, as_key, names, restore, take};
use crate::support::{Program, client, count, database, documented_output, sandbox, send};

#[tokio::test]
async fn snapshots_survive_resets_and_go_with_their_account() {
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
        // another account's snapshot with the same name is separate
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
        assert_eq!(mine(Method::GET, PATH, json!({})).await.expect(200)["data"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn snapshots_can_be_replaced_deleted_and_are_limited() {
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
        assert_eq!(s.state_of("32324").await, "accepting", "a refused restore changes nothing");
        // an account has at most 20 snapshots
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
async fn snapshot_calls_reject_bad_input() {
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
async fn snapshot_of_one_server_is_restored_by_another() {
    database(async |database| {
        let servers = [database.program(&[]).await, database.program(&[]).await];
        let client = client();
        let call = async |server: &Program, path: &str, body: Value| {
            send(server.request(&client, Method::POST, path).json(&body)).await
        };
        // each server has leased its own ids
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
        assert_eq!(ids, ["32340", "32356", "32341"], "ids continue behind the highest, none twice");
        let made = "select count(*) from concierge_request_outputs o join accounts a on a.id = o.account_id
            where a.name = 'default'";
        assert_eq!(count(database, made).await, 5);
    })
    .await;
}
