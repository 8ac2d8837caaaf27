//! Schema, reading and rendering of requests.

use serde_json::Value as Json;

use super::{ConciergeRequest, NewConciergeRequest, RequestChanges, state};
use crate::concierge::{outputs, ports, users};
use crate::jsonapi::document::strays::Stray;
use crate::jsonapi::document::{Purpose, Reader};
use crate::jsonapi::error::{ATTRIBUTE_INVALID, Error, Errors};
use crate::jsonapi::render::{Linkage, Resource, Value};
use crate::jsonapi::schema::{Attribute, Filter, Relationship, Schema, Values};

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
    attributes: &[
        Attribute::new("state"),
        Attribute::new("port_code"),
        Attribute::new("amount"),
        Attribute::new("total_to_spend"),
        Attribute::new("funds_available"),
        Attribute::new("eta"),
        Attribute::new("quote_requested_at"),
        Attribute::new("accept_quote_before"),
        Attribute::new("quote_accepted_at"),
        Attribute::new("provision_funds_before"),
        Attribute::new("cancellable_until"),
        Attribute::new("cancellation_reason"),
        Attribute::new("receipt_url"),
        Attribute::new("credit_note_url"),
        Attribute::new("external_id"),
        Attribute::new("payment_authorization_code"),
        Attribute::new("outputs_count"),
        Attribute::new("outputs_total"),
        Attribute::new(COUNTERS[0]),
        Attribute::new(COUNTERS[1]),
        Attribute::new(COUNTERS[2]),
        Attribute::new(COUNTERS[3]),
        Attribute::new(COUNTERS[4]),
        Attribute::new(COUNTERS[5]),
        Attribute::new(COUNTERS[6]),
        Attribute::new(COUNTERS[7]),
        Attribute::new(COUNTERS[8]),
    ],
    relationships: &[
        Relationship { name: "user", target: &users::document::SCHEMA, when_included: true },
        Relationship { name: "outputs", target: &outputs::document::SCHEMA, when_included: true },
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
