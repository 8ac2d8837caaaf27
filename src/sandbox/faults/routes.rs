//! `/_sandbox/faults`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sqlx::postgres::PgConnection;

use super::cache::MAX_AGE;
use super::check::mismatch;
use crate::accounts::caller::Access;
use crate::database::StoreError;
use crate::faults::document::{CountedFault, read_list, render_counted};
use crate::faults::{Fault, store};
use crate::jsonapi::error::Errors;
use crate::jsonapi::schema::Schema;
use crate::sandbox::state::ControlPlane;
use crate::web::call::Call;
use crate::web::list::{List, ListMeta};
use crate::web::numbered::Numbered;

/// Schema of the list.
pub static SCHEMA: Schema = Schema::list("faults", "/_sandbox/faults");

/// A page of an account's faults.
pub type FaultList = List<CountedFault, ListMeta>;

/// `GET /_sandbox/faults`: lists the faults with their hits.
pub async fn list(State(plane): State<ControlPlane>, call: Call) -> Result<Json<FaultList>, Errors> {
    let (caller, page) = call.authorize(&plane.app, Access::Read, Numbered::read_list(&call, &SCHEMA)).await?;
    let database = &plane.app.database;
    let listed = database.run(async |connection| store::list(connection, caller.account_id).await).await?;
    Ok(shown(&listed, &page, call.origin.for_caller(&caller)))
}

/// `PUT /_sandbox/faults`: replaces the faults. All servers apply the new list before the call returns.
pub async fn replace(State(plane): State<ControlPlane>, call: Call) -> Result<Json<FaultList>, Errors> {
    let page = call.no_query().and_then(|()| Numbered::read_list(&call, &SCHEMA));
    let read = page.and_then(|page| Ok((page, read_list(&call.body, mismatch)?)));
    let (caller, (page, faults)) = call.authorize(&plane.app, Access::Write, read).await?;
    let listed = set(&plane, caller.account_id, &faults).await?;
    Ok(shown(&listed, &page, call.origin.for_caller(&caller)))
}

fn shown(listed: &store::List, page: &Numbered, origin: &str) -> Json<FaultList> {
    Json(List::new(page.page(listed.faults.iter().map(render_counted).collect(), origin)))
}

/// `DELETE /_sandbox/faults`: deletes the faults. No server applies one after the call returns.
pub async fn clear(State(plane): State<ControlPlane>, call: Call) -> Result<StatusCode, Errors> {
    let (caller, ()) = call.authorize(&plane.app, Access::Write, call.no_query()).await?;
    set(&plane, caller.account_id, &[]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces the faults of an account. Returns once all servers apply the new list.
async fn set(plane: &ControlPlane, account_id: i64, faults: &[Fault]) -> Result<store::List, Errors> {
    let work = async |connection: &mut PgConnection| {
        store::replace(connection, account_id, faults).await?;
        Ok::<_, StoreError>(store::list(connection, account_id).await?)
    };
    let listed = plane.app.database.run(work).await?;
    plane.fault_cache.forget(account_id);
    tokio::time::sleep(MAX_AGE).await;
    Ok(listed)
}
