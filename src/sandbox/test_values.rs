//! `GET /_sandbox/test_values`: the table of test values that change a payment's outcome.

use axum::Json;
use schemars::JsonSchema;
use serde::Serialize;

use crate::concierge::outputs::scenario::{PRECEDENCE, Scenario, ScenarioSource, TEST_VALUES, TestValue};
use crate::jsonapi::error::Errors;
use crate::jsonapi::schema::Schema;
use crate::web::call::Call;
use crate::web::list::List;
use crate::web::numbered::Numbered;

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

/// Schema of the list.
pub static SCHEMA: Schema = Schema::list("test_values", "/_sandbox/test_values");

/// A page of the test values.
pub type TestValueList = List<TestValueDocument, TestValueMeta>;

/// Facts about all test values.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TestValueMeta {
    /// Number of scenarios on all pages.
    total: usize,
    /// Carriers of test values, the strongest first.
    precedence: [ScenarioSource; PRECEDENCE.len()],
}

/// `GET /_sandbox/test_values`: lists the test values, an entry for each scenario.
pub async fn list(call: Call) -> Result<Json<TestValueList>, Errors> {
    let page = Numbered::read_list(&call, &SCHEMA)?;
    let (data, links) = page.page(TEST_VALUES.iter().map(render).collect(), call.origin.without_account());
    let meta = TestValueMeta { total: TEST_VALUES.len(), precedence: PRECEDENCE };
    Ok(Json(List { data, meta, links }))
}
