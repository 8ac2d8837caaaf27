//! `/api/users`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::accounts::caller::Access;
use crate::concierge::outputs::misspelling::Misspelling;
use crate::concierge::users::UserChanges;
use crate::concierge::users::document::{SCHEMA, WEBHOOK_URL_INVALID, read_changes, read_new, render};
use crate::concierge::users::store;
use crate::concierge::users::store::{NewUser, UserSelector};
use crate::jsonapi::document::strays::Stray;
use crate::jsonapi::document::{Purpose, id_number};
use crate::jsonapi::error::Errors;
use crate::jsonapi::query::{Query, Target};
use crate::jsonapi::render::{Included, render_document};
use crate::web::app::App;
use crate::web::call::{Call, answer, created, not_found};
use crate::web::listing;
use crate::web::remarks::remarked;
use crate::web::route::{Answer, Body, Operation};

/// Documents of a user.
const DOCUMENT: Answer = Answer::Document(200, &SCHEMA);
/// A change of a user.
const CHANGES: &str =
    r#"{"data":{"type":"users","id":"20202","attributes":{"webhook_url":"https://client.example.com/events"}}}"#;

/// `GET /api/users`
pub const LIST: Operation = Operation::list(
    "listUsers",
    "Lists the master user and the users it manages.",
    &SCHEMA,
    Answer::Collection(&SCHEMA),
);
/// `POST /api/users`
pub const CREATE: Operation = Operation::write(
    "createUser",
    "Creates a user, new until its approval.",
    &SCHEMA,
    Body::Create(&SCHEMA),
    Answer::Created(&SCHEMA),
)
.example(r#"{"data":{"type":"users","attributes":{"email":"maria@example.com"}}}"#);
/// `GET /api/users/me`
pub const SHOW_ME: Operation = Operation::show("getActingUser", "Shows the acting user.", &SCHEMA, DOCUMENT);
/// `PATCH /api/users/me`
pub const UPDATE_ME: Operation = Operation::write(
    "updateActingUser",
    "Changes the acting user, for example its `webhook_url`.",
    &SCHEMA,
    Body::Update(&SCHEMA),
    DOCUMENT,
)
.example(CHANGES)
.codes(&[WEBHOOK_URL_INVALID]);
/// `GET /api/users/:id`
pub const SHOW: Operation = Operation::show("getUser", "Shows a user.", &SCHEMA, DOCUMENT);
/// `PATCH /api/users/:id`
pub const UPDATE: Operation =
    Operation::write("updateUser", "Changes a user.", &SCHEMA, Body::Update(&SCHEMA), DOCUMENT)
        .example(CHANGES)
        .codes(&[WEBHOOK_URL_INVALID]);

/// `GET /api/users`: the master user and its managed users.
pub async fn list(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    listing::respond(&app, &call, &SCHEMA, &store::TABLE, render).await
}

/// `POST /api/users`: creates a user and schedules its approval.
pub async fn create(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let credentials = call.credentials()?;
    let read = call.query(&SCHEMA, Target::Single).and_then(|query| Ok((query, read_new(&call.body)?)));
    let (query, (email, strays)) = call.authorize_parsed(&app, Access::Write, read).await?;
    let create = |id| {
        let (email, now, timing) = (email.as_deref(), app.clock.now(), &app.rules.timing);
        app.database.run(async move |connection| store::create(connection, credentials, id, email, now, timing).await)
    };
    let (_, caller, user) = app.ids.with(&app.database, credentials, SCHEMA.type_name, create).await?;
    let NewUser { user, due_at } = user.ok_or_else(|| not_found(&SCHEMA, "me"))?;
    app.schedule(&caller, due_at).await;
    let user = render(&user);
    let origin = call.origin.for_caller(&caller);
    let response = created(origin, &SCHEMA, &user.id, render_document(&user, &Included::default(), &query, origin));
    Ok(remarked(remarked(response, strays), email.as_deref().and_then(Misspelling::of_email)))
}

/// `GET /api/users/me`: the acting user.
pub async fn show_me(app: State<App>, call: Call) -> Result<Response, Errors> {
    show_user(app, call, UserSelector::Caller).await
}

/// `GET /api/users/:id`
pub async fn show(app: State<App>, call: Call) -> Result<Response, Errors> {
    let which = UserSelector::Id(id_number(&call.id));
    show_user(app, call, which).await
}

async fn show_user(State(app): State<App>, call: Call, which: UserSelector) -> Result<Response, Errors> {
    let query = call.query(&SCHEMA, Target::Single);
    let query = call.authorize_parsed(&app, Access::Read, query).await?;
    let credentials = call.credentials()?;
    let found = app.database.run(async |connection| store::find(connection, credentials, which).await).await?;
    respond(&call, found, &query)
}

/// `PATCH /api/users/me`: ignores an id in the document.
pub async fn update_me(app: State<App>, call: Call) -> Result<Response, Errors> {
    let changes = read_changes(&call.body, Purpose::UpdateByRole, &app.address_rules);
    update_user(app, call, UserSelector::Caller, changes).await
}

/// `PATCH /api/users/:id`
pub async fn update(app: State<App>, call: Call) -> Result<Response, Errors> {
    let changes = read_changes(&call.body, Purpose::Update(&call.id), &app.address_rules);
    let which = UserSelector::Id(id_number(&call.id));
    update_user(app, call, which, changes).await
}

async fn update_user(
    State(app): State<App>,
    call: Call,
    which: UserSelector,
    changes: Result<(UserChanges, Vec<Stray>), Errors>,
) -> Result<Response, Errors> {
    let credentials = call.credentials()?;
    let read = call.query(&SCHEMA, Target::Single).and_then(|query| Ok((query, changes?)));
    let (query, (changes, strays)) = call.authorize_parsed(&app, Access::Write, read).await?;
    let seen = &call.origin.request;
    let updated =
        app.database.run(async |connection| store::update(connection, credentials, which, &changes, seen).await);
    let response = respond(&call, updated.await?, &query)?;
    let email = changes.email.as_ref().and_then(Option::as_deref);
    Ok(remarked(remarked(response, strays), email.and_then(Misspelling::of_email)))
}

/// Answers the document of a user, or 404.
fn respond(call: &Call, (caller, user): store::FoundUser, query: &Query) -> Result<Response, Errors> {
    let user = render(&user.ok_or_else(|| not_found(&SCHEMA, &call.id))?);
    let origin = call.origin.for_caller(&caller);
    Ok(answer(StatusCode::OK, render_document(&user, &Included::default(), query, origin)))
}
