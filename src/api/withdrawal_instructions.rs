//! `/api/withdrawal_instructions`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::accounts::caller::Access;
use crate::concierge::users;
use crate::concierge::withdrawal_instructions::actions::Deletion;
use crate::concierge::withdrawal_instructions::document::{
    BODY, INSTRUCTION_IN_USE, SCHEMA, misspellings, read_new, render, render_owned,
};
use crate::concierge::withdrawal_instructions::{actions, store};
use crate::events::Cause;
use crate::jsonapi::document::id_number;
use crate::jsonapi::error::{Error, Errors, RELATED_RESOURCE_NOT_FOUND};
use crate::jsonapi::query::Target;
use crate::web::answers::Blamed;
use crate::web::app::App;
use crate::web::call::{Call, answer, created, not_found};
use crate::web::remarks::remarked;
use crate::web::route::{Answer, Body, Operation, QueryOf};
use crate::web::{include, listing};

/// `GET /api/withdrawal_instructions`
pub const LIST: Operation =
    Operation::list("listWithdrawalInstructions", "Lists instructions.", &SCHEMA, Answer::Collection(&SCHEMA));
/// `POST /api/withdrawal_instructions`
pub const CREATE: Operation = Operation::write(
    "createWithdrawalInstruction",
    "Creates the instruction of a user, by default the acting one.",
    &SCHEMA,
    Body::Create(&SCHEMA),
    Answer::Created(&SCHEMA),
)
.example(
    r#"{"data":{"type":"withdrawal_instructions","attributes":{"label":"bob's bank account","schema":"bitex","body":{"payment_method":"domestic_bank","country":"CL","name":"bob","bank_account_number":"0012345678"}},"relationships":{"user":{"data":{"type":"users","id":"20202"}}}}}"#,
)
.codes(&[RELATED_RESOURCE_NOT_FOUND]);
/// `GET /api/withdrawal_instructions/:id`
pub const SHOW: Operation =
    Operation::show("getWithdrawalInstruction", "Shows an instruction.", &SCHEMA, Answer::Document(200, &SCHEMA));
/// `DELETE /api/withdrawal_instructions/:id`
pub const DELETE: Operation = Operation::write(
    "deleteWithdrawalInstruction",
    "Deletes an instruction without open outputs.",
    &SCHEMA,
    Body::None,
    Answer::Empty,
)
.query(QueryOf::Resource(Target::Nothing, &SCHEMA))
.codes(&[INSTRUCTION_IN_USE]);

/// `GET /api/withdrawal_instructions`
pub async fn list(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    listing::respond(&app, &call, &SCHEMA, &store::TABLE, render).await
}

/// `POST /api/withdrawal_instructions`
pub async fn create(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let credentials = call.credentials()?;
    let read = call.query(&SCHEMA, Target::Single).and_then(|query| Ok((query, read_new(&call.body)?)));
    let (query, (new, mut reader)) = call.authorize_parsed(&app, Access::Write, read).await?;
    let create = |id| {
        let (new, now) = (&new, app.clock.now());
        let (origin, cause) = (&app.rules.public_url, Cause::request(&call.request_id));
        app.database
            .run(async move |connection| actions::create(connection, credentials, id, new, now, origin, cause).await)
    };
    let (id, caller, instruction) = app.ids.with(&app.database, credentials, SCHEMA.type_name, create).await?;
    let Some(instruction) = instruction else {
        if let Some(user) = &new.user {
            reader.not_found("user", users::document::SCHEMA.type_name, user);
        }
        return Err(id.refused(reader.into_errors()));
    };
    app.notify(&caller);
    let mut instruction = render_owned(instruction);
    let document = include::document(&app, (&call, &caller), &mut instruction, Vec::new(), &query, None).await?;
    let response = created(call.origin.for_caller(&caller), &SCHEMA, &instruction.id, document);
    let response = remarked(response, reader.strays(&SCHEMA, &[]));
    Ok(remarked(response, misspellings(&new, &mut reader)))
}

/// `GET /api/withdrawal_instructions/:id`
pub async fn show(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let query = call.query(&SCHEMA, Target::Single);
    let query = call.authorize_parsed(&app, Access::Read, query).await?;
    let (credentials, id) = (call.credentials()?, id_number(&call.id));
    let shows_body = query.shows(SCHEMA.type_name, BODY);
    let found = app.database.run(async |connection| store::find(connection, credentials, id, shows_body).await);
    let (caller, instruction) = found.await?;
    let mut instruction = render_owned(instruction.ok_or_else(|| not_found(&SCHEMA, &call.id))?);
    let blamed = Some(Blamed::Include);
    let document = include::document(&app, (&call, &caller), &mut instruction, Vec::new(), &query, blamed).await?;
    Ok(answer(StatusCode::OK, document))
}

/// `DELETE /api/withdrawal_instructions/:id`: refused while an output in a non-final state uses it.
pub async fn delete(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let query = call.query(&SCHEMA, Target::Nothing);
    call.authorize_parsed(&app, Access::Write, query).await?;
    let (credentials, id) = (call.credentials()?, id_number(&call.id));
    let deletion = app.database.run(async |connection| {
        let now = app.clock.now();
        let (origin, cause) = (&app.rules.public_url, Cause::request(&call.request_id));
        actions::delete(connection, credentials, id, now, origin, cause).await
    });
    match deletion.await? {
        (caller, Deletion::Deleted) => {
            app.notify(&caller);
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        (_, Deletion::NotFound) => Err(not_found(&SCHEMA, &call.id)),
        (_, Deletion::InUse(output)) => {
            let detail = format!("instruction {id} is used by output {output}; delete it after that output is final");
            Err(Error::new(INSTRUCTION_IN_USE, detail).into())
        }
    }
}
