//! Test values: the carriers of a scenario and their precedence.

use std::time::Duration;

use concierge_sandbox::concierge::outputs::scenario::{
    Carriers, Decision, PRECEDENCE, Scenario, ScenarioSource, TEST_VALUES, TestValue,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Account, Answer, account, documented_output, send};

const SECOND: Duration = Duration::from_secs(1);
const OUTPUTS: &str = "/api/concierge_request_outputs";

/// Builds the document of an output of 1000 CLP to a new payee with a new instruction.
/// Takes the payee's e-mail and the instruction's attributes.
async fn document(account: &Account, email: &str, instruction: Value) -> Value {
    let payee = json!({"data": {"type": "users", "attributes": {"email": email}}});
    let payee = account.create("/api/users", &payee).await;
    let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": instruction,
        "relationships": {"user": {"data": {"type": "users", "id": payee}}}}});
    let instruction = account.create("/api/withdrawal_instructions", &instruction).await;
    let mut document = documented_output();
    document["data"]["relationships"]["user"]["data"]["id"] = json!(payee);
    document["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(instruction);
    document
}

/// Creates an output from [`document`].
async fn output(account: &Account, email: &str, instruction: Value) -> String {
    let document = document(account, email, instruction).await;
    account.create(OUTPUTS, &document).await
}

