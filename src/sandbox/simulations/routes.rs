//! `/_sandbox/simulations`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sqlx::postgres::PgConnection;

use super::document::{Money, read_money, read_prices, read_reason, read_transition};
use super::{Actor, outputs, requests, transition, users};
use crate::accounts::caller::{Access, Caller};
use crate::concierge;
use crate::concierge::impossible;
use crate::concierge::machine::{Machine, Named};
use crate::concierge::outputs::state as output_states;
use crate::concierge::requests::state as request_states;
use crate::concierge::users::state::ComplianceState;
use crate::database::StoreError;
use crate::events::Cause;
use crate::jsonapi::document::{Reader, id_number};
use crate::jsonapi::error::{Error, Errors, RESOURCE_NOT_FOUND, ROUTE_UNKNOWN};
use crate::jsonapi::query::Target;
use crate::jsonapi::schema::Schema;
use crate::web::app::{App, run_to_completion};
use crate::web::call::{Call, PathOf, answer, not_found};
use crate::web::include;

/// Verb that moves a resource to a given state.
pub const TRANSITION: &str = "transition";
/// Verbs for users.
pub const USER_VERBS: [&str; 5] = ["enable", "disable", "reject", "credit", "debit"];

/// A simulation as read from the request.
enum Simulation {
    OutputStep(output_states::Trigger, Option<String>),
    OutputGo(output_states::State, bool),
    RequestStep(request_states::Trigger, Option<String>),
    RequestGo(request_states::State, bool),
    Decide(ComplianceState),
    Credit(Money),
    Debit(Money),
}

/// `POST /_sandbox/simulations/:type/:id/:verb`: runs a simulation and answers with the resource.
pub async fn simulate(
    State(app): State<App>,
    PathOf((type_name, id, verb)): PathOf<(String, String, String)>,
    call: Call,
) -> Result<Response, Errors> {
    if type_name.is_empty() {
        return Err(Error::new(RESOURCE_NOT_FOUND, "the path can't be read as UTF-8, so it names no resource").into());
    }
    let schema = schema(&type_name)?;
    let read = call.query(schema, Target::Single).and_then(|query| Ok((query, read(&app, schema, &verb, &call.body)?)));
    let (caller, (query, simulation)) = call.authorize(&app, Access::Write, read).await?;
    let (cause, number) = (Cause::simulation(&call.request_id), id_number(&id));
    let done = {
        let (app, caller) = (app.clone(), caller.clone());
        async move { carry_out(&app, caller, cause, number, simulation).await }
    };
    run_to_completion(done).await?;
    let work =
        async |connection: &mut PgConnection| concierge::load(connection, caller.account_id, schema, &[number]).await;
    let mut found = app.database.run(work).await?;
    let resource = found.first_mut().ok_or_else(|| not_found(schema, &id))?;
    let document = include::document(&app, (&call, &caller), resource, Vec::new(), &query, None).await?;
    Ok(answer(StatusCode::OK, document))
}

/// Runs a simulation and schedules its consequences.
async fn carry_out(app: &App, caller: Caller, cause: Cause, number: i64, simulation: Simulation) -> Result<(), Errors> {
    let now = caller.time.now(&app.clock);
    let actor = Actor { app, caller, now, cause };
    // leased by hand: without a connection nothing moves, so there is nothing to follow up
    let mut connection = app.database.connection().await?;
    let done = Box::pin(async {
        match simulation {
            Simulation::OutputStep(trigger, reason) => {
                outputs::step(&mut connection, &actor, number, trigger, reason.as_deref()).await.map(|_| ())
            }
            Simulation::OutputGo(to, through) => {
                transition::move_output(&mut connection, &actor, number, to, through).await
            }
            Simulation::RequestStep(trigger, prices) => {
                requests::step(&mut connection, &actor, number, trigger, prices).await
            }
            Simulation::RequestGo(to, through) => {
                transition::move_request(&mut connection, &actor, number, to, through).await
            }
            Simulation::Decide(to) => users::decide(&mut connection, &actor, number, to).await,
            Simulation::Credit(money) => users::credit(&mut connection, &actor, number, money).await,
            Simulation::Debit(money) => users::debit(&mut connection, &actor, number, money).await,
        }
    })
    .await;
    if let Err(StoreError::Database(error)) = &done {
        impossible::count(error, &app.metrics);
    }
    // on a longer path, transitions before a refusal have consequences, too
    let done = connection.finish(done);
    actor.follow_up().await;
    done
}

/// Returns the schema of a resource type that has simulations.
fn schema(type_name: &str) -> Result<&'static Schema, Errors> {
    let known = [
        &concierge::outputs::document::SCHEMA,
        &concierge::requests::document::SCHEMA,
        &concierge::users::document::SCHEMA,
    ];
    known.into_iter().find(|schema| schema.type_name == type_name).ok_or_else(|| {
        let names = known.map(|schema| schema.type_name).join(", ");
        Error::new(ROUTE_UNKNOWN, format!("{type_name:?} is not a resource type with simulations; use one of {names}"))
            .into()
    })
}

fn read(app: &App, schema: &Schema, verb: &str, body: &[u8]) -> Result<Simulation, Errors> {
    if schema.type_name == concierge::outputs::document::SCHEMA.type_name {
        if verb == TRANSITION {
            let asked = read_transition(body, &output_states::MACHINE)?;
            return Ok(Simulation::OutputGo(asked.to, asked.through));
        }
        let trigger = trigger(&output_states::MACHINE, verb)?;
        Ok(Simulation::OutputStep(trigger, read_reason(body, outputs::has_reason(trigger))?))
    } else if schema.type_name == concierge::requests::document::SCHEMA.type_name {
        if verb == TRANSITION {
            let asked = read_transition(body, &request_states::MACHINE)?;
            return Ok(Simulation::RequestGo(asked.to, asked.through));
        }
        let trigger = trigger(&request_states::MACHINE, verb)?;
        let prices = if trigger == request_states::Trigger::Quote {
            read_prices(body, &app.rules.prices)?
        } else {
            Reader::expect_empty(body)?;
            None
        };
        Ok(Simulation::RequestStep(trigger, prices))
    } else {
        let decide = |to| Reader::expect_empty(body).map(|()| Simulation::Decide(to));
        match verb {
            "enable" => decide(ComplianceState::Enabled),
            "disable" => decide(ComplianceState::Disabled),
            "reject" => decide(ComplianceState::Rejected),
            "credit" => read_money(body).map(Simulation::Credit),
            "debit" => read_money(body).map(Simulation::Debit),
            _ => Err(unknown(verb, &USER_VERBS)),
        }
    }
}

fn trigger<S: Named, T: Named>(machine: &Machine<S, T>, verb: &str) -> Result<T, Errors> {
    let mut names: Vec<&str> = Vec::new();
    for arrow in machine.transitions {
        if arrow.trigger.name() == verb {
            return Ok(arrow.trigger);
        }
        if !names.contains(&arrow.trigger.name()) {
            names.push(arrow.trigger.name());
        }
    }
    names.push(TRANSITION);
    Err(unknown(verb, &names))
}

fn unknown(verb: &str, known: &[&str]) -> Errors {
    Error::new(
        ROUTE_UNKNOWN,
        format!("{verb:?} is not a simulation of this resource type; use one of {}", known.join(", ")),
    )
    .into()
}
