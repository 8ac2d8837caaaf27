//! `/_sandbox/wait`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::document::WaitResult;
use super::query::{Awaited, NamedResource, WaitQuery, read};
use super::store::first_event;
use super::verdict::{Explanation, Verdict, of_event, of_state};
use super::{WAIT_IMPOSSIBLE, WAIT_TIMEOUT};
use crate::accounts::caller::{Access, Caller, authenticate};
use crate::database::StoreError;
use crate::jsonapi::error::{Code, Error, Errors};
use crate::sandbox::timeline::Present;
use crate::sandbox::timeline::read::present;
use crate::web::app::App;
use crate::web::call::{Call, not_found};
use crate::web::stopping::stopping;

/// Interval between polls. Changes by other servers send no notification.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The end of the search for an event so far: an account and its last event.
#[derive(Debug, Clone, Copy)]
struct Searched {
    account_id: i64,
    last_event: i64,
}

/// `GET /_sandbox/wait`: answers as soon as the condition holds.
///
/// Answers 408 after the timeout, and 409 as soon as the condition can no longer hold.
pub async fn wait(State(app): State<App>, call: Call) -> Result<Json<WaitResult>, Errors> {
    let (caller, WaitQuery { awaited, timeout }) = call.authorize(&app, Access::Read, read(&call)).await?;
    let deadline = Instant::now() + timeout;
    let mut seen = None;
    loop {
        // subscribe before the poll, so that no change in between is missed
        let watched = app.watchers.watch(caller.account_id);
        let happened = watched.notified();
        let polled = app.database.run(async |connection| poll(connection, &call, &awaited, &mut seen).await).await?;
        let reason = match polled {
            Verdict::Holds(found) => return Ok(Json(found)),
            Verdict::Never(reason) => return Err(refusal(WAIT_IMPOSSIBLE, reason)),
            Verdict::NotYet(reason) => reason,
        };
        tokio::select! {
            () = happened => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
            () = app.stopping.requested() => return Err(stopping()),
            () = tokio::time::sleep_until(deadline) => {
                let waited = humantime::format_duration(timeout);
                let detail = format!("`timeout` of {waited} is over; {}", reason.detail);
                return Err(refusal(WAIT_TIMEOUT, Explanation { detail, ..reason }));
            }
        }
    }
}

/// Returns the error of a wait without success.
fn refusal(code: Code, Explanation { detail, facts }: Explanation) -> Errors {
    // rendering into memory can't fail
    Error::new(code, detail).meta(serde_json::to_value(facts).unwrap_or_default()).into()
}

/// Checks the condition once. `seen` is how far earlier polls searched.
async fn poll(
    connection: &mut PgConnection,
    call: &Call,
    awaited: &Awaited,
    seen: &mut Option<Searched>,
) -> Result<Verdict, StoreError> {
    // authenticates each time: the account may be reset, or its clock moved
    let caller = authenticate(connection, call.credentials()?, Access::Read).await?;
    match awaited {
        Awaited::State { resource, state } => {
            let present = find(connection, &caller, resource).await?;
            Ok(of_state(resource, &present, state, caller.time))
        }
        Awaited::Event { event_type, resource, since, delivered } => {
            let account_id = caller.account_id;
            // reads the state first, so that no event of a later change is missed
            let present = match resource {
                Some(resource) => Some(find(connection, &caller, resource).await?),
                None => None,
            };
            let searched = seen.filter(|searched| searched.account_id == account_id);
            let behind = searched.map_or(*since, |searched| searched.last_event.max(*since));
            let resource_id = resource.as_ref().map(|resource| resource.id);
            let (found, last_event) = first_event(connection, account_id, event_type, resource_id, behind).await?;
            if found.is_none() {
                *seen = Some(Searched { account_id, last_event });
            }
            let with_present = resource.as_ref().zip(present.as_ref());
            Ok(of_event(event_type, *since, *delivered, found.as_ref(), with_present, caller.time))
        }
    }
}

async fn find(connection: &mut PgConnection, caller: &Caller, resource: &NamedResource) -> Result<Present, StoreError> {
    let found = present(connection, caller.account_id, resource.subject, resource.id).await?;
    let schema = resource.subject.schema();
    let id = resource.text.split_once('/').map_or("", |(_, id)| id);
    found.ok_or_else(|| not_found(schema, id).into())
}
