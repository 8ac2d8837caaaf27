//! `GET /_sandbox/test_values`: the table of test values that change a payment's outcome.

use axum::Json;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::concierge::outputs::scenario::{PRECEDENCE, Scenario, ScenarioSource, TEST_VALUES, TestValue};

/// The test values of a scenario, one for each carrier.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TestValueDocument {
    /// The scenario, and its value of the header Sandbox-Outcome.
    name: Scenario,
    /// Label of a withdrawal instruction. Text after `#` is free.
    label: &'static str,
    /// Member `bank_account_number` in the body of a withdrawal instruction.
    bank_account_number: &'static str,
    /// The payee's e-mail address up to the `@`. Text after `+` is free.
    email_local_part: &'static str,
    /// Description of the scenario.
    what: &'static str,
}

fn render(value: &TestValue) -> TestValueDocument {
    TestValueDocument {
        name: value.scenario,
        label: value.label,
        bank_account_number: value.bank_account_number,
        email_local_part: value.email,
        what: value.what,
    }
}

/// `GET /_sandbox/test_values`: `precedence` and `test_values`.
///
/// `precedence` lists the sources, the strongest first. `test_values` has a row for each scenario.
pub async fn list() -> Json<Value> {
    Json(json!({
        "precedence": PRECEDENCE.map(ScenarioSource::name),
        "test_values": TEST_VALUES.iter().map(render).collect::<Vec<_>>(),
    }))
}
