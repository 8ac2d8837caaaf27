//! `/api/concierge_request_outputs`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::accounts::caller::Access;
use crate::accounts::ids::LeasedId;
use crate::concierge::outputs::document::{OUTCOME, SCHEMA, explain, read_new, read_outcome, render};
use crate::concierge::outputs::scenario::Scenario;
use crate::concierge::outputs::store;
use crate::concierge::outputs::store::CreationResult;
use crate::concierge::outputs::{NewOutput, Output, OutputDetails, state};
use crate::concierge::{users, withdrawal_instructions};
use crate::jsonapi::document::id_number;
use crate::jsonapi::error::Errors;
use crate::jsonapi::query::Target;
use crate::jsonapi::render::{Resource, render_included};
use crate::web::app::App;
use crate::web::call::{Call, answer, created, not_found};
use crate::web::include;
use crate::web::listing;

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
    let (taken, output, resource, outcome) = loop {
        let taken = app.ids.take(&app.database, credentials, SCHEMA.type_name).await?;
        let output = accepting(taken.id, &new);
        let resource = render(&output);
        let creation = creation(&app, &taken, &new, &resource, (outcome, &call));
        match app.create_outputs.call(*credentials, creation).await {
            Ok(outcome) if outcome.caller.account_id != taken.account_id => app.ids.forget(taken.account_id),
            Ok(outcome) => break (taken, output, resource, outcome),
            Err(errors) => return Err(taken.refused(errors)),
        }
    };
    let CreationResult {
        caller,
        user: Some(user),
        withdrawal_instruction: Some(withdrawal_instruction),
        created: true,
        ..
    } = outcome
    else {
        return Err(taken.refused(explain(reader, &new, &outcome)));
    };
    let due_at = caller.time.now(&app.clock) + caller.settings.timing(&app.rules.timing).check_delay;
    app.schedule(&caller, Some(due_at)).await;
    if outcome.told {
        app.notify(&caller);
    }
    let known = related(&OutputDetails { output, user, withdrawal_instruction });
    let document = include::document(&app, caller.account_id, &resource, known, &query).await?;
    Ok(created(&SCHEMA, &resource.id, document))
}

/// Collects the parameters of the statement.
fn creation(
    app: &App,
    taken: &LeasedId,
    new: &NewOutput,
    resource: &Resource,
    (outcome, call): (Option<Scenario>, &Call),
) -> store::Creation {
    store::Creation {
        id: taken.id,
        account_id: taken.account_id,
        request_id: new.request.number(),
        user_id: new.user.number(),
        withdrawal_instruction_id: new.withdrawal_instruction.number(),
        port_code: new.port_code.clone(),
        price: new.price.clone(),
        now: app.clock.now(),
        check_delay: app.rules.timing.check_delay,
        outcome: outcome.map(Scenario::name),
        caused_by: call.request_id.clone(),
        snapshot: render_included(resource, &app.rules.public_url),
    }
}

/// Builds the new output.
fn accepting(id: i64, new: &NewOutput) -> Output {
    let (amount, budget) = new.price.clone().amount_and_budget();
    Output {
        id,
        request_id: new.request.number(),
        user_id: new.user.number(),
        withdrawal_instruction_id: new.withdrawal_instruction.number(),
        port_code: new.port_code.clone(),
        amount,
        budget,
        state: state::State::Accepting,
        rejection_reason: None,
        failure_reason: None,
    }
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