/// POSTs an output with these headers.
async fn post_with(account: &Account, document: &Value, headers: &[(&'static str, &[u8])]) -> Answer {
    let mut request = account.request(Method::POST, OUTPUTS).header("Content-Type", "application/vnd.api+json");
    for (name, value) in headers {
        request = request.header(*name, reqwest::header::HeaderValue::from_bytes(value).unwrap());
    }
    send(request.body(document.to_string())).await
}

/// Reads the state of an output and its number of failed attempts.
async fn end(account: &Account, id: &str) -> (String, i64) {
    let failed: i64 = sqlx::query_scalar(
        "select count(*) from events where resource_id = $1::bigint and event_type = 'concierge_request_output_failed'",
    )
    .bind(id)
    .fetch_one(account.database())
    .await
    .unwrap();
    (account.state_of(id).await, failed)
}

/// Returns the final state and the number of failed attempts of a scenario.
fn expected(scenario: Scenario) -> (String, i64) {
    let (state, failed) = match scenario {
        Scenario::Settled => ("settled", 0),
        Scenario::Rejected => ("rejected", 0),
        Scenario::Failed => ("returned", 3),
        Scenario::FailedThenSettled => ("settled", 1),
        Scenario::Returned => ("returned", 1),
        Scenario::Stuck => ("settling", 0),
        Scenario::Cancelled => ("cancelled", 0),
    };
    (state.to_owned(), failed)
}

/// Approves every payee, runs the checks and completes all payments.
async fn pay_all(account: &Account) {
    account.advance(SECOND).await;
    crate::payouts::set_to_work(account, "1010").await;
    account.advance(Duration::from_mins(1)).await;
}

#[tokio::test]
async fn each_carrier_selects_each_scenario() {
    account(async |s| {
        let plain = "ana@example.com";
        let mut outputs = Vec::new();
        for TestValue { scenario, label, bank_account_number, email, .. } in TEST_VALUES {
            let number: u64 = bank_account_number.parse().unwrap();
            for (email, instruction) in [
                (plain.to_owned(), json!({"label": label, "body": {"bank": "x"}})),
                (plain.to_owned(), json!({"label": "savings", "body": {"bank_account_number": bank_account_number}})),
                (plain.to_owned(), json!({"body": {"bank": "x", "bank_account_number": number}})),
                (format!("{email}@example.com"), json!({"label": null, "body": {"bank_account_number": "17"}})),
                (format!("{}+order-7@example.com", email.to_uppercase()), json!({"body": {}})),
            ] {
                outputs.push((scenario, output(s, &email, instruction.clone()).await, instruction));
            }
        }
        pay_all(s).await;
        for (scenario, id, instruction) in outputs {
            assert_eq!(end(s, &id).await, expected(scenario), "{scenario:?} {instruction}");
        }
    })
    .await;
}

#[tokio::test]
async fn create_header_selects_each_scenario() {
    account(async |s| {
        let mut outputs = Vec::new();
        let label = json!({"label": "sandbox:stuck", "body": {"bank_account_number": "7263269006"}});
        for TestValue { scenario, name, .. } in TEST_VALUES {
            for document in [documented_output(), document(s, "sandbox.failed@example.com", label.clone()).await] {
                let made = post_with(s, &document, &[("Sandbox-Outcome", name.as_bytes())]).await.expect(201);
                outputs.push((scenario, made["data"]["id"].as_str().unwrap().to_owned()));
            }
        }
        // the same instruction, without the header
        outputs.push((Scenario::Settled, s.create_output().await));
        s.advance(SECOND).await;
        let rejected = s.get(&format!("{OUTPUTS}?filter[state]=rejected")).await.expect(200);
        assert_eq!(rejected["data"].as_array().unwrap().len(), 2);
        let reason = "the preliminary checks failed, as the header Sandbox-Outcome asked";
        assert_eq!(rejected["data"][0]["attributes"]["rejection_reason"], reason);
        pay_all(s).await;
        for (scenario, id) in outputs {
            assert_eq!(end(s, &id).await, expected(scenario), "{scenario:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn unknown_outcome_is_refused_with_the_known_ones() {
    account(async |s| {
        let header = "Sandbox-Outcome";
        for outcome in
            ["", "accepted", "Failed", "failed|returned", "failed, settled", "sandbox:failed", "7263269002", "\u{e9}"]
        {
            let answer = post_with(s, &documented_output(), &[(header, outcome.as_bytes())]).await;
            answer.assert_error(400, "header_invalid", header);
            let detail = answer.body["errors"][0]["detail"].as_str().unwrap();
            for TestValue { name, .. } in TEST_VALUES {
                assert!(!outcome.is_ascii() || detail.contains(name), "{detail}");
            }
        }
        let twice = [(header, &b"failed"[..]), (header, b"failed")];
        post_with(s, &documented_output(), &twice).await.assert_error(400, "header_invalid", header);
        // spaces around a value are ignored
        post_with(s, &documented_output(), &[(header, b" stuck ")]).await.expect(201);
        let stranger = s.client.post(s.url(OUTPUTS)).header(header, "x").header("Authorization", "x");
        send(stranger).await.assert_error(401, "invalid_api_key", "Authorization");
        // other calls ignore the header
        send(s.request(Method::GET, OUTPUTS).header(header, "x")).await.expect(200);
        let user = s.request(Method::POST, "/api/users").header("Content-Type", "application/json").header(header, "x");
        send(user.body(r#"{"data":{"type":"users"}}"#)).await.expect(201);
        assert_eq!(s.count("select count(*) from concierge_request_outputs").await, 1);
    })
    .await;
}

#[tokio::test]
async fn unreserved_values_take_the_happy_path() {
    account(async |s| {
        let mut outputs = Vec::new();
        for (email, body) in [
            ("ana+sandbox.failed@example.com", json!({})),
            ("ana@sandbox.failed", json!({})),
            ("xsandbox.failed@example.com", json!({})),
            ("sandbox.failedx@example.com", json!({})),
            ("sandbox.unheard_of@example.com", json!({"bank_account_number": null})),
            ("sandbox:failed@example.com", json!({"bank_account_number": "07263269002"})),
            ("sandbox@example.com", json!({"bank_account_number": ["7263269002"]})),
            ("ana@example.com", json!({"bank_account_number": {"bank_account_number": "7263269002"}})),
            ("ana@example.com", json!({"bank_account_number": "7".repeat(100_000)})),
            ("ana@example.com", json!({"account": {"bank_account_number": "7263269002"}, "iban": "7263269002"})),
        ] {
            outputs.push(output(s, email, json!({"body": body})).await);
        }
        pay_all(s).await;
        for id in outputs {
            assert_eq!(end(s, &id).await, expected(Scenario::Settled), "{id}");
        }
    })
    .await;
}

#[tokio::test]
async fn label_precedes_account_number_and_number_precedes_email() {
    account(async |s| {
        let number = json!({"bank_account_number": "7263269006"});
        let failing = "sandbox.failed@example.com";
        let outputs = [
            (Scenario::Returned, output(s, failing, json!({"label": "sandbox:returned", "body": number})).await),
            (Scenario::Settled, output(s, failing, json!({"label": "sandbox:settled", "body": number})).await),
            (Scenario::Cancelled, output(s, failing, json!({"label": "sandbox:x", "body": number})).await),
            (Scenario::Failed, output(s, failing, json!({"label": "x", "body": {}})).await),
        ];
        pay_all(s).await;
        for (scenario, id) in outputs {
            assert_eq!(end(s, &id).await, expected(scenario));
        }
    })
    .await;
}

#[tokio::test]
async fn rejection_reason_names_its_carrier() {
    account(async |s| {
        let rejected = "sandbox.rejected@example.com";
        let outputs = [
            ("instruction's label asks", output(s, rejected, json!({"label": "sandbox:rejected", "body": {}})).await),
            (
                "instruction's bank_account_number asks",
                output(s, rejected, json!({"body": {"bank_account_number": 7_263_269_001_u64}})).await,
            ),
            ("payee's e-mail address asks", output(s, rejected, json!({"body": {}})).await),
        ];
        s.advance(SECOND).await;
        for (asks, id) in outputs {
            let shown = s.get(&format!("{OUTPUTS}/{id}")).await.expect(200);
            let reason = format!("the preliminary checks failed, as the {asks}");
            assert_eq!(shown["data"]["attributes"]["rejection_reason"], reason);
        }
    })
    .await;
}

#[tokio::test]
async fn table_is_served_without_a_key() {
    account(async |s| {
        let answer = send(s.client.get(s.url("/_sandbox/test_values"))).await;
        assert_eq!(answer.headers["content-type"], "application/json");
        let table = answer.expect(200);
        assert_eq!(table["meta"]["precedence"], json!(["header", "label", "bank_account_number", "email", "default"]));
        assert_eq!(table["data"].as_array().unwrap().len(), TEST_VALUES.len());
        let failed = json!({
            "name": "failed|settled", "label": "sandbox:failed|settled", "bank_account_number": "7263269003",
            "email_local_part": "sandbox.failed-settled", "what": "the first attempt fails, the retry succeeds: `settled`",
        });
        assert_eq!(table["data"][3], failed);
    })
    .await;
}

#[test]
fn each_carrier_finds_its_row_of_the_table() {
    for (place, value) in TEST_VALUES.iter().enumerate() {
        assert_eq!(value.scenario as usize, place, "rows must follow the order of the enum");
        assert_eq!((Scenario::named(value.name), value.scenario.name()), (Some(value.scenario), value.name));
        let email = format!("{}@x", value.email);
        for (source, carriers) in [
            (ScenarioSource::Header, Carriers { header: Some(value.name), ..Carriers::default() }),
            (ScenarioSource::Label, Carriers { label: Some(value.label), ..Carriers::default() }),
            (
                ScenarioSource::BankAccountNumber,
                Carriers { bank_account_number: Some(value.bank_account_number), ..Carriers::default() },
            ),
            (ScenarioSource::Email, Carriers { email: Some(&email), ..Carriers::default() }),
        ] {
            assert_eq!(Scenario::of(&carriers), Decision { scenario: value.scenario, source });
        }
    }
}

#[test]
fn first_carrier_in_the_precedence_decides() {
    // every combination: each carrier is absent, unreserved or reserved
    let reserved = ["cancelled", "sandbox:failed#1", "7263269004", "sandbox.stuck+1@x"];
    for combination in 0..81 {
        let (header, label) = (combination % 3, combination / 3 % 3);
        let (number, email) = (combination / 9 % 3, combination / 27);
        let choose = |choice: usize, reserved: &'static str| [None, Some("something else"), Some(reserved)][choice];
        let carriers = Carriers {
            header: choose(header, reserved[0]),
            label: choose(label, reserved[1]),
            bank_account_number: choose(number, reserved[2]),
            email: choose(email, reserved[3]),
        };
        let expected = match (header, label, number, email) {
            (2, ..) => (Scenario::Cancelled, ScenarioSource::Header),
            (_, 2, ..) => (Scenario::Failed, ScenarioSource::Label),
            (_, _, 2, _) => (Scenario::Returned, ScenarioSource::BankAccountNumber),
            (.., 2) => (Scenario::Stuck, ScenarioSource::Email),
            _ => (Scenario::Settled, ScenarioSource::Default),
        };
        let Decision { scenario, source } = Scenario::of(&carriers);
        assert_eq!((scenario, source), expected, "{carriers:?}");
    }
    assert_eq!(
        PRECEDENCE.last(),
        Some(&ScenarioSource::Default),
        "the default must come last, because it always decides"
    );
}
