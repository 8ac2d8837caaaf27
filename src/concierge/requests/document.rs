//! A request's schema, reading and rendering.

use super::{ConciergeRequest, NewConciergeRequest, state};
use crate::concierge::{outputs, ports, users};
use crate::jsonapi::document::{Purpose, Reader};
use crate::jsonapi::error::Errors;
use crate::jsonapi::render::{Linkage, Resource, Value};
use crate::jsonapi::schema::{Attribute, Filter, Relationship, Schema, Values};

/// What a request's document shows.
pub static SCHEMA: Schema = Schema {
    type_name: "concierge_requests",
    path: "/api/concierge_requests",
    attributes: &[
        Attribute::new("state"),
        Attribute::new("port_code"),
        Attribute::new("external_id"),
        Attribute::new("payment_authorization_code"),
    ],
    relationships: &[
        Relationship { name: "user", target: &users::SCHEMA, when_included: true },
        Relationship { name: "outputs", target: &outputs::SCHEMA, when_included: true },
    ],
    default_include: &[],
    sort: &["state"],
    filters: &[
        Filter { name: "state", values: Values::OneOf(&state::NAMES) },
        Filter { name: "user_id", values: Values::Ids },
        Filter { name: "external_id", values: Values::Text },
    ],
};

const LONGEST: usize = 255;

/// Reads the document of a new request.
///
/// # Errors
/// Every fault of the document.
pub fn read_new(body: &[u8]) -> Result<(NewConciergeRequest, Reader), Errors> {
    let mut reader = Reader::open(body, &SCHEMA, Purpose::Create)?;
    let port_code = ports::read_code(&mut reader);
    let external_id = reader.text("external_id", LONGEST);
    let payment_authorization_code = reader.text("payment_authorization_code", LONGEST);
    let user = reader.linkage(&SCHEMA, "user", false);
    match port_code {
        Some(port_code) if reader.is_faultless() => {
            Ok((NewConciergeRequest { user, port_code, external_id, payment_authorization_code }, reader))
        }
        _ => Err(reader.into_errors()),
    }
}

/// A request as a resource.
pub fn render(request: &ConciergeRequest) -> Resource {
    Resource {
        schema: &SCHEMA,
        id: request.id.to_string(),
        attributes: vec![
            ("state", Value::Name(request.state.name())),
            ("port_code", Value::Text(Some(request.port_code.clone()))),
            ("external_id", Value::Text(request.external_id.clone())),
            ("payment_authorization_code", Value::Text(request.payment_authorization_code.clone())),
        ],
        relationships: vec![
            ("user", Linkage::ToOne(request.user_id.to_string())),
            ("outputs", Linkage::ToMany(request.outputs.iter().map(i64::to_string).collect())),
        ],
    }
}
