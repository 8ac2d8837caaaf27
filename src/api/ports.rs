//! `/api/concierge_ports`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::accounts::caller::{Access, Caller, authenticate};
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
pub async fn list(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let page = Numbered::read(&call, &SCHEMA)?;
    let found = PORTS.iter().filter(|port| {
        page.filters().iter().all(|(filter, values)| {
            let value = if filter.name == "country" { port.country } else { port.currency };
            values.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
        })
    });
    let caller = find_caller(&app, &call).await?;
    let origin = caller.as_ref().map_or(call.origin.without_account(), |caller| call.origin.for_caller(caller));
    page.respond(found.map(render).collect(), origin)
}

/// Finds the caller, whose account may have its own origin of links. The ports need no key, so any other is ignored.
async fn find_caller(app: &App, call: &Call) -> Result<Option<Caller>, Errors> {
    let Ok(credentials) = call.credentials() else { return Ok(None) };
    let found =
        app.database.run_repeatable(async |connection| authenticate(connection, credentials, Access::Read).await);
    match found.await {
        Err(errors) if errors.status() == 401 => Ok(None),
        found => found.map(Some),
    }
}

/// `GET /api/concierge_ports/:id`
pub async fn show(State(_): State<App>, call: Call) -> Result<Response, Errors> {
    let query = call.query(&SCHEMA, Target::Single)?;
    let port = find(&call.id).ok_or_else(|| not_found(&SCHEMA, &call.id))?;
    let origin = call.origin.without_account();
    Ok(answer(StatusCode::OK, render_document(&render(port), &Included::default(), &query, origin)))
}
