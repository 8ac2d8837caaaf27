//! `/api/concierge_request_outputs`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::accounts::caller::Access;
use crate::concierge::outputs::document::{OUTCOME, SCHEMA, explain, read_new, read_outcome, render};
use crate::concierge::outputs::scenario::Scenario;
use crate::concierge::outputs::store::{Creation, CreationResult};
use crate::concierge::outputs::{OutputDetails, store};
use crate::concierge::{users, withdrawal_instructions};
use crate::jsonapi::document::id_number;
use crate::jsonapi::error::Errors;
use crate::jsonapi::query::Target;
use crate::jsonapi::render::{Resource, render_included};
use crate::web::app::App;
use crate::web::call::{Call, answer, created, not_found};
use crate::web::remarks::remarked;
use crate::web::{include, listing};

/// `GET /api/concierge_request_outputs`
pub async fn list(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let render = |complete: &OutputDetails| render(&complete.output);
    listing::respond(&app, &call, &SCHEMA, &store::TABLE, render, related).await
}

/// `POST /api/concierge_request_outputs`: creates an accepting output; its checks run in the background.
pub async fn create(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let credentials = call.credentials()?;
    let read = call.query(&SCHEMA, Target::Single).and_then(|query| {
        let outcome = read_outcome(call.header(OUTCOME)?.as_deref())?;
        Ok((query, outcome, read_new(&call.body)?))
    });
    let (query, outcome, (new, reader)) = call.authorize_parsed(&app, Access::Write, read).await?;
    let create = |(account_id, id)| {
        let output = new.accepting(id);
        let resource = render(&output);
        let creation = Creation {
            output: output.clone(),
            account_id,
            now: app.clock.now(),
            check_delay: app.rules.timing.check_delay,
            outcome: outcome.map(Scenario::name),
            snapshot: render_included(&resource, &app.rules.public_url),
            caused_by: call.request_id.clone(),
        };
        let result = app.create_outputs.call(*credentials, creation);
        async { result.await.map(|result| (result.caller, (result, output, resource))) }
    };
    let (id, caller, creation) = app.ids.with(&app.database, credentials, SCHEMA.type_name, create).await?;
    let (result, output, resource) = creation;
    let CreationResult {
        user: Some(user),
        withdrawal_instruction: Some(withdrawal_instruction),
        created: true,
        due_at,
        told,
        ..
    } = result
    else {
        return Err(id.refused(explain(reader, &new, &result)));
    };
    app.schedule(&caller, due_at).await;
    if told {
        app.notify(&caller);
    }
    let known = related(&OutputDetails { output, user, withdrawal_instruction });
    let document = include::document(&app, caller.account_id, &resource, known, &query).await?;
    Ok(remarked(created(&SCHEMA, &resource.id, document), reader.strays(&SCHEMA, &[])))
}

/// Renders the related resources in an output's row.
fn related(complete: &OutputDetails) -> Vec<Resource> {
    let instruction = withdrawal_instructions::document::render(&complete.withdrawal_instruction);
    vec![users::document::render(&complete.user), instruction]
}

/// `GET /api/concierge_request_outputs/:id`
pub async fn show(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let query = call.query(&SCHEMA, Target::Single);
    let query = call.authorize_parsed(&app, Access::Read, query).await?;
    let (caller, complete) = app.find_outputs.call(*call.credentials()?, id_number(&call.id)).await?;
    let complete = complete.ok_or_else(|| not_found(&SCHEMA, &call.id))?;
    let output = render(&complete.output);
    let document = include::document(&app, caller.account_id, &output, related(&complete), &query).await?;
    Ok(answer(StatusCode::OK, document))
}
