//! `/_sandbox/clock` and `/_sandbox/settle`

use axum::Json;
use axum::extract::State;
use sqlx::postgres::PgConnection;

use super::advance::{self, Until};
use super::document::{ClockDocument, SETTLE, read_advance, read_set, render};
use super::report::{self, MovedClock};
use crate::accounts::caller::{Access, Caller};
use crate::accounts::store;
use crate::accounts::store::clock;
use crate::jsonapi::document::Reader;
use crate::jsonapi::error::Errors;
use crate::jsonapi::values::Timestamp;
use crate::lifecycle::Agenda;
use crate::sandbox::state::ControlPlane;
use crate::web::app::run_to_completion;
use crate::web::call::Call;

/// `GET /_sandbox/clock`
pub async fn show(State(plane): State<ControlPlane>, call: Call) -> Result<Json<ClockDocument>, Errors> {
    loop {
        let caller = call.authorize(&plane.app, Access::Read, call.no_query()).await?.0;
        // an account reset meanwhile is looked up again
        if let Some(clock) = clock(&plane, caller.account_id).await? {
            return Ok(Json(clock));
        }
    }
}

/// `POST /_sandbox/clock/freeze`: freezes the clock at its current time. Runs all work due by then.
pub async fn freeze(State(plane): State<ControlPlane>, call: Call) -> Result<Json<ClockDocument>, Errors> {
    loop {
        let read = call.no_query().and_then(|()| Reader::expect_empty(&call.body));
        let caller = call.authorize(&plane.app, Access::Write, read).await?.0;
        let _turn = plane.clock_locks.take(caller.account_id).await?;
        let work = async |connection: &mut PgConnection| {
            clock::freeze(connection, caller.account_id, plane.app.clock.now()).await
        };
        plane.app.database.run(work).await?;
        plane.app.catch_up(caller.account_id).await;
        if let Some(clock) = clock(&plane, caller.account_id).await? {
            return Ok(Json(clock));
        }
    }
}

/// `POST /_sandbox/clock/resume`: lets the clock run from its current time.
pub async fn resume(State(plane): State<ControlPlane>, call: Call) -> Result<Json<ClockDocument>, Errors> {
    loop {
        let read = call.no_query().and_then(|()| Reader::expect_empty(&call.body));
        let caller = call.authorize(&plane.app, Access::Write, read).await?.0;
        let _turn = plane.clock_locks.take(caller.account_id).await?;
        let work = async |connection: &mut PgConnection| {
            clock::resume(connection, caller.account_id, plane.app.clock.now()).await
        };
        plane.app.database.run(work).await?;
        plane.app.wake(caller.account_id);
        plane.app.watchers.notify(caller.account_id);
        if let Some(clock) = clock(&plane, caller.account_id).await? {
            return Ok(Json(clock));
        }
    }
}

/// `POST /_sandbox/clock/advance`: advances the clock by a span of time, or to an instant.
pub async fn advance(State(plane): State<ControlPlane>, call: Call) -> Result<Json<MovedClock>, Errors> {
    let read = call.no_query().and_then(|()| read_advance(&call.body));
    let (caller, by) = call.authorize(&plane.app, Access::Write, read).await?;
    advance_and_list(plane, caller, Until::Moved(by), None).await
}

/// `POST /_sandbox/clock/set`: advances the clock to an instant, and freezes it there or lets it run.
pub async fn set(State(plane): State<ControlPlane>, call: Call) -> Result<Json<MovedClock>, Errors> {
    let read = call.no_query().and_then(|()| read_set(&call.body));
    let (caller, (to, frozen)) = call.authorize(&plane.app, Access::Write, read).await?;
    advance_and_list(plane, caller, Until::Moved(to), frozen).await
}

/// `POST /_sandbox/settle`: advances the clock until nothing is due within a time, a minute by default.
pub async fn settle(State(plane): State<ControlPlane>, call: Call) -> Result<Json<MovedClock>, Errors> {
    /// Longer than any step, and shorter than any deadline.
    const WITHIN: std::time::Duration = std::time::Duration::from_mins(1);
    let read = call.no_query().and_then(|()| {
        let mut reader = Reader::open_plain(&call.body, SETTLE)?;
        let within = if reader.is_null("within") { Some(WITHIN) } else { reader.span("within") };
        reader.finish(within)
    });
    let (caller, within) = call.authorize(&plane.app, Access::Write, read).await?;
    advance_and_list(plane, caller, Until::Quiet(within), None).await
}

/// Advances the clock in a separate task, so it completes even if the client hangs up.
async fn advance_and_list(
    plane: ControlPlane,
    caller: Caller,
    until: Until,
    freeze: Option<bool>,
) -> Result<Json<MovedClock>, Errors> {
    let advancing = async move {
        let account_id = caller.account_id;
        let walked = advance::advance(&plane, account_id, until, freeze).await?;
        let database = &plane.app.database;
        let listed = database.run(async |connection| report::list(connection, account_id, walked).await).await?;
        let (happened, more_happened) = listed;
        let clock = clock(&plane, account_id).await?.ok_or_else(advance::clock_moved)?;
        let (from, to) = (Timestamp(walked.from), Timestamp(walked.to));
        Ok(Json(MovedClock { clock, from, to, happened, more_happened }))
    };
    run_to_completion(advancing).await
}

/// Renders an account's clock, or returns `None` if the account has ended.
async fn clock(plane: &ControlPlane, account_id: i64) -> Result<Option<ClockDocument>, Errors> {
    let work = async |connection: &mut PgConnection| {
        let account = store::find(connection, account_id).await?;
        let agendas = Agenda::read(connection, Some(&[account_id]), &plane.app.rules.timing).await?;
        Ok::<_, sqlx::Error>(account.zip(agendas.into_iter().next()))
    };
    let found = plane.app.database.run(work).await?;
    Ok(found.map(|(account, agenda)| render(account.time, account.runs, &plane.app.clock, agenda.next())))
}
