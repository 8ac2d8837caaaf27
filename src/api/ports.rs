//! `/api/concierge_ports`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::concierge::ports::{CODES, PORTS, SCHEMA, find, render};
use crate::jsonapi::error::Errors;
use crate::jsonapi::query::Target;
use crate::jsonapi::render::{Included, render_document};
use crate::jsonapi::schema::{Attribute, ValueType};
use crate::web::app::App;
use crate::web::call::{Call, answer, not_found};
use crate::web::numbered::Numbered;
use crate::web::route::{Answer, Key, Operation};

/// The code in a path.
const CODE: &[Attribute] = &[Attribute::new("id", ValueType::OneOf(&CODES), "Code of a port.", r#""cl_clp""#)];

/// `GET /api/concierge_ports`
pub const LIST: Operation = Operation::list(
    "listPorts",
    "Lists the ports: countries and currencies that money comes from and goes to.",
    &SCHEMA,
    Answer::Collection(&SCHEMA),
)
.key(Key::None);
/// `GET /api/concierge_ports/:id`
pub const SHOW: Operation =
    Operation::show("getPort", "Shows a port.", &SCHEMA, Answer::Document(200, &SCHEMA)).key(Key::None).path(CODE);

/// `GET /api/concierge_ports`
pub async fn list(State(_): State<App>, call: Call) -> Result<Response, Errors> {
    let page = Numbered::read(&call, &SCHEMA)?;
    let found = PORTS.iter().filter(|port| {
        page.filters().iter().all(|(filter, values)| {
            let value = if filter.name == "country" { port.country } else { port.currency };
            values.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
        })
    });
    Ok(page.respond(found.map(render).collect()))
}

/// `GET /api/concierge_ports/:id`
pub async fn show(State(_): State<App>, call: Call) -> Result<Response, Errors> {
    let query = call.query(&SCHEMA, Target::Single)?;
    let port = find(&call.id).ok_or_else(|| not_found(&SCHEMA, &call.id))?;
    Ok(answer(StatusCode::OK, render_document(&render(port), &Included::default(), &query)))
}
