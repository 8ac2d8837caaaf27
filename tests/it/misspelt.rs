//! Misspelt members: a fault of a missing member names the similar one that was sent.

use concierge_sandbox::jsonapi::nearest::{nearest, similar};
use serde_json::{Value, json};

use crate::support::{Answer, account, documented_output};

const OUTPUTS: &str = "/api/concierge_request_outputs";

/// Returns the source and the detail of each error.
fn faults(answer: &Answer) -> Vec<(String, String)> {
    let details = answer.body["errors"].as_array().unwrap().iter().map(|error| error["detail"].as_str().unwrap());
    answer.errors().into_iter().map(|error| error.2).zip(details.map(str::to_owned)).collect()
}

/// Renames a member of the object at a pointer.
fn rename(document: &mut Value, pointer: &str, name: &str, new: &str) {
    let object = document.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
    let value = object.remove(name).unwrap();
    object.insert(new.to_owned(), value);
}

#[tokio::test]
async fn missing_member_is_told_by_its_misspelt_name() {
    account(async |s| {
        for (parent, name, sent) in [
            ("", "data", "Data"),
            ("", "data", "date"),
            ("/data", "type", "Type"),
            ("/data/attributes", "port_code", "portCode"),
            ("/data/attributes", "port_code", "port-code"),
            ("/data/attributes", "port_code", "prot_code"),
            ("/data/attributes", "amount", "ammount"),
            ("/data/attributes", "amount", "amount_in~usd/net"),
            ("/data/relationships", "request", "concierge_request"),
            ("/data/relationships", "request", "requests"),
            ("/data/relationships", "withdrawal_instruction", "withdrawalInstruction"),
            ("/data/relationships", "user", "user_id"),
            ("/data/relationships/user", "data", "Data"),
            ("/data/relationships/user/data", "id", "ID"),
            ("/data/relationships/user/data", "type", "Type"),
        ] {
            let mut document = documented_output();
            rename(&mut document, parent, name, sent);
            let answer = s.post(OUTPUTS, &document).await;
            let faults = faults(&answer);
            let pointer = format!("{parent}/{}", sent.replace('~', "~0").replace('/', "~1"));
            let [(source, detail)] = &faults[..] else { panic!("{sent}: {answer:?}") };
            assert!(detail.ends_with(&format!("; the document has `{sent}`, not `{name}`")), "{detail}");
            assert_eq!((source, document.pointer(&pointer).is_some()), (&pointer, true));
        }
        assert_eq!(s.get(OUTPUTS).await.expect(200)["meta"]["total"], 0);
    })
    .await;
}

#[tokio::test]
async fn members_of_a_misspelt_object_are_missing_at_it() {
    account(async |s| {
        for (name, sent, count) in [("attributes", "atributes", 2), ("relationships", "relationship", 3)] {
            let mut document = documented_output();
            rename(&mut document, "/data", name, sent);
            let faults = faults(&s.post(OUTPUTS, &document).await);
            assert_eq!(faults.len(), count, "{faults:?}");
            for (source, detail) in faults {
                assert_eq!(source, format!("/data/{sent}"));
                assert!(detail.ends_with(&format!("; the document has `{sent}`, not `{name}`")), "{detail}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn several_similar_members_are_told_by_the_nearest() {
    account(async |s| {
        let mut document = documented_output();
        rename(&mut document, "/data/relationships", "request", "concierge_request");
        document["data"]["relationships"]["requst"] = json!(null);
        let (source, detail) = faults(&s.post(OUTPUTS, &document).await).remove(0);
        assert_eq!(source, "/data/relationships");
        assert!(detail.ends_with("; the document has `requst`, not `request`"), "{detail}");
    })
    .await;
}

#[tokio::test]
async fn known_and_dissimilar_members_are_not_told() {
    account(async |s| {
        // a client's whole model, without the amount
        let mut document = documented_output();
        document["data"]["attributes"] = json!({"port_code": "cl_clp", "amount": null, "budget": null, "state": null,
            "rejection_reason": null, "failure_reason": null, "type": "x", "id": null, "note": 5});
        let answer = s.post(OUTPUTS, &document).await;
        answer.assert_error(422, "amount_or_budget_missing", "/data/attributes");
        assert!(!answer.text.contains("the document has"), "{answer:?}");
        // where the document is valid, an unknown member has no effect
        let mut document = documented_output();
        document["data"]["attributes"]["ammount"] = json!(5);
        document["data"]["relationships"]["concierge_request"] = json!(5);
        s.post(OUTPUTS, &document).await.expect(201);
    })
    .await;
}

#[tokio::test]
async fn every_document_tells_misspelt_members() {
    account(async |s| {
        let document =
            |type_name: &str, attributes: Value| json!({"data": {"type": type_name, "attributes": attributes}});
        let output = json!({"port_cod": "cl_clp", "budgett": 5});
        for (path, document, sources) in [
            ("/api/webhooks", document("webhooks", json!({"webhook_url": "http://a.b"})), &["webhook_url"][..]),
            ("/api/concierge_requests", document("concierge_requests", json!({"Port_Code": "ar_ars"})), &["Port_Code"]),
            (
                "/api/concierge_estimates",
                document("concierge_estimates", json!({"port_code": "ar_ars", "output": []})),
                &["output"],
            ),
            (
                "/api/concierge_estimates",
                document("concierge_estimates", json!({"port_code": "ar_ars", "outputs": [output]})),
                &["outputs/0/port_cod", "outputs/0/budgett"],
            ),
        ] {
            let answer = s.post(path, &document).await;
            let expected: Vec<String> = sources.iter().map(|name| format!("/data/attributes/{name}")).collect();
            let found: Vec<String> = faults(&answer).into_iter().map(|fault| fault.0).collect();
            assert_eq!(found, expected, "{answer:?}");
        }
        let update = json!({"data": {"type": "concierge_requests", "Id": "1010"}});
        let answer = s.patch("/api/concierge_requests/1010", &update).await;
        answer.assert_error(400, "document_invalid", "/data/Id");
        let seed = json!({"data": [{"type": "concierge_requests", "id": 9, "attributes": {}, "Attributes": {}}]});
        let answer = s.post("/_sandbox/seed", &seed).await;
        answer.assert_error(422, "attribute_missing", "/data/0/attributes");
        let seed = json!({"data": [{"type": "cash_wallets", "Id": "ars", "attributes": {"balance": 5}}]});
        s.post("/_sandbox/seed", &seed).await.assert_error(400, "document_invalid", "/data/0/Id");
        s.post("/_sandbox/seed", &json!({"Data": []})).await.assert_error(400, "document_invalid", "/Data");
    })
    .await;
}

#[test]
fn names_resemble_by_letters_case_and_words() {
    for (name, candidate) in [
        ("amount", "ammount"),
        ("amount", "amuont"),
        ("url", "uri"),
        ("data", "Data"),
        ("withdrawal_instruction", "withdrawalInstruction"),
        ("withdrawal_instruction", "WithdrawalInstruction"),
        ("request", "concierge_requests"),
        ("sandbox:rejected", "Sandbox:Rejectd"),
    ] {
        assert_eq!(nearest(name, [candidate]), Some(candidate), "{name}");
    }
    for (name, candidate) in
        [("amount", "budget"), ("user", "payee"), ("state", "eta"), ("id", "lid_of"), ("port_code", "")]
    {
        assert_eq!(nearest(name, [candidate]), None, "{name}, {candidate}");
    }
    assert_eq!(similar("request", ["user", "concierge_request", "requst"]), ["requst", "concierge_request"]);
    assert_eq!(nearest("amount", ["amount".repeat(1000).as_str()]), None);
}
