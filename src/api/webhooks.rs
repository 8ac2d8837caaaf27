//! Webhooks, the older API for the receiver of events.
//!
//! A webhook is a view of the acting user's `webhook_url`; its id is the user's (known: type and attribute).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::accounts::caller::{Access, Caller};
use crate::concierge::users::document::{WEBHOOK_URL_INVALID, read_webhook_url};
use crate::concierge::users::store::UserSelector;
use crate::concierge::users::{User, UserChanges, store};
use crate::events::address::AddressRules;
use crate::jsonapi::document::strays::Stray;
use crate::jsonapi::document::{Purpose, Reader};
use crate::jsonapi::error::Errors;
use crate::jsonapi::query::Target;
use crate::jsonapi::render::{Included, Resource, Value, render_absent, render_document};
use crate::jsonapi::schema::{Attribute, Input, Schema, ValueType};
use crate::web::app::App;
use crate::web::call::{Call, answer, not_found};
use crate::web::remarks::remarked;
use crate::web::route::{Answer, Body, Operation};

/// Schema of webhooks.
pub static SCHEMA: Schema = Schema {
    type_name: "webhooks",
    path: "/api/webhooks",
    example_id: "50505",
    pages_by_id: false,
    attributes: &[Attribute::new(
        "url",
        ValueType::Text { longest: usize::MAX },
        "Receiver of the acting user's events.",
        r#""https://client.example.com/events""#,
    )
    .on_create(Input::Required)],
    relationships: &[],
    references: &[],
    default_include: &[],
    sort: &[],
    filters: &[],
};

/// Reads the URL in the document of a webhook, and the members without effect. `rules` must allow the URL.
///
/// # Errors
/// Every fault of the document.
fn read_url(body: &[u8], rules: &AddressRules) -> Result<(String, Vec<Stray>), Errors> {
    let mut reader = Reader::open(body, &SCHEMA, Purpose::Create)?;
    if reader.is_null("url") {
        reader.missing("url", "the URL to send events to");
    }
    let url = read_webhook_url(&mut reader, "url", rules);
    let strays = reader.strays(&SCHEMA, &[]);
    reader.finish(url.map(|url| (url, strays)))
}

/// Renders a user's webhook, if the user has one.
fn render(user: &User) -> Option<Resource> {
    user.webhook_url.as_ref().map(|url| Resource {
        schema: &SCHEMA,
        id: user.id.to_string(),
        attributes: vec![("url", Value::Text(Some(url.clone())))],
        relationships: Vec::new(),
    })
}

/// `GET /api/webhooks`
pub const SHOW_OWN: Operation = Operation::show(
    "getOwnWebhook",
    "Shows the acting user's webhook, if there is one.",
    &SCHEMA,
    Answer::DocumentOrNull(&SCHEMA),
);
/// `POST /api/webhooks`
pub const CREATE: Operation = Operation::write(
    "createWebhook",
    "Sets the acting user's `webhook_url`.",
    &SCHEMA,
    Body::Create(&SCHEMA),
    Answer::Document(200, &SCHEMA),
)
.example(r#"{"data":{"type":"webhooks","attributes":{"url":"https://client.example.com/events"}}}"#)
.codes(&[WEBHOOK_URL_INVALID]);
/// `GET /api/webhooks/:id`
pub const SHOW: Operation =
    Operation::show("getWebhook", "Shows a webhook by its id, the user's.", &SCHEMA, Answer::Document(200, &SCHEMA));

/// `GET /api/webhooks`: the webhook of the acting user, or `null` (known: one resource, no list).
pub async fn show_own(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let query = call.query(&SCHEMA, Target::Single);
    let query = call.authorize_parsed(&app, Access::Read, query).await?;
    let (caller, webhook) = find(&app, &call).await?;
    let origin = call.origin.for_caller(&caller);
    let document = match webhook {
        Some(webhook) => render_document(&webhook, &Included::default(), &query, origin),
        None => render_absent(&query, origin),
    };
    Ok(answer(StatusCode::OK, document))
}

/// `GET /api/webhooks/:id`
pub async fn show(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let query = call.query(&SCHEMA, Target::Single);
    let query = call.authorize_parsed(&app, Access::Read, query).await?;
    let (caller, found) = find(&app, &call).await?;
    let webhook = found.filter(|webhook| webhook.id == call.id).ok_or_else(|| not_found(&SCHEMA, &call.id))?;
    let origin = call.origin.for_caller(&caller);
    Ok(answer(StatusCode::OK, render_document(&webhook, &Included::default(), &query, origin)))
}

/// `POST /api/webhooks`: sets the URL, or replaces it. Answers 200 (known): it creates no resource beside the user.
pub async fn create(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let read =
        call.query(&SCHEMA, Target::Single).and_then(|query| Ok((query, read_url(&call.body, &app.address_rules)?)));
    let (query, (url, strays)) = call.authorize_parsed(&app, Access::Write, read).await?;
    let changes = UserChanges { webhook_url: Some(Some(url)), ..UserChanges::default() };
    let credentials = call.credentials()?;
    let seen = &call.origin.request;
    let updated = app
        .database
        .run(async |connection| store::update(connection, credentials, UserSelector::Caller, &changes, seen).await);
    let (caller, user) = updated.await?;
    let webhook = user.as_ref().and_then(render).ok_or_else(|| not_found(&SCHEMA, "me"))?;
    let origin = call.origin.for_caller(&caller);
    let response = answer(StatusCode::OK, render_document(&webhook, &Included::default(), &query, origin));
    Ok(remarked(response, strays))
}

/// Loads the webhook of the acting user.
async fn find(app: &App, call: &Call) -> Result<(Caller, Option<Resource>), Errors> {
    let credentials = call.credentials()?;
    let found = app.database.run(async |connection| store::find(connection, credentials, UserSelector::Caller).await);
    let (caller, user) = found.await?;
    Ok((caller, user.as_ref().and_then(render)))
}
