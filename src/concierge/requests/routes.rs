//! `/api/concierge_requests`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::document::{SCHEMA, read_new, render};
use super::store;
use crate::accounts::caller::Access;
use crate::concierge::call::{Call, answer, created, not_found};
use crate::concierge::{include, listing, users};
use crate::jsonapi::document::id_number;
use crate::jsonapi::error::Errors;
use crate::jsonapi::query::Target;
use crate::server::App;

/// `GET /api/concierge_requests`
pub async fn list(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    listing::respond(&app, &call, &SCHEMA, &store::TABLE, render, |_| Vec::new()).await
}

/// `POST /api/concierge_requests`: a draft.
pub async fn create(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let credentials = call.credentials()?;
    let read = call.query(&SCHEMA, Target::Single).and_then(|query| Ok((query, read_new(&call.body)?)));
    let (query, (new, mut reader)) = call.checked(&app, Access::Write, read).await?;
    let taken = app.ids.take(&app.database, credentials, SCHEMA.type_name).await?;
    let mut connection = app.database.connection().await?;
    let creation = store::create(&mut connection, credentials, taken.id, &new, app.clock.now()).await;
    let refused = match connection.conclude(creation) {
        Ok((caller, Some(request))) => {
            let request = render(&request);
            let document = include::document(&app, caller.account_id, &request, Vec::new(), &query).await?;
            return Ok(created(&SCHEMA, &request.id, document));
        }
        Ok((_, None)) => {
            if let Some(user) = &new.user {
                reader.not_found("user", users::SCHEMA.type_name, user);
            }
            reader.into_errors()
        }
        Err(errors) => errors,
    };
    Err(taken.refused(refused))
}

/// `GET /api/concierge_requests/:id`
pub async fn show(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let query = call.query(&SCHEMA, Target::Single);
    let query = call.checked(&app, Access::Read, query).await?;
    let mut connection = app.database.connection().await?;
    let found = store::find(&mut connection, call.credentials()?, id_number(&call.id)).await;
    let (caller, request) = connection.conclude(found)?;
    let request = render(&request.ok_or_else(|| not_found(&SCHEMA, &call.id))?);
    Ok(answer(StatusCode::OK, include::document(&app, caller.account_id, &request, Vec::new(), &query).await?))
}
