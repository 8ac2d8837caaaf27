//! Updating Resources.

use concierge_sandbox::concierge::SCHEMAS;
use serde_json::{Value, json};

use super::check;
use crate::support::account;

const PATH: &str = "/api/users/20202";

/// The writable attributes of users, each with a new value.
const WRITABLE: [(&str, &str); 4] = [
    ("name", "\"Bea\""),
    ("email", "\"bea@example.com\""),
    ("webhook_url", "\"http://127.0.0.1:1/hook\""),
    ("do_not_email", "true"),
];

fn change(attributes: Value) -> Value {
    let mut document = json!({"data": {"type": "users", "id": "20202"}});
    document["data"]["attributes"] = attributes;
    document
}

#[tokio::test]
async fn missing_attributes_keep_their_values() {
    account(async |s| {
        let mut expected = s.get(PATH).await.expect(200);
        for (name, value) in WRITABLE {
            let value: Value = serde_json::from_str(value).unwrap();
            assert_ne!(expected["data"]["attributes"][name], value);
            expected["data"]["attributes"][name] = value.clone();
            let changed = s.patch(PATH, &change(json!({ name: value }))).await.expect(200);
            check::document(&changed);
            assert_eq!(changed, expected, "{name}");
            assert_eq!(s.get(PATH).await.expect(200), expected, "{name}");
        }
        // no attributes at all, in every spelling
        for none in [json!({"type": "users", "id": "20202"}), json!({"type": "users", "id": 20202, "attributes": {}})] {
            assert_eq!(s.patch(PATH, &json!({ "data": none })).await.expect(200), expected);
        }
    })
    .await;
}

#[tokio::test]
async fn read_only_attributes_are_ignored() {
    account(async |s| {
        let expected = s.get(PATH).await.expect(200);
        let schema = check::schema("users");
        let read_only =
            schema.attributes.iter().filter(|attribute| !WRITABLE.iter().any(|(name, _)| *name == attribute.name));
        let mut all = json!({"id": "1", "type": "x", "nonsense": {"a": []}, "created_at": null, "password": "secret"});
        for attribute in read_only {
            all[attribute.name] = json!({"not": "even of the right kind"});
        }
        let mut document = change(all);
        document["data"]["relationships"] = json!({"nobody": {"data": {"type": "x", "id": "y"}}});
        assert_eq!(s.patch(PATH, &document).await.expect(200), expected);
    })
    .await;
}

#[tokio::test]
async fn invalid_attribute_leaves_all_unchanged() {
    account(async |s| {
        let before = s.get(PATH).await.expect(200);
        for wrong in [
            json!({"email": 5}),
            json!({"do_not_email": "yes"}),
            json!({"webhook_url": []}),
            json!({"email": "nobody"}),
        ] {
            let mut attributes = json!({"name": "Bea", "webhook_url": "http://127.0.0.1:1/"});
            attributes.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
            let answer = s.patch(PATH, &change(attributes)).await;
            assert_eq!((answer.status, answer.errors().len()), (422, 1), "{wrong}");
            assert_eq!(s.get(PATH).await.expect(200), before);
        }
    })
    .await;
}

#[tokio::test]
async fn update_requires_one_resource_object_with_type_and_id() {
    account(async |s| {
        let before = s.get(PATH).await.expect(200);
        for (document, pointer) in [
            (json!({}), ""),
            (json!({"data": null}), "/data"),
            (json!({"data": [{"type": "users", "id": "20202"}]}), "/data"),
            (json!({"data": {"type": "users"}}), "/data"),
            (json!({"data": {"id": "20202"}}), "/data"),
            (json!({"data": {"type": "users", "id": []}}), "/data/id"),
            (json!({"data": {"type": "users", "id": "20202", "attributes": []}}), "/data/attributes"),
        ] {
            s.patch(PATH, &document).await.assert_error(400, "document_invalid", pointer);
        }
        let null = json!({"data": {"type": "users", "id": null}});
        assert_eq!(s.patch(PATH, &null).await.status, 400);
        assert_eq!(s.get(PATH).await.expect(200), before);
    })
    .await;
}

#[tokio::test]
async fn missing_resource_is_404() {
    account(async |s| {
        for id in ["777", "0", "abc", "9223372036854775808"] {
            let document = json!({"data": {"type": "users", "id": id, "attributes": {"name": "x"}}});
            s.patch(&format!("/api/users/{id}"), &document).await.assert_error(404, "resource_not_found", "");
        }
    })
    .await;
}

#[tokio::test]
async fn type_or_id_of_another_resource_is_409() {
    account(async |s| {
        let before = s.get("/api/users").await.expect(200);
        for other in SCHEMAS.iter().map(|schema| schema.type_name).filter(|name| *name != "users").chain(["people", ""])
        {
            for path in [PATH, "/api/users/me"] {
                let mut document = change(json!({"name": "x"}));
                document["data"]["type"] = json!(other);
                s.patch(path, &document).await.assert_error(409, "type_mismatch", "/data/type");
            }
        }
        for other in [json!("50505"), json!("020202"), json!(""), json!(50505), json!(2.5), json!("me")] {
            let mut document = change(json!({"name": "x"}));
            document["data"]["id"] = other;
            s.patch(PATH, &document).await.assert_error(409, "id_mismatch", "/data/id");
        }
        assert_eq!(s.get("/api/users").await.expect(200), before);
    })
    .await;
}
