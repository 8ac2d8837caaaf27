//! Test values: what asks for a scenario, in whichever way, and which of several decides.

use std::time::Duration;

use concierge_sandbox::concierge::outputs::scenario::{
    Carriers, Decision, PRECEDENCE, Scenario, Source, TEST_VALUES, TestValue,
};
use serde_json::{Value, json};

use crate::support::{Sandbox, documented_output, send};

const SECOND: Duration = Duration::from_secs(1);
const OUTPUTS: &str = "/api/concierge_request_outputs";

/// An output of 1000 CLP that is paid as these attributes of an instruction say to a payee of that address, who is approved.
async fn output(sandbox: &Sandbox, email: &str, instruction: Value) -> String {
    let payee = json!({"data": {"type": "users", "attributes": {"email": email}}});
    let payee = sandbox.create("/api/users", &payee).await;
    let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": instruction,
        "relationships": {"user": {"data": {"type": "users", "id": payee}}}}});
    let instruction = sandbox.create("/api/withdrawal_instructions", &instruction).await;
    let mut document = documented_output();
    document["data"]["relationships"]["user"]["data"]["id"] = json!(payee);
    document["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(instruction);
    sandbox.create(OUTPUTS, &document).await
}

/// Where an output ends, and after how many failed tries, once its request was set to work.
async fn end(sandbox: &Sandbox, id: &str) -> (String, i64) {
    let failed: i64 = sqlx::query_scalar(
        "select count(*) from events where resource_id = $1::bigint and event_type = 'concierge_request_output_failed'",
    )
    .bind(id)
    .fetch_one(&sandbox.database)
    .await
    .unwrap();
    (sandbox.state_of(id).await, failed)
}

/// How a scenario ends.
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

/// Approves every payee, runs the checks, and goes on until nothing more happens.
async fn pay_all(sandbox: &Sandbox) {
    sandbox.advance(SECOND).await;
    crate::payouts::set_to_work(sandbox, "1010").await;
    sandbox.advance(Duration::from_mins(1)).await;
}

#[tokio::test]
async fn each_carrier_asks_for_each_scenario() {
    let sandbox = Sandbox::start().await;
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
            outputs.push((scenario, output(&sandbox, &email, instruction.clone()).await, instruction));
        }
    }
    pay_all(&sandbox).await;
    for (scenario, id, instruction) in outputs {
        assert_eq!(end(&sandbox, &id).await, expected(scenario), "{scenario:?} {instruction}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn what_is_not_reserved_takes_the_happy_path() {
    let sandbox = Sandbox::start().await;
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
        outputs.push(output(&sandbox, email, json!({"body": body})).await);
    }
    pay_all(&sandbox).await;
    for id in outputs {
        assert_eq!(end(&sandbox, &id).await, expected(Scenario::Settled), "{id}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn the_instruction_s_label_decides_before_its_number_and_that_before_the_payee() {
    let sandbox = Sandbox::start().await;
    let number = json!({"bank_account_number": "7263269006"});
    let failing = "sandbox.failed@example.com";
    let outputs = [
        (Scenario::Returned, output(&sandbox, failing, json!({"label": "sandbox:returned", "body": number})).await),
        (Scenario::Settled, output(&sandbox, failing, json!({"label": "sandbox:settled", "body": number})).await),
        (Scenario::Cancelled, output(&sandbox, failing, json!({"label": "sandbox:x", "body": number})).await),
        (Scenario::Failed, output(&sandbox, failing, json!({"label": "x", "body": {}})).await),
    ];
    pay_all(&sandbox).await;
    for (scenario, id) in outputs {
        assert_eq!(end(&sandbox, &id).await, expected(scenario));
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_rejection_says_what_asked_for_it() {
    let sandbox = Sandbox::start().await;
    let rejected = "sandbox.rejected@example.com";
    let outputs = [
        (
            "instruction's label asks",
            output(&sandbox, rejected, json!({"label": "sandbox:rejected", "body": {}})).await,
        ),
        (
            "instruction's bank_account_number asks",
            output(&sandbox, rejected, json!({"body": {"bank_account_number": 7_263_269_001_u64}})).await,
        ),
        ("payee's e-mail address asks", output(&sandbox, rejected, json!({"body": {}})).await),
    ];
    sandbox.advance(SECOND).await;
    for (asks, id) in outputs {
        let shown = sandbox.get(&format!("{OUTPUTS}/{id}")).await.expect(200);
        let reason = format!("the preliminary checks failed, as the {asks}");
        assert_eq!(shown["data"]["attributes"]["rejection_reason"], reason);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn the_table_is_served_without_a_key() {
    let sandbox = Sandbox::start().await;
    let answer = send(sandbox.client.get(sandbox.url("/_sandbox/test_values"))).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let table = answer.expect(200);
    assert_eq!(table["precedence"], json!(["label", "bank_account_number", "email", "default"]));
    assert_eq!(table["test_values"].as_array().unwrap().len(), TEST_VALUES.len());
    let failed = json!({
        "name": "failed|settled", "label": "sandbox:failed|settled", "bank_account_number": "7263269003",
        "email_local_part": "sandbox.failed-settled", "what": "the first try fails, the retry succeeds: `settled`",
    });
    assert_eq!(table["test_values"][3], failed);
    sandbox.stop().await;
}

#[test]
fn a_row_of_the_table_is_found_by_each_of_its_carriers() {
    for (place, value) in TEST_VALUES.iter().enumerate() {
        assert_eq!(value.scenario as usize, place, "in the order of the enum");
        let email = format!("{}@x", value.email);
        for (source, carriers) in [
            (Source::Label, Carriers { label: Some(value.label), ..Carriers::default() }),
            (
                Source::BankAccountNumber,
                Carriers { bank_account_number: Some(value.bank_account_number), ..Carriers::default() },
            ),
            (Source::Email, Carriers { email: Some(&email), ..Carriers::default() }),
        ] {
            assert_eq!(Scenario::of(&carriers), Decision { scenario: value.scenario, source });
        }
    }
}

#[test]
fn whatever_comes_first_in_the_precedence_decides() {
    // every combination: each carrier is absent, holds something else, or a value of its own
    let reserved = ["sandbox:failed#1", "7263269004", "sandbox.stuck+1@x"];
    for combination in 0..27 {
        let (label, number, email) = (combination % 3, combination / 3 % 3, combination / 9);
        let choose = |choice: usize, reserved: &'static str| [None, Some("something else"), Some(reserved)][choice];
        let carriers = Carriers {
            label: choose(label, reserved[0]),
            bank_account_number: choose(number, reserved[1]),
            email: choose(email, reserved[2]),
        };
        let expected = match (label, number, email) {
            (2, ..) => (Scenario::Failed, Source::Label),
            (_, 2, _) => (Scenario::Returned, Source::BankAccountNumber),
            (_, _, 2) => (Scenario::Stuck, Source::Email),
            _ => (Scenario::Settled, Source::Default),
        };
        let Decision { scenario, source } = Scenario::of(&carriers);
        assert_eq!((scenario, source), expected, "{carriers:?}");
    }
    assert_eq!(PRECEDENCE.last(), Some(&Source::Default), "which always decides");
}
