//! Schema, reading and rendering of requests.

use serde_json::Value as Json;

use super::{ConciergeRequest, NewConciergeRequest, RequestChanges, state};
use crate::concierge::{outputs, ports, users};
use crate::jsonapi::document::strays::Stray;
use crate::jsonapi::document::{Purpose, Reader};
use crate::jsonapi::error::{ATTRIBUTE_INVALID, Error, Errors};
use crate::jsonapi::render::{Linkage, Resource, Value};
use crate::jsonapi::schema::{Attribute, Filter, Input, Relationship, Schema, ValueType, Values};

/// Counters of outputs, one for each state.
const COUNTERS: [&str; 9] = [
    "outputs_accepting",
    "outputs_accepted",
    "outputs_rejected",
    "outputs_working",
    "outputs_settling",
    "outputs_settled",
    "outputs_failed",
    "outputs_returned",
    "outputs_cancelled",
];

/// Schema of requests, with the attributes of both editions of the guides.
/// `amount`, `cancellable_until` and `outputs_total` are the older names of
/// `total_to_spend`, `accept_quote_before` and `outputs_count`.
pub static SCHEMA: Schema = Schema {
    type_name: "concierge_requests",
    path: "/api/concierge_requests",
    example_id: "1010",
    pages_by_id: true,
    attributes: &[
        Attribute::new("state", ValueType::OneOf(&state::NAMES), "State of the request.", r#""draft""#),
        Attribute::new("port_code", ValueType::OneOf(&ports::CODES), "Origin port.", r#""ar_ars""#)
            .on_create(Input::Required),
        Attribute::new("amount", ValueType::Decimal, "Older name of `total_to_spend`.", "18973.47").nullable(),
        Attribute::new(
            "total_to_spend",
            ValueType::Decimal,
            "Price of all outputs, in the origin's currency; set by the quote.",
            "18973.47",
        )
        .nullable(),
        Attribute::new(
            "funds_available",
            ValueType::Decimal,
            "Money in the payer's wallet, in the origin's currency.",
            "1000000",
        ),
        moment("eta", "Due time of the quote."),
        moment("quote_requested_at", "Time of the request for a quote."),
        moment("accept_quote_before", "End of the quote."),
        moment("quote_accepted_at", "Time of acceptance."),
        moment("provision_funds_before", "Deadline for the money."),
        moment("cancellable_until", "Older name of `accept_quote_before`."),
        Attribute::new(
            "cancellation_reason",
            ValueType::OneOf(&state::CANCELLATION_REASONS),
            "Reason of a cancellation.",
            r#""cancelled_by_user""#,
        )
        .nullable(),
        Attribute::new(
            "receipt_url",
            ValueType::Url,
            "Page of the receipt; set when finished.",
            r#""http://localhost:8080/receipts/K3zTq""#,
        )
        .nullable(),
        Attribute::new(
            "credit_note_url",
            ValueType::Url,
            "Page of the credit note, if money came back.",
            r#""http://localhost:8080/credit_notes/K3zTq""#,
        )
        .nullable(),
        Attribute::new(
            "external_id",
            ValueType::Text { longest: LONGEST },
            "Your own reference.",
            r#""payroll, March #7""#,
        )
        .nullable()
        .on_create(Input::Optional)
        .on_update(),
        Attribute::new(
            "payment_authorization_code",
            ValueType::Text { longest: LONGEST },
            "Your code of authorization, kept as sent.",
            r#""A-1207""#,
        )
        .nullable()
        .on_create(Input::Optional)
        .on_update(),
        count("outputs_count", "Number of outputs."),
        count("outputs_total", "Older name of `outputs_count`."),
        count(COUNTERS[0], "Number of outputs under preliminary checks."),
        count(COUNTERS[1], "Number of outputs accepted."),
        count(COUNTERS[2], "Number of outputs rejected."),
        count(COUNTERS[3], "Number of outputs on their way."),
        count(COUNTERS[4], "Number of outputs at the receiving bank."),
        count(COUNTERS[5], "Number of outputs settled."),
        count(COUNTERS[6], "Number of outputs failed and not yet retried or returned."),
        count(COUNTERS[7], "Number of outputs returned."),
        count(COUNTERS[8], "Number of outputs cancelled."),
    ],
    relationships: &[
        Relationship::to_one("user", &users::document::SCHEMA).on_create(Input::Optional),
        Relationship::to_many("outputs", &outputs::document::SCHEMA),
    ],
    references: &[],
    default_include: &[],
    sort: &["state"],
    filters: &[
        Filter::new("state", Values::OneOf(&state::NAMES)),
        Filter::new("user_id", Values::Ids),
        Filter::new("external_id", Values::Text),
    ],
};

const LONGEST: usize = 255;

/// Declares a time, unset at first.
const fn moment(name: &'static str, about: &'static str) -> Attribute {
    Attribute::new(name, ValueType::Time, about, r#""2019-11-25T12:53:02.741Z""#).nullable()
}

/// Declares a counter of outputs.
const fn count(name: &'static str, about: &'static str) -> Attribute {
    Attribute::new(name, ValueType::Integer { least: 0, most: i64::MAX }, about, "1")
}

/// Reads the document of a new request.
///
/// # Errors
/// Every fault of the document.
pub fn read_new(body: &[u8]) -> Result<(NewConciergeRequest, Reader), Errors> {
    let mut reader = Reader::open(body, &SCHEMA, Purpose::Create)?;
    let new = read(&mut reader);
    let user = reader.linkage(&SCHEMA, "user", false);
    match new {
        Some(new) if reader.is_faultless() => Ok((NewConciergeRequest { user, ..new }, reader)),
        _ => Err(reader.into_errors()),
    }
}

/// Reads the attributes of a new request.
/// The caller sets its payer.
pub fn read(reader: &mut Reader) -> Option<NewConciergeRequest> {
    let port_code = ports::read_code(reader);
    let external_id = reader.text("external_id", LONGEST);
    let payment_authorization_code = reader.text("payment_authorization_code", LONGEST);
    Some(NewConciergeRequest { user: None, port_code: port_code?, external_id, payment_authorization_code })
}

/// Reads the changes of a PATCH, and the members without effect: an absent attribute is kept, `null` clears it.
///
/// # Errors
/// Every fault of the document.
pub fn read_changes(body: &[u8], id: &str) -> Result<(RequestChanges, Vec<Stray>), Errors> {
    let mut reader = Reader::open(body, &SCHEMA, Purpose::Update(id))?;
    let mut text = |name: &str| reader.has_attribute(name).then(|| reader.text(name, LONGEST));
    let changes = RequestChanges {
        external_id: text("external_id"),
        payment_authorization_code: text("payment_authorization_code"),
    };
    let strays = reader.strays(&SCHEMA, &[]);
    reader.finish(Some((changes, strays)))
}

/// Reads the `hint_token` of a `request_quote`.
/// The rest of an action's body has no effect (known: clients send nothing, an identifier, or a whole resource).
///
/// # Errors
/// 422 if the token is not a string.
pub fn read_hint_token(body: &[u8]) -> Result<Option<String>, Errors> {
    let Ok(document) = serde_json::from_slice::<Json>(body) else { return Ok(None) };
    match document.pointer(HINT_TOKEN) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(token)) => Ok(Some(token.clone())),
        Some(_) => {
            let detail = "`hint_token` must be the token of an estimate, a string of 64 hexadecimal digits";
            Err(Error::new(ATTRIBUTE_INVALID, detail).at(HINT_TOKEN).into())
        }
    }
}

/// JSON pointer of the `hint_token`.
pub const HINT_TOKEN: &str = "/data/attributes/hint_token";

/// Renders a request as a resource.
pub fn render(request: &ConciergeRequest) -> Resource {
    let progress = &request.progress;
    let text = |text: &Option<String>| Value::Text(text.clone());
    let time = |time: Option<time::OffsetDateTime>| time.map_or(Value::Null, Value::Time);
    let page = |shown: bool, path: &str| match &request.receipt_token {
        Some(token) if shown => Value::Link(format!("{path}/{token}")),
        _ => Value::Null,
    };
    let total = progress.total_to_spend.clone().map_or(Value::Null, Value::Decimal);
    let accept_before = time(progress.timetable.map(|timetable| timetable.accept_quote_before));
    let count = Value::Integer(request.counts.iter().sum());
    let mut attributes = vec![
        ("state", Value::Name(progress.state.name())),
        ("port_code", Value::Text(Some(progress.port_code.clone()))),
        ("amount", total.clone()),
        ("total_to_spend", total),
        ("funds_available", Value::Decimal(request.funds_available.clone())),
        ("eta", time(progress.timetable.map(|timetable| timetable.eta))),
        ("quote_requested_at", time(progress.quote_requested_at)),
        ("accept_quote_before", accept_before.clone()),
        ("quote_accepted_at", time(progress.quote_accepted_at)),
        ("provision_funds_before", time(progress.timetable.map(|timetable| timetable.provision_funds_before))),
        ("cancellable_until", accept_before),
        ("cancellation_reason", text(&progress.cancellation_reason)),
        ("receipt_url", page(true, "/receipts")),
        ("credit_note_url", page(progress.has_credit_note(), "/credit_notes")),
        ("external_id", text(&request.external_id)),
        ("payment_authorization_code", text(&request.payment_authorization_code)),
        ("outputs_count", count.clone()),
        ("outputs_total", count),
    ];
    attributes.extend(COUNTERS.into_iter().zip(request.counts.iter().map(|count| Value::Integer(*count))));
    Resource {
        schema: &SCHEMA,
        id: progress.id.to_string(),
        attributes,
        relationships: vec![
            ("user", Linkage::ToOne(progress.user_id.to_string())),
            ("outputs", Linkage::ToMany(request.outputs.iter().map(i64::to_string).collect())),
        ],
    }
}
