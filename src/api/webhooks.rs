//! Webhooks, the older API for the receiver of events.
//!
//! A webhook is a view of the acting user's `webhook_url`; its id is the user's (known: type and attribute).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::accounts::caller::Access;
use crate::concierge::users::document::read_webhook_url;
use crate::concierge::users::store::UserSelector;
use crate::concierge::users::{User, UserChanges, store};
use crate::events::address::AddressRules;
use crate::jsonapi::document::strays::Stray;
use crate::jsonapi::document::{Purpose, Reader};
use crate::jsonapi::error::Errors;
use crate::jsonapi::query::Target;
use crate::jsonapi::render::{Included, Resource, Value, render_document};
use crate::jsonapi::schema::{Attribute, Schema};
use crate::web::app::App;
use crate::web::call::{Call, answer, created, not_found};
use crate::web::numbered::Numbered;
use crate::web::remarks::remarked;

/// Schema of webhooks.
pub static SCHEMA: Schema = Schema {
    type_name: "webhooks",
    path: "/api/webhooks",
    attributes: &[Attribute::new("url")],
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

/// `GET /api/webhooks`: one webhook or none.
pub async fn list(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let page = Numbered::read(&call, &SCHEMA);
    let page = call.authorize_parsed(&app, Access::Read, page).await?;
    Ok(page.respond(find(&app, &call).await?.into_iter().collect()))
}

/// `GET /api/webhooks/:id`
pub async fn show(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let query = call.query(&SCHEMA, Target::Single);
    let query = call.authorize_parsed(&app, Access::Read, query).await?;
    let found = find(&app, &call).await?.filter(|webhook| webhook.id == call.id);
    let webhook = found.ok_or_else(|| not_found(&SCHEMA, &call.id))?;
    Ok(answer(StatusCode::OK, render_document(&webhook, &Included::default(), &query)))
}

/// `POST /api/webhooks`: sets the URL, or replaces it.
pub async fn create(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let read =
        call.query(&SCHEMA, Target::Single).and_then(|query| Ok((query, read_url(&call.body, &app.address_rules)?)));
    let (query, (url, strays)) = call.authorize_parsed(&app, Access::Write, read).await?;
    let changes = UserChanges { webhook_url: Some(Some(url)), ..UserChanges::default() };
    let credentials = call.credentials()?;
    let updated = app
        .database
        .run(async |connection| store::update(connection, credentials, UserSelector::Caller, &changes).await);
    let webhook = updated.await?.as_ref().and_then(render);
    let webhook = webhook.ok_or_else(|| not_found(&SCHEMA, "me"))?;
    let response = created(&SCHEMA, &webhook.id, render_document(&webhook, &Included::default(), &query));
    Ok(remarked(response, strays))
}

/// Loads the webhook of the acting user.
async fn find(app: &App, call: &Call) -> Result<Option<Resource>, Errors> {
    let credentials = call.credentials()?;
    let found = app.database.run(async |connection| store::find(connection, credentials, UserSelector::Caller).await);
    Ok(found.await?.as_ref().and_then(render))
}
