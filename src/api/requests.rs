//! `/api/concierge_requests`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::accounts::caller::Access;
use crate::concierge::requests::actions::{
    ACTION_NOT_POSSIBLE, Action, HINT_TOKEN_EXPIRED, HINT_TOKEN_MISMATCH, HINT_TOKEN_UNKNOWN, OUTPUTS_MISSING,
};
use crate::concierge::requests::document::{SCHEMA, read_changes, read_hint_token, read_new, render};
use crate::concierge::requests::{actions, store};
use crate::concierge::users;
use crate::events::Cause;
use crate::jsonapi::document::id_number;
use crate::jsonapi::error::{ATTRIBUTE_INVALID, Errors, RELATED_RESOURCE_NOT_FOUND};
use crate::jsonapi::query::{Query, Target};
use crate::jsonapi::schema::{Attribute, Input, ValueType};
use crate::web::answers::Blamed;
use crate::web::app::App;
use crate::web::call::{Call, answer, created, not_found};
use crate::web::remarks::remarked;
use crate::web::route::{Answer, Body, Operation};
use crate::web::{include, listing};

/// The document of a request.
const DOCUMENT: Answer = Answer::Document(200, &SCHEMA);
/// The attribute of an action.
const HINT: &[Attribute] = &[Attribute::new(
    "hint_token",
    ValueType::Text { longest: usize::MAX },
    "Token of an estimate of the same outputs, to get its prices.",
    r#""5f3c9ad0c6a0e3f1e2d7b8a9415263748596a7b8c9d0e1f2031425364758697a""#,
)
.on_create(Input::Optional)];

