//! Schema, reading and rendering of instructions.

use super::{NewWithdrawalInstruction, WithdrawalInstruction};
use crate::concierge::outputs::misspelling::Misspelling;
use crate::concierge::users;
use crate::jsonapi::document::{Purpose, Reader};
use crate::jsonapi::error::{ATTRIBUTE_INVALID, Errors};
use crate::jsonapi::render::{Linkage, Resource, Value};
use crate::jsonapi::schema::{Attribute, Filter, Input, Relationship, Schema, ValueType, Values};

crate::codes! {
    INSTRUCTION_IN_USE = 409 "withdrawal_instruction_in_use" "The instruction is in use";
}

/// Schema of instructions.
/// As an included resource, an instruction shows the known attributes only.
pub static SCHEMA: Schema = Schema {
    type_name: "withdrawal_instructions",
    path: "/api/withdrawal_instructions",
    example_id: "2121",
    pages_by_id: true,
    attributes: &[
        Attribute::new("label", ValueType::Text { longest: LONGEST }, "Name for people.", r#""bob's bank account""#)
            .nullable()
            .on_create(Input::Optional),
        Attribute::new("schema", ValueType::OneOf(&[BITEX]), "Schema of the body.", r#""bitex""#)
            .on_create(Input::Optional),
        Attribute::new("body", ValueType::Free, "Destination of the money, kept and returned as sent.", EXAMPLE_BODY)
            .on_create(Input::Required),
        Attribute::new(
            "payment_method_type",
            ValueType::Text { longest: LONGEST },
            "Kind of payment, kept as sent.",
            r#""international_bank""#,
        )
        .own_document()
        .nullable()
        .on_create(Input::Optional),
    ],
    relationships: &[Relationship::to_one("user", &users::document::SCHEMA).own_document().on_create(Input::Optional)],
    references: &[],
    default_include: &[],
    sort: &[],
    filters: &[Filter::new("user_id", Values::Ids)],
};

/// The documented body.
const EXAMPLE_BODY: &str = r#"{"payment_method":"international_bank","country":"US","account_type":"checking","name":"bob","city":"buenos aires","bank":"standard chartered","currency":"USD"}"#;
/// The only known schema of a body.
const BITEX: &str = "bitex";
/// Values of `body.payment_method`.
const PAYMENT_METHODS: [&str; 3] = ["domestic_bank", "international_bank", "third_party"];
const LONGEST: usize = 255;

/// Reads the document of a new instruction.
///
/// # Errors
/// Every fault of the document.
pub fn read_new(body: &[u8]) -> Result<(NewWithdrawalInstruction, Reader), Errors> {
    let mut reader = Reader::open(body, &SCHEMA, Purpose::Create)?;
    let new = read(&mut reader);
    let user = reader.linkage(&SCHEMA, "user", false);
    match new {
        Some(new) if reader.is_faultless() => Ok((NewWithdrawalInstruction { user, ..new }, reader)),
        _ => Err(reader.into_errors()),
    }
}

/// Reads the attributes of a new instruction.
/// The caller sets its user.
pub fn read(reader: &mut Reader) -> Option<NewWithdrawalInstruction> {
    let label = reader.text("label", LONGEST);
    let schema = reader.text("schema", LONGEST);
    if schema.as_deref().is_some_and(|schema| schema != BITEX) {
        reader.invalid("schema", format!("\"{BITEX}\""));
    }
    let payment_method_type = reader.text("payment_method_type", LONGEST);
    let body = read_body(reader)?;
    let schema = schema.unwrap_or_else(|| BITEX.to_owned());
    Some(NewWithdrawalInstruction { user: None, label, schema, body, payment_method_type })
}

fn read_body(reader: &mut Reader) -> Option<String> {
    const EXPECTED: &str = "an object with the destination of the money";
    let Some(body) = reader.object("body") else {
        // a body of another type is a recorded fault already
        if reader.is_null("body") {
            reader.missing("body", EXPECTED);
        }
        return None;
    };
    let text = serde_json::Value::Object(body.clone()).to_string();
    let method = body.get("payment_method").filter(|method| !method.is_null()).cloned();
    if let Some(method) = method
        && !method.as_str().is_some_and(|method| PAYMENT_METHODS.contains(&method))
    {
        let detail = format!("`payment_method` is {method}; it must be one of {}", PAYMENT_METHODS.join(", "));
        reader.fault(ATTRIBUTE_INVALID, &format!("{}/payment_method", reader.pointer("body")), detail);
        return None;
    }
    Some(text)
}

/// Returns the values of a new instruction that resemble a test value.
///
/// This is the moment to look: the request carries the value. Later, an output would bring up the same value again and
/// again, and its hot path would pay for that.
pub fn misspellings(new: &NewWithdrawalInstruction, reader: &mut Reader) -> Vec<Misspelling> {
    let number = reader.object("body").and_then(|body| match body.get("bank_account_number")? {
        serde_json::Value::String(text) => Misspelling::of_bank_account_number(text),
        serde_json::Value::Number(number) => Misspelling::of_bank_account_number(&number.to_string()),
        _ => None,
    });
    new.label.as_deref().and_then(Misspelling::of_label).into_iter().chain(number).collect()
}

/// Name of the attribute that may be large.
pub const BODY: &str = "body";

/// Renders an instruction as a resource.
pub fn render(instruction: &WithdrawalInstruction) -> Resource {
    render_owned(instruction.clone())
}

/// Renders an instruction as a resource, without a copy of its body.
pub fn render_owned(instruction: WithdrawalInstruction) -> Resource {
    Resource {
        schema: &SCHEMA,
        id: instruction.id.to_string(),
        attributes: vec![
            ("label", Value::Text(instruction.label)),
            ("schema", Value::Text(Some(instruction.schema))),
            (BODY, instruction.body.map_or(Value::Unread, Value::Json)),
            ("payment_method_type", Value::Text(instruction.payment_method_type)),
        ],
        relationships: vec![("user", Linkage::ToOne(instruction.user_id.to_string()))],
    }
}
