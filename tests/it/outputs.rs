//! Outputs: the documented exchange, accepted documents and refusals.

use serde_json::{Value, json};

use crate::support::{account, documented_output, sandbox};

const OUTPUTS: &str = "/api/concierge_request_outputs";

#[tokio::test]
async fn output_create_returns_the_documented_document() {
    sandbox(async |s| {
        let request = s
            .client
            .post(s.url(OUTPUTS))
            .header("Authorization", "your_api_key")
            .header("Content-Type", "application/json")
            .body(include_str!("fixtures/documented_request.json"));
        let answer = crate::support::send(request).await;
        assert_eq!(answer.headers["location"], s.url("/api/concierge_request_outputs/32323"));
        assert_eq!(answer.headers["content-type"], "application/vnd.api+json");
        let documented: Value = serde_json::from_str(include_str!("fixtures/documented_answer.json")).unwrap();
        // compared as text, so that the order of members counts too
        assert_eq!(serde_json::to_string(&answer.expect(201)).unwrap(), serde_json::to_string(&documented).unwrap());
    })
    .await;
}

#[tokio::test]
async fn output_ids_count_up_and_refusals_take_none() {
    account(async |s| {
        assert_eq!(s.create_output().await, "32323");
        let mut refused = documented_output();
        refused["data"]["relationships"]["user"]["data"]["id"] = json!("777");
        assert_eq!(s.post(OUTPUTS, &refused).await.status, 404);
        for expected in 32324..32360 {
            assert_eq!(s.create_output().await, expected.to_string());
        }
    })
    .await;
}

