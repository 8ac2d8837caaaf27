//! Creating Resources.

use concierge_sandbox::concierge::SCHEMAS;
use serde_json::{Value, json};

use super::{check, creatable, document, resource_counts, text};
use crate::support::account;

#[tokio::test]
async fn create_answers_201_with_resource_and_location() {
    account(async |s| {
        for (schema, document) in creatable() {
            let made = s.post(schema.path, &document).await;
            check::document(&made.body);
            let id = text(&made.body["data"]["id"]).to_owned();
            assert_eq!(made.body["data"]["type"], schema.type_name);
            assert_eq!(made.headers["location"], s.url(&format!("{}/{id}", schema.path)));
            if let Some(link) = made.body["data"]["links"].get("self") {
                assert_eq!(made.headers["location"], text(link));
            }
            let shown = s.get(made.headers["location"].to_str().unwrap()).await.expect(200);
            assert_eq!(shown["data"], made.body["data"]);
            made.expect(201);
        }
    })
    .await;
}

#[tokio::test]
async fn create_rejects_client_generated_ids() {
    account(async |s| {
        let before = resource_counts(s).await;
        for (schema, document) in creatable() {
            for id in [json!("1"), json!("550e8400-e29b-41d4-a716-446655440000"), json!(" "), json!(32323), json!("me")]
            {
                let mut document = document.clone();
                document["data"]["id"] = id;
                s.post(schema.path, &document).await.assert_error(403, "client_id_forbidden", "/data/id");
            }
            for id in [json!([]), json!({}), json!(true)] {
                let mut document = document.clone();
                document["data"]["id"] = id;
                s.post(schema.path, &document).await.assert_error(400, "document_invalid", "/data/id");
            }
            // null and an empty text count as no id
            for id in [Value::Null, json!("")] {
                let mut document = document.clone();
                document["data"]["id"] = id;
                s.post(schema.path, &document).await.expect(201);
            }
        }
        let after: Vec<Value> = before.iter().map(|count| json!(count.as_i64().unwrap() + 2)).collect();
        assert_eq!(resource_counts(s).await, after);
    })
    .await;
}

#[tokio::test]
async fn create_rejects_type_of_another_collection() {
    account(async |s| {
        let before = resource_counts(s).await;
        for (schema, document) in creatable() {
            let others = SCHEMAS.iter().map(|other| other.type_name).filter(|other| *other != schema.type_name);
            for other in others.chain(["people", "", "Users", "user"]) {
                let mut document = document.clone();
                document["data"]["type"] = json!(other);
                s.post(schema.path, &document).await.assert_error(409, "type_mismatch", "/data/type");
            }
        }
        assert_eq!(resource_counts(s).await, before);
    })
    .await;
}

#[tokio::test]
async fn create_rejects_missing_related_resource() {
    account(async |s| {
        let before = resource_counts(s).await;
        for (schema, document) in creatable() {
            for relationship in schema.relationships.iter().filter(|relationship| relationship.name != "outputs") {
                let (name, target) = (relationship.name, relationship.target.type_name);
                for id in [json!("777"), json!(777), json!("x"), json!(1e300)] {
                    let mut document = document.clone();
                    document["data"]["relationships"][name] = json!({"data": {"type": target, "id": id}});
                    let answer = s.post(schema.path, &document).await;
                    let pointer = format!("/data/relationships/{name}/data/id");
                    answer.assert_error(404, "related_resource_not_found", &pointer);
                }
            }
        }
        assert_eq!(resource_counts(s).await, before);
    })
    .await;
}

#[tokio::test]
async fn create_requires_one_resource_object_with_type() {
    account(async |s| {
        let before = resource_counts(s).await;
        for (schema, document) in creatable() {
            for (document, pointer) in [
                (json!({}), ""),
                (json!([]), ""),
                (json!("data"), ""),
                (Value::Null, ""),
                (json!({"meta": {}}), ""),
                (json!({"errors": []}), ""),
                (json!({"data": null}), "/data"),
                (json!({"data": []}), "/data"),
                (json!({"data": [document["data"]]}), "/data"),
                (json!({"data": schema.type_name}), "/data"),
                (json!({"data": {}}), "/data"),
                (json!({"data": {"attributes": {}}}), "/data"),
                (json!({"data": {"type": null}}), "/data/type"),
                (json!({"data": {"type": [schema.type_name]}}), "/data/type"),
            ] {
                let answer = s.post(schema.path, &document).await;
                answer.assert_error(400, "document_invalid", pointer);
            }
            for part in ["attributes", "relationships"] {
                for wrong in [json!([]), json!("x"), json!(1), json!(false)] {
                    let mut document = document.clone();
                    document["data"][part] = wrong;
                    let errors = s.post(schema.path, &document).await.errors();
                    let shape = ("400".to_owned(), "document_invalid".to_owned(), format!("/data/{part}"));
                    assert!(errors.contains(&shape), "{part} of {}: {errors:?}", schema.type_name);
                }
            }
        }
        assert_eq!(resource_counts(s).await, before);
    })
    .await;
}

#[tokio::test]
async fn relationship_requires_object_with_data() {
    account(async |s| {
        let before = resource_counts(s).await;
        for (schema, document) in creatable() {
            for relationship in schema.relationships.iter().filter(|relationship| relationship.name != "outputs") {
                let (name, target) = (relationship.name, relationship.target.type_name);
                let at = |end: &str| format!("/data/relationships/{name}{end}");
                for (wrong, pointer) in [
                    (json!({}), at("")),
                    (json!({"links": {}}), at("")),
                    (json!([]), at("")),
                    (json!("20202"), at("")),
                    (json!({"data": []}), at("/data")),
                    (json!({"data": "20202"}), at("/data")),
                    (json!({"data": {"type": target}}), at("/data")),
                    (json!({"data": {"type": target, "lid": "a"}}), at("/data")),
                    (json!({"data": {"id": "20202"}}), at("/data")),
                    (json!({"data": {"type": target, "id": null}}), at("/data/id")),
                    (json!({"data": {"type": target, "id": {}}}), at("/data/id")),
                    (json!({"data": {"type": 5, "id": "1"}}), at("/data/type")),
                ] {
                    let mut document = document.clone();
                    document["data"]["relationships"][name] = wrong;
                    s.post(schema.path, &document).await.assert_error(400, "document_invalid", &pointer);
                }
                let mut document = document.clone();
                document["data"]["relationships"][name] = json!({"data": {"type": "people", "id": "1"}});
                let answer = s.post(schema.path, &document).await;
                answer.assert_error(422, "relationship_type_mismatch", &at("/data/type"));
            }
        }
        assert_eq!(resource_counts(s).await, before);
    })
    .await;
}

#[tokio::test]
async fn missing_user_defaults_to_the_acting_user() {
    account(async |s| {
        // these types default to the acting user
        for type_name in ["withdrawal_instructions", "concierge_requests"] {
            let attributes = json!({"body": {}, "port_code": "ar_ars"});
            for relationships in [Value::Null, json!({}), json!({"user": null}), json!({"user": {"data": null}})] {
                let mut document = document(type_name, attributes.clone());
                document["data"]["relationships"] = relationships;
                let made = s.post(&format!("/api/{type_name}"), &document).await.expect(201);
                assert_eq!(made["data"]["relationships"]["user"]["data"], json!({"id": "50505", "type": "users"}));
            }
        }
    })
    .await;
}
