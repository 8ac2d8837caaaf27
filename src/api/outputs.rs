//! `/api/concierge_request_outputs`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::accounts::caller::Access;
use crate::concierge::outputs::document::{
    AMOUNT_AND_BUDGET_GIVEN, AMOUNT_NOT_POSITIVE, AMOUNT_OR_BUDGET_MISSING, BUDGET_NOT_POSITIVE,
    INSTRUCTION_OF_ANOTHER_USER, OUTCOME, REQUEST_NOT_DRAFT, SCHEMA, explain, read_new, read_outcome, render,
};
use crate::concierge::outputs::scenario::{SCENARIOS, Scenario};
use crate::concierge::outputs::store::{Creation, CreationResult, Search};
use crate::concierge::outputs::{OutputDetails, store};
use crate::concierge::{users, withdrawal_instructions};
use crate::jsonapi::document::id_number;
use crate::jsonapi::error::{Errors, RELATED_RESOURCE_NOT_FOUND};
use crate::jsonapi::query::{Query, Target};
use crate::jsonapi::render::{Resource, render_included};
use crate::jsonapi::schema::{Attribute, ValueType};
use crate::web::answers::Blamed;
use crate::web::app::App;
use crate::web::call::{Call, answer, created, not_found};
use crate::web::remarks::remarked;
use crate::web::route::{Answer, Body, Operation};
use crate::web::{include, listing};

/// The header that chooses how a payment ends.
const HEADERS: &[Attribute] = &[Attribute::new(
    OUTCOME,
    ValueType::OneOf(&SCENARIOS),
    "Chooses how the payment ends, in this sandbox only.",
    r#""failed|settled""#,
)];

/// `GET /api/concierge_request_outputs`
pub const LIST: Operation = Operation::list("listOutputs", "Lists outputs.", &SCHEMA, Answer::Collection(&SCHEMA));
/// `POST /api/concierge_request_outputs`
pub const CREATE: Operation = Operation::write(
    "createOutput",
    "Adds an output to a draft; its checks run in the background.",
    &SCHEMA,
    Body::Create(&SCHEMA),
    Answer::Created(&SCHEMA),
)
.headers(HEADERS)
.example(
    r#"{"data":{"type":"concierge_request_outputs","attributes":{"port_code":"cl_clp","amount":1000},"relationships":{"request":{"data":{"id":1010,"type":"concierge_requests"}},"withdrawal_instruction":{"data":{"id":2121,"type":"withdrawal_instructions"}},"user":{"data":{"id":20202,"type":"users"}}}}}"#,
)
.codes(&[
    RELATED_RESOURCE_NOT_FOUND,
    AMOUNT_OR_BUDGET_MISSING,
    AMOUNT_AND_BUDGET_GIVEN,
    AMOUNT_NOT_POSITIVE,
    BUDGET_NOT_POSITIVE,
    REQUEST_NOT_DRAFT,
    INSTRUCTION_OF_ANOTHER_USER,
]);
/// `GET /api/concierge_request_outputs/:id`
pub const SHOW: Operation = Operation::show("getOutput", "Shows an output.", &SCHEMA, Answer::Document(200, &SCHEMA));

/// `GET /api/concierge_request_outputs`
pub async fn list(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    listing::respond(&app, &call, &SCHEMA, &store::TABLE, render).await
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
            shows_body: shows_body(&query),
        };
        let result = app.create_outputs.call(*credentials, creation);
        async { result.await.map(|result| (result.caller.clone(), (result, output, resource))) }
    };
    let (id, caller, creation) = app.ids.with(&app.database, credentials, SCHEMA.type_name, create).await?;
    let (result, output, mut resource) = creation;
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
    let known = related(OutputDetails { output, user, withdrawal_instruction });
    let document = include::document(&app, (&call, &caller), &mut resource, known, &query, None).await?;
    let response = created(call.origin.for_caller(&caller), &SCHEMA, &resource.id, document);
    Ok(remarked(response, reader.strays(&SCHEMA, &[])))
}

/// Returns whether an answer shows the body of an output's instruction.
fn shows_body(query: &Query) -> bool {
    let instructions = withdrawal_instructions::document::SCHEMA.type_name;
    query.includes(instructions) && query.shows(instructions, withdrawal_instructions::document::BODY)
}

/// Renders the related resources in an output's row.
fn related(complete: OutputDetails) -> Vec<Resource> {
    let instruction = withdrawal_instructions::document::render_owned(complete.withdrawal_instruction);
    vec![users::document::render(&complete.user), instruction]
}

/// `GET /api/concierge_request_outputs/:id`
pub async fn show(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let query = call.query(&SCHEMA, Target::Single);
    let query = call.authorize_parsed(&app, Access::Read, query).await?;
    let search = Search { id: id_number(&call.id), shows_body: shows_body(&query) };
    let (caller, complete) = app.find_outputs.call(*call.credentials()?, search).await?;
    let complete = complete.ok_or_else(|| not_found(&SCHEMA, &call.id))?;
    let mut output = render(&complete.output);
    let document =
        include::document(&app, (&call, &caller), &mut output, related(complete), &query, Some(Blamed::Include))
            .await?;
    Ok(answer(StatusCode::OK, document))
}
