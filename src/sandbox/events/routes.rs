//! `/_sandbox/events`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sqlx::postgres::PgConnection;

use super::document::{RecoveredEvents, SCHEMA, document, read_new, read_since, render, shows_resource};
use super::store::queue::Repeated;
use super::{EventDetails, WEBHOOK_URL_MISSING, redeliver, store, trigger as made_up};
use crate::accounts::caller::{Access, Caller, authenticate};
use crate::database::StoreError;
use crate::events::Cause;
use crate::jsonapi::document::id_number;
use crate::jsonapi::error::{Error, Errors};
use crate::jsonapi::query::Target;
use crate::web::app::App;
use crate::web::call::{Call, answer, created, not_found};
use crate::web::listing;

/// `GET /_sandbox/events`
pub async fn list(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    listing::respond(&app, &call, &SCHEMA, &store::TABLE, render).await
}

/// `GET /_sandbox/events/:id`: shows an event with its delivery attempts and its resource.
pub async fn show(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let query = call.query(&SCHEMA, Target::Single);
    let query = call.authorize_parsed(&app, Access::Read, query).await?;
    let (caller, event) = find(&app, &call, (id_number(&call.id), shows_resource(&query))).await?;
    let event = event.ok_or_else(|| not_found(&SCHEMA, &call.id))?;
    Ok(answer(StatusCode::OK, document(event, query, call.origin.for_caller(&caller))))
}

/// `POST /_sandbox/events/:id/redeliver`: sends the same bytes of an event again.
pub async fn redeliver(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let query = call.query(&SCHEMA, Target::Single);
    let query = call.authorize_parsed(&app, Access::Write, query).await?;
    let id = id_number(&call.id);
    loop {
        let work = async |connection: &mut PgConnection| {
            let (caller, event) =
                store::find(connection, call.credentials()?, Access::Write, (id, false), &call.origin).await?;
            let event = event.ok_or_else(|| not_found(&SCHEMA, &call.id))?;
            let now = caller.time.now(&app.clock);
            let repeated = redeliver::redeliver(connection, caller.account_id, &event.record, now).await?;
            Ok::<_, StoreError>((caller, repeated))
        };
        let (caller, repeated) = app.database.run(work).await?;
        if repeated == Some(Repeated::NoReceiver) {
            return Err(no_receiver());
        }
        // read before the dispatcher wakes, so the answer shows the event before its delivery
        let found = find(&app, &call, (id, shows_resource(&query))).await;
        app.notify(&caller);
        // after a reset meanwhile, the event is looked up again in the new account
        if let (then, Some(event)) = found?
            && then.account_id == caller.account_id
        {
            return Ok(answer(StatusCode::ACCEPTED, document(event, query, call.origin.for_caller(&then))));
        }
    }
}

/// `POST /_sandbox/events/recover`: sends all undelivered events again.
pub async fn recover(State(app): State<App>, call: Call) -> Result<Json<RecoveredEvents>, Errors> {
    let read = call.query(&SCHEMA, Target::Nothing).and_then(|_| read_since(&call.body));
    let since = call.authorize_parsed(&app, Access::Write, read).await?;
    let work = async |connection: &mut PgConnection| {
        let caller = authenticate(connection, call.credentials()?, Access::Write).await?;
        let recovered = redeliver::recover(connection, caller.account_id, since, caller.time.now(&app.clock)).await;
        // batches committed before a failure are delivered all the same
        app.notify(&caller);
        recovered
    };
    let recovered = app.database.run(work).await?;
    if recovered.count == 0 && recovered.without_receiver > 0 {
        return Err(no_receiver());
    }
    Ok(Json(RecoveredEvents { recovered: recovered.count }))
}

/// `POST /_sandbox/events/trigger`: creates a synthetic event.
pub async fn trigger(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let read = call.query(&SCHEMA, Target::Single).and_then(|query| Ok((query, read_new(&call.body)?)));
    let (query, new) = call.authorize_parsed(&app, Access::Write, read).await?;
    loop {
        let now = app.clock.now();
        let cause = Cause::simulation(&call.request_id);
        let work = async |connection: &mut PgConnection| {
            let origins = (&*app.rules.public_url, &call.origin);
            made_up::trigger(connection, call.credentials()?, &new, now, origins, cause, shows_resource(&query)).await
        };
        // after a reset meanwhile, the event is created again in the new account
        if let Some((caller, event)) = app.database.run(work).await? {
            app.notify(&caller);
            let origin = call.origin.for_caller(&caller);
            let id = event.record.id.to_string();
            return Ok(created(origin, &SCHEMA, &id, document(event, query, origin)));
        }
    }
}

async fn find(app: &App, call: &Call, which: (i64, bool)) -> Result<(Caller, Option<EventDetails>), Errors> {
    let credentials = call.credentials()?;
    app.database
        .run(async |connection| store::find(connection, credentials, Access::Read, which, &call.origin).await)
        .await
}

/// Returns the 409 for an event without a receiver.
fn no_receiver() -> Errors {
    let detail = "`webhook_url` is null for the resource's creator and the master user; PATCH /api/users/me to set it";
    Error::new(WEBHOOK_URL_MISSING, detail).into()
}
