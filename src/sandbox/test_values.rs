//! `GET /_sandbox/test_values`: the table of test values that change a payment's outcome.

use axum::Json;
use serde_json::{Value, json};

use crate::concierge::outputs::scenario::{PRECEDENCE, ScenarioSource, TEST_VALUES, TestValue};

/// `GET /_sandbox/test_values`: `precedence` and `test_values`.
///
/// `precedence` lists the sources, the strongest first. `test_values` has a row for each scenario.
pub async fn list() -> Json<Value> {
    let row = |value: &TestValue| {
        json!({
            "name": value.name,
            "label": value.label,
            "bank_account_number": value.bank_account_number,
            "email_local_part": value.email,
            "what": value.what,
        })
    };
    Json(json!({
        "precedence": PRECEDENCE.map(ScenarioSource::name),
        "test_values": TEST_VALUES.iter().map(row).collect::<Vec<_>>(),
    }))
}
