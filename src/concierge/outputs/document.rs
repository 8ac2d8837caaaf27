//! Schema, reading and rendering of outputs.

use super::scenario::{Scenario, TEST_VALUES};
use super::store::CreationResult;
use super::{NewOutput, Output, state};
use crate::concierge::pricing::Price;
use crate::concierge::{ports, requests, users, withdrawal_instructions};
use crate::jsonapi::document::{Purpose, Reader};
use crate::jsonapi::error::{Error, Errors, HEADER_INVALID};
use crate::jsonapi::render::{Linkage, Resource, Value};
use crate::jsonapi::schema::{Attribute, Filter, Input, Relationship, Schema, ValueType, Values};

crate::codes! {
    AMOUNT_OR_BUDGET_MISSING = 422 "amount_or_budget_missing" "Neither amount nor budget is given";
    AMOUNT_AND_BUDGET_GIVEN = 422 "amount_and_budget_given" "Both amount and budget are given";
    AMOUNT_NOT_POSITIVE = 422 "amount_not_positive" "The amount must be above zero";
    BUDGET_NOT_POSITIVE = 422 "budget_not_positive" "The budget must be above zero";
    REQUEST_NOT_DRAFT = 422 "request_not_draft" "The request is no longer a draft";
    INSTRUCTION_OF_ANOTHER_USER = 422 "withdrawal_instruction_of_another_user"
        "The instruction belongs to another user";
}

/// Maximum length of a reason, in characters.
pub const LONGEST_REASON: usize = 1000;

