//! `/_sandbox/snapshots`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sqlx::postgres::PgConnection;

use super::document::{SnapshotDocument, read_name, render};
use super::{MOST, TOO_MANY_SNAPSHOTS, store};
use crate::accounts::caller::Access;
use crate::accounts::store::{self as accounts, Account};
use crate::clock::Clock;
use crate::database::{StoreError, transaction};
use crate::jsonapi::document::Reader;
use crate::jsonapi::error::{Error, Errors};
use crate::jsonapi::schema::Schema;
use crate::sandbox::accounts::replace::{Replacement, replace};
use crate::sandbox::snapshots::document::not_found;
use crate::sandbox::state::ControlPlane;
use crate::web::call::Call;
use crate::web::list::{List, ListMeta};
use crate::web::numbered::Numbered;

/// Schema of the list.
pub static SCHEMA: Schema = Schema::list("snapshots", "/_sandbox/snapshots");

/// A page of an account's snapshots.
pub type SnapshotList = List<SnapshotDocument, ListMeta>;

/// `GET /_sandbox/snapshots`: lists the snapshots, oldest first.
pub async fn list(State(plane): State<ControlPlane>, call: Call) -> Result<Json<SnapshotList>, Errors> {
    loop {
        let read = Numbered::read_list(&call, &SCHEMA);
        let (caller, page) = call.authorize(&plane.app, Access::Read, read).await?;
        let work = async |connection: &mut PgConnection| {
            let Some(account) = accounts::find(connection, caller.account_id).await? else { return Ok(None) };
            store::list(connection, &account.name, None).await.map(Some)
        };
        // the account may have been reset meanwhile: look it up again
        if let Some(listed) = plane.app.database.run(work).await? {
            return Ok(Json(List::new(
                page.page(listed.into_iter().map(render).collect(), call.origin.for_caller(&caller)),
            )));
        }
    }
}

/// `POST /_sandbox/snapshots`: takes a snapshot. It replaces one of the same name.
pub async fn create(State(plane): State<ControlPlane>, call: Call) -> Result<Response, Errors> {
    loop {
        let read = call.no_query().and_then(|()| read_name(&call.body));
        let (caller, name) = call.authorize(&plane.app, Access::Write, read).await?;
        // an advance in progress has stopped the clock: wait for its end
        let _turn = plane.clock_locks.take(caller.account_id).await?;
        let work = async |transaction: &mut PgConnection| {
            let Some(account) = accounts::lock(transaction, caller.account_id).await? else { return Ok(None) };
            take(transaction, &account, &name, &plane.app.clock).await
        };
        let taken = plane.app.database.run(async |connection| transaction(connection, work).await).await?;
        if let Some(taken) = taken {
            plane.sweeper.wake();
            return Ok((StatusCode::CREATED, Json(taken)).into_response());
        }
    }
}

/// Takes a snapshot of a locked account and renders it.
async fn take(
    transaction: &mut PgConnection,
    account: &Account,
    name: &str,
    clock: &Clock,
) -> Result<Option<SnapshotDocument>, StoreError> {
    if store::count_others(transaction, &account.name, name).await? >= MOST {
        let detail = format!(
            "the account has {MOST} snapshots, the maximum; delete one, or reuse the name of one to replace it"
        );
        return Err(Errors::from(Error::new(TOO_MANY_SNAPSHOTS, detail).at("")).into());
    }
    let now = clock.now();
    store::end(transaction, &account.name, Some(name), now).await?;
    store::take(transaction, account, name, now).await?;
    let taken = store::list(transaction, &account.name, Some(name)).await?;
    Ok(taken.into_iter().next().map(render))
}

/// `POST /_sandbox/snapshots/:name/restore`: restores the account, except its keys and snapshots.
pub async fn restore(State(plane): State<ControlPlane>, call: Call) -> Result<StatusCode, Errors> {
    let read = call.no_query().and_then(|()| Reader::expect_empty(&call.body));
    call.authorize(&plane.app, Access::Write, read).await?;
    replace(plane, *call.credentials()?, Replacement::Snapshot(call.id.clone())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /_sandbox/snapshots/:name`
pub async fn delete(State(plane): State<ControlPlane>, call: Call) -> Result<StatusCode, Errors> {
    loop {
        let caller = call.authorize(&plane.app, Access::Write, call.no_query()).await?.0;
        let work = async |transaction: &mut PgConnection| {
            let Some(account) = accounts::lock(transaction, caller.account_id).await? else { return Ok(None) };
            store::end(transaction, &account.name, Some(&call.id), plane.app.clock.now()).await.map(Some)
        };
        let ended = plane.app.database.run(async |connection| transaction(connection, work).await).await?;
        if let Some(ended) = ended {
            if ended.is_empty() {
                return Err(not_found(&call.id));
            }
            plane.sweeper.wake();
            return Ok(StatusCode::NO_CONTENT);
        }
    }
}