/// `GET /api/concierge_requests`
pub const LIST: Operation = Operation::list("listRequests", "Lists requests.", &SCHEMA, Answer::Collection(&SCHEMA));
/// `POST /api/concierge_requests`
pub const CREATE: Operation = Operation::write(
    "createRequest",
    "Creates a draft: a payment to come, with one payer and many outputs.",
    &SCHEMA,
    Body::Create(&SCHEMA),
    Answer::Created(&SCHEMA),
)
.example(
    r#"{"data":{"type":"concierge_requests","attributes":{"port_code":"ar_ars","external_id":"payroll, March #7"}}}"#,
)
.codes(&[RELATED_RESOURCE_NOT_FOUND]);
/// `GET /api/concierge_requests/:id`
pub const SHOW: Operation = Operation::show("getRequest", "Shows a request.", &SCHEMA, DOCUMENT);
/// `PATCH /api/concierge_requests/:id`
pub const UPDATE: Operation = Operation::write(
    "updateRequest",
    "Changes `external_id` or `payment_authorization_code`.",
    &SCHEMA,
    Body::Update(&SCHEMA),
    DOCUMENT,
)
.example(r#"{"data":{"type":"concierge_requests","id":"1010","attributes":{"payment_authorization_code":"A-1207"}}}"#);
/// `POST /api/concierge_requests/:id/request_quote`
pub const REQUEST_QUOTE: Operation =
    action("requestQuote", "Asks for a price; the request takes no more outputs.", HINT).codes(&[
        ACTION_NOT_POSSIBLE,
        ATTRIBUTE_INVALID,
        OUTPUTS_MISSING,
        HINT_TOKEN_UNKNOWN,
        HINT_TOKEN_EXPIRED,
        HINT_TOKEN_MISMATCH,
    ]);
/// `POST /api/concierge_requests/:id/accept_quote`
pub const ACCEPT_QUOTE: Operation = action("acceptQuote", "Accepts the price, before the quote ends.", &[]);
/// `POST /api/concierge_requests/:id/cancel`
pub const CANCEL: Operation = action("cancelRequest", "Cancels a request before its acceptance.", &[]);

const fn action(id: &'static str, summary: &'static str, attributes: &'static [Attribute]) -> Operation {
    Operation::write(id, summary, &SCHEMA, Body::Action(&SCHEMA, attributes), DOCUMENT)
        .codes(&[ACTION_NOT_POSSIBLE])
        .example(r#"{"data":{"type":"concierge_requests","id":"1010"}}"#)
}

/// `GET /api/concierge_requests`
pub async fn list(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    listing::respond(&app, &call, &SCHEMA, &store::TABLE, render).await
}

/// `POST /api/concierge_requests`: creates a draft.
pub async fn create(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let credentials = call.credentials()?;
    let read = call.query(&SCHEMA, Target::Single).and_then(|query| Ok((query, read_new(&call.body)?)));
    let (query, (new, mut reader)) = call.authorize_parsed(&app, Access::Write, read).await?;
    let draft = |id| {
        let (new, clock, rules) = (&new, &app.clock, &app.rules);
        let cause = Cause::request(&call.request_id);
        app.database.run(async move |connection| {
            actions::draft(connection, credentials, id, new, clock.now(), rules, cause).await
        })
    };
    let (id, caller, request) = app.ids.with(&app.database, credentials, SCHEMA.type_name, draft).await?;
    let Some(request) = request else {
        if let Some(user) = &new.user {
            reader.not_found("user", users::document::SCHEMA.type_name, user);
        }
        return Err(id.refused(reader.into_errors()));
    };
    app.notify(&caller);
    let mut request = render(&request);
    let document = include::document(&app, (&call, &caller), &mut request, Vec::new(), &query, None).await?;
    let response = created(call.origin.for_caller(&caller), &SCHEMA, &request.id, document);
    Ok(remarked(response, reader.strays(&SCHEMA, &[])))
}

/// `GET /api/concierge_requests/:id`
pub async fn show(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let query = call.query(&SCHEMA, Target::Single);
    let query = call.authorize_parsed(&app, Access::Read, query).await?;
    let (credentials, id) = (call.credentials()?, id_number(&call.id));
    let found = app.database.run(async |connection| store::find(connection, credentials, id).await).await?;
    respond(&app, &call, found, &query, Some(Blamed::Include)).await
}

/// `PATCH /api/concierge_requests/:id`
pub async fn update(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let credentials = call.credentials()?;
    let changes = read_changes(&call.body, &call.id);
    let read = call.query(&SCHEMA, Target::Single).and_then(|query| Ok((query, changes?)));
    let (query, (changes, strays)) = call.authorize_parsed(&app, Access::Write, read).await?;
    let id = id_number(&call.id);
    let updated = app.database.run(async |connection| {
        let now = app.clock.now();
        store::update(connection, credentials, id, &changes, now).await
    });
    let response = respond(&app, &call, updated.await?, &query, None).await?;
    Ok(remarked(response, strays))
}

/// `POST /api/concierge_requests/:id/request_quote`
pub async fn request_quote(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let action = read_hint_token(&call.body).map(|hint_token| Action::RequestQuote { hint_token });
    act(&app, &call, action).await
}

/// `POST /api/concierge_requests/:id/accept_quote`
pub async fn accept_quote(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    act(&app, &call, Ok(Action::AcceptQuote)).await
}

/// `POST /api/concierge_requests/:id/cancel`
pub async fn cancel(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    act(&app, &call, Ok(Action::Cancel)).await
}

/// Runs an action and answers the request's document.
async fn act(app: &App, call: &Call, action: Result<Action, Errors>) -> Result<Response, Errors> {
    let credentials = call.credentials()?;
    let read = call.query(&SCHEMA, Target::Single).and_then(|query| Ok((query, action?)));
    let (query, action) = call.authorize_parsed(app, Access::Write, read).await?;
    let id = id_number(&call.id);
    let done = app.database.run(async |connection| {
        let (now, cause) = (app.clock.now(), Cause::request(&call.request_id));
        actions::act(connection, credentials, id, &action, now, &app.rules, cause).await?;
        store::find(connection, credentials, id).await.map(|found| (found, now))
    });
    let (found, now) = done.await?;
    if let (caller, Some(_)) = &found {
        app.schedule(caller, Some(caller.time.at(now))).await;
        app.notify(caller);
    }
    respond(app, call, found, &query, None).await
}

/// Answers the document of a request, or 404. A GET is `blamed` for its size.
async fn respond(
    app: &App,
    call: &Call,
    found: store::FoundRequest,
    query: &Query,
    blamed: Option<Blamed>,
) -> Result<Response, Errors> {
    let (caller, request) = found;
    let mut request = render(&request.ok_or_else(|| not_found(&SCHEMA, &call.id))?);
    let document = include::document(app, (call, &caller), &mut request, Vec::new(), query, blamed).await?;
    Ok(answer(StatusCode::OK, document))
}