/// Schema of outputs.
pub static SCHEMA: Schema = Schema {
    type_name: "concierge_request_outputs",
    path: "/api/concierge_request_outputs",
    example_id: "32323",
    pages_by_id: true,
    attributes: &[
        Attribute::new(
            "amount",
            ValueType::Decimal,
            "Money for the payee, in the currency of `port_code`. A body has either this or `budget`; the other one comes with the quote.",
            "1000",
        )
        .optional()
        .on_create(Input::Optional),
        Attribute::new(
            "budget",
            ValueType::Decimal,
            "Money from the payer, in the currency of the request. A body has either this or `amount`; the other one comes with the quote.",
            "500",
        )
        .optional()
        .on_create(Input::Optional),
        Attribute::new("port_code", ValueType::OneOf(&ports::CODES), "Destination port.", r#""cl_clp""#)
            .on_create(Input::Required),
        Attribute::new("state", ValueType::OneOf(&state::NAMES), "State of the payment.", r#""accepting""#),
        Attribute::new(
            "rejection_reason",
            ValueType::Text { longest: LONGEST_REASON },
            "Reason of a rejection.",
            r#""the preliminary checks failed""#,
        )
        .optional(),
        Attribute::new(
            "failure_reason",
            ValueType::Text { longest: LONGEST_REASON },
            "Reason of the last failed attempt.",
            r#""the receiving bank refused the payment""#,
        )
        .optional(),
    ],
    relationships: &[
        Relationship::to_one("request", &requests::document::SCHEMA).on_create(Input::Required),
        Relationship::to_one("user", &users::document::SCHEMA).on_create(Input::Required),
        Relationship::to_one("withdrawal_instruction", &withdrawal_instructions::document::SCHEMA)
            .on_create(Input::Required),
    ],
    references: &[],
    default_include: &["user", "withdrawal_instruction"],
    sort: &["state", "port_code"],
    filters: &[
        Filter::new("request_id", Values::Ids),
        Filter::new("user_id", Values::Ids),
        Filter::new("state", Values::OneOf(&state::NAMES)),
        Filter::new("port_code", Values::Text),
    ],
};

/// Reads the document of a new output.
/// Returns the reader too, for [`explain`].
///
/// # Errors
/// Every fault of the document.
pub fn read_new(body: &[u8]) -> Result<(NewOutput, Reader), Errors> {
    let mut reader = Reader::open(body, &SCHEMA, Purpose::Create)?;
    let port_code = ports::read_code(&mut reader);
    let price = read_price(&mut reader);
    let request = reader.linkage(&SCHEMA, "request", true);
    let user = reader.linkage(&SCHEMA, "user", true);
    let instruction = reader.linkage(&SCHEMA, "withdrawal_instruction", true);
    match (port_code, price, request, user, instruction) {
        (Some(port_code), Some(price), Some(request), Some(user), Some(withdrawal_instruction)) => {
            Ok((NewOutput { request, user, withdrawal_instruction, port_code, price }, reader))
        }
        _ => Err(reader.into_errors()),
    }
}

/// Header for the scenario of a new output's payment.
pub const OUTCOME: &str = "Sandbox-Outcome";

/// Reads the scenario in the header [`OUTCOME`].
///
/// # Errors
/// 400 for an unknown scenario.
pub fn read_outcome(header: Option<&str>) -> Result<Option<Scenario>, Error> {
    let Some(name) = header else { return Ok(None) };
    let unknown = || {
        let known = TEST_VALUES.map(|value| value.name).join(", ");
        Error::new(HEADER_INVALID, format!("`{OUTCOME}` is {name:?}; it must be one of {known}")).header(OUTCOME)
    };
    Scenario::named(name).map(Some).ok_or_else(unknown)
}

/// Reads the price: exactly one of `amount` and `budget`.
pub fn read_price(reader: &mut Reader) -> Option<Price> {
    const CHOICE: &str = "give `amount` (for the payee) or `budget` (from the payer)";
    match (reader.is_null("amount"), reader.is_null("budget")) {
        (true, true) => {
            let detail = format!("`amount` and `budget` are missing; {CHOICE}");
            let (amount, budget) = (reader.pointer("amount"), reader.pointer("budget"));
            reader.fault_of_missing(AMOUNT_OR_BUDGET_MISSING, &reader.place(), &[&amount, &budget], detail);
            None
        }
        (false, false) => {
            let detail = format!("`budget` and `amount` are both given; {CHOICE}, not both");
            reader.fault(AMOUNT_AND_BUDGET_GIVEN, &reader.pointer("budget"), detail);
            None
        }
        (false, true) => reader.positive_decimal("amount", AMOUNT_NOT_POSITIVE).map(Price::Amount),
        (true, false) => reader.positive_decimal("budget", BUDGET_NOT_POSITIVE).map(Price::Budget),
    }
}

/// Explains the refusal of an output, with pointers into its document.
pub fn explain(mut reader: Reader, new: &NewOutput, outcome: &CreationResult) -> Errors {
    match outcome.request_state {
        None => reader.not_found("request", requests::document::SCHEMA.type_name, &new.request),
        Some(state) if !state.takes_outputs() => {
            let (id, state) = (new.request.number(), state.name());
            let detail = format!("request {id} is {state}; outputs can be added only to a draft");
            reader.fault(REQUEST_NOT_DRAFT, "/data/relationships/request/data/id", detail);
        }
        Some(_) => {}
    }
    if outcome.user.is_none() {
        reader.not_found("user", users::document::SCHEMA.type_name, &new.user);
    }
    match (&outcome.withdrawal_instruction, &outcome.user) {
        (None, _) => {
            let target = withdrawal_instructions::document::SCHEMA.type_name;
            reader.not_found("withdrawal_instruction", target, &new.withdrawal_instruction);
        }
        (Some(instruction), Some(user)) if instruction.user_id != user.id => {
            let (id, owner) = (instruction.id, instruction.user_id);
            let detail = format!("instruction {id} belongs to user {owner}; the output's user is {}", user.id);
            let pointer = "/data/relationships/withdrawal_instruction/data/id";
            reader.fault(INSTRUCTION_OF_ANOTHER_USER, pointer, detail);
        }
        (Some(_), _) => {}
    }
    reader.into_errors()
}

/// Renders an output as a resource.
/// Unknown attributes are left out.
pub fn render(output: &Output) -> Resource {
    let reason = |reason: &Option<String>| reason.clone().map(|reason| Value::Text(Some(reason)));
    let attributes = [
        ("amount", output.amount.clone().map(Value::Decimal)),
        ("budget", output.budget.clone().map(Value::Decimal)),
        ("port_code", Some(Value::Text(Some(output.port_code.clone())))),
        ("state", Some(Value::Name(output.state.name()))),
        ("rejection_reason", reason(&output.rejection_reason)),
        ("failure_reason", reason(&output.failure_reason)),
    ];
    Resource {
        schema: &SCHEMA,
        id: output.id.to_string(),
        attributes: attributes.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        relationships: vec![
            ("request", Linkage::ToOne(output.request_id.to_string())),
            ("user", Linkage::ToOne(output.user_id.to_string())),
            ("withdrawal_instruction", Linkage::ToOne(output.withdrawal_instruction_id.to_string())),
        ],
    }
}