#[tokio::test]
async fn amounts_keep_their_value_in_the_shortest_form() {
    account(async |s| {
        let cases = [
            ("1000", "1000"),
            ("1000.0", "1000"),
            ("0.1", "0.1"),
            ("12345678901.25", "12345678901.25"),
            ("1e3", "1000"),
            ("1E+3", "1000"),
            ("12.5e-1", "1.25"),
            ("1e-8", "0.00000001"),
            ("999999999999.99999999", "999999999999.99999999"),
            ("0.100000000000000000000000000000000000000000", "0.1"),
            ("\"100\"", "100"),
            ("\"0.5\"", "0.5"),
        ];
        for (attribute, member) in [("amount", "budget"), ("budget", "amount")] {
            for (sent, shown) in cases {
                let mut document = documented_output();
                document["data"]["attributes"] = serde_json::from_str(&format!(
                    r#"{{"port_code":"cl_clp","{attribute}":{sent},"{member}":null,"state":null,"type":"x","id":null}}"#
                ))
                .unwrap();
                let answer = s.post(OUTPUTS, &document).await;
                let expected =
                    format!(r#""attributes":{{"{attribute}":{shown},"port_code":"cl_clp","state":"accepting"}}"#);
                assert!(answer.text.contains(&expected), "{sent}: {answer:?}");
                let id = answer.body["data"]["id"].as_str().unwrap().to_owned();
                let again = s.get(&format!("{OUTPUTS}/{id}")).await;
                assert!(again.text.contains(&expected), "{sent}: {again:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn output_create_rejects_invalid_amounts() {
    account(async |s| {
        let invalid = [
            "1e400",
            "1e12",
            "1000000000000",
            "1234567890123.5",
            "0.123456789",
            "1e-9",
            "\"abc\"",
            "\"\"",
            "\"1 000\"",
            "\"0x10\"",
            "\"NaN\"",
            "\"Infinity\"",
            "\"+1\"",
            "[]",
            "[1]",
            "{}",
            "true",
            "\"1_000\"",
            "\".5\"",
            "\"01\"",
        ];
        let not_positive = ["0", "-1", "-0.00000001", "0.0", "\"-5\"", "-1e3", "0e5", "-0"];
        let send = async |sent: &str| {
            let mut document = documented_output();
            document["data"]["attributes"]["amount"] = serde_json::from_str(sent).unwrap();
            s.post(OUTPUTS, &document).await
        };
        for sent in invalid {
            send(sent).await.assert_error(422, "attribute_invalid", "/data/attributes/amount");
        }
        for sent in not_positive {
            send(sent).await.assert_error(422, "amount_not_positive", "/data/attributes/amount");
        }
        let mut document = documented_output();
        document["data"]["attributes"] = json!({"port_code": "cl_clp", "budget": 0});
        s.post(OUTPUTS, &document).await.assert_error(422, "budget_not_positive", "/data/attributes/budget");
        for literal in ["NaN", "Infinity", "-Infinity", "1.", ".5", "01", "0x1", "1e"] {
            let text = documented_output().to_string().replace(":1000", &format!(":{literal}"));
            s.post_text(OUTPUTS, text).await.assert_error(400, "json_invalid", "");
        }
        assert_eq!(s.count("select count(*) from concierge_request_outputs").await, 0);
    })
    .await;
}

#[tokio::test]
async fn output_create_reports_every_fault_at_once() {
    account(async |s| {
        let document = json!({"data": {
            "type": "concierge_request_outputs",
            "attributes": {"port_code": "CL_CLP", "amount": -3},
            "relationships": {
                "request": {"data": null},
                "user": {"data": {"type": "people", "id": 20202}},
            },
        }});
        let answer = s.post(OUTPUTS, &document).await;
        let unprocessable = |code: &str, pointer: &str| ("422".to_owned(), code.to_owned(), pointer.to_owned());
        assert_eq!(
            answer.errors(),
            [
                unprocessable("attribute_invalid", "/data/attributes/port_code"),
                unprocessable("amount_not_positive", "/data/attributes/amount"),
                unprocessable("relationship_missing", "/data/relationships/request/data"),
                unprocessable("relationship_type_mismatch", "/data/relationships/user/data/type"),
                unprocessable("relationship_missing", "/data/relationships"),
            ]
        );
        let details = answer.body["errors"].to_string();
        assert!(details.contains("must be \\\"cl_clp\\\", in lower case"), "{details}");
    })
    .await;
}

#[tokio::test]
async fn output_create_requires_amount_or_budget() {
    account(async |s| {
        let mut document = documented_output();
        for (attributes, code, pointer) in [
            (json!({"port_code": "cl_clp"}), "amount_or_budget_missing", "/data/attributes"),
            (json!({"port_code": "cl_clp", "amount": null}), "amount_or_budget_missing", "/data/attributes"),
            (
                json!({"port_code": "cl_clp", "amount": 1, "budget": 2}),
                "amount_and_budget_given",
                "/data/attributes/budget",
            ),
        ] {
            document["data"]["attributes"] = attributes;
            s.post(OUTPUTS, &document).await.assert_error(422, code, pointer);
        }
        document["data"].as_object_mut().unwrap().remove("attributes");
        let errors = s.post(OUTPUTS, &document).await.errors();
        assert!(errors.iter().all(|(_, _, pointer)| pointer == "/data"), "{errors:?}");
    })
    .await;
}

#[tokio::test]
async fn output_create_requires_matching_related_resources() {
    account(async |s| {
        for id in ["777", "", "0", "-1", "1.5", "9223372036854775808", "1000000000000000000000000000000", "me", "01010"]
        {
            for relationship in ["request", "user", "withdrawal_instruction"] {
                let mut document = documented_output();
                document["data"]["relationships"][relationship]["data"]["id"] = json!(id);
                let pointer = format!("/data/relationships/{relationship}/data/id");
                let answer = s.post(OUTPUTS, &document).await;
                answer.assert_error(404, "related_resource_not_found", &pointer);
            }
        }
        let numbers = r#"{"data":{"type":"concierge_request_outputs","attributes":{"port_code":"cl_clp","amount":1},
        "relationships":{"request":{"data":{"id":1e30,"type":"concierge_requests"}},
        "user":{"data":{"id":-1,"type":"users"}},
        "withdrawal_instruction":{"data":{"id":1.5,"type":"withdrawal_instructions"}}}}}"#;
        let answer = s.post_text(OUTPUTS, numbers).await;
        assert_eq!((answer.status, answer.errors().len()), (404, 3), "{answer:?}");

        // an instruction of another user
        let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {}}}});
        let id = s.create("/api/withdrawal_instructions", &instruction).await;
        let mut document = documented_output();
        document["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(id);
        let answer = s.post(OUTPUTS, &document).await;
        let pointer = "/data/relationships/withdrawal_instruction/data/id";
        answer.assert_error(422, "withdrawal_instruction_of_another_user", pointer);

        // a request that is no longer a draft
        assert_eq!(s.count("select count(*) from concierge_request_outputs").await, 0);
        s.create_output().await;
        s.act("1010", "request_quote").await.expect(200);
        let answer = s.post(OUTPUTS, &documented_output()).await;
        answer.assert_error(422, "request_not_draft", "/data/relationships/request/data/id");
        assert_eq!(s.count("select count(*) from concierge_request_outputs").await, 1);
    })
    .await;
}

#[tokio::test]
async fn output_create_accepts_documents_of_published_clients() {
    account(async |s| {
        // a whole model, whole resources as linkage, unset relationships among the attributes;
        // published clients send all of these
        let mut document = documented_output();
        document["meta"] = json!({"client": "x"});
        document["data"]["id"] = Value::Null;
        document["data"]["attributes"] = json!({
            "type": "concierge_request_outputs", "id": null, "port_code": "cl_clp", "amount": 5, "budget": null,
            "state": "settled", "rejection_reason": null, "user": null, "request": [], "unheard_of": {"a": [1]},
        });
        document["data"]["relationships"]["user"]["data"]["attributes"] = json!({"email": null});
        document["data"]["relationships"]["user"]["links"] = json!({});
        document["data"]["relationships"]["outputs"] = json!({"data": []});
        let shown = s.post(&format!("{OUTPUTS}/"), &document).await.expect(201);
        assert_eq!(shown["data"]["attributes"], json!({"amount": 5, "port_code": "cl_clp", "state": "accepting"}));
    })
    .await;
}
