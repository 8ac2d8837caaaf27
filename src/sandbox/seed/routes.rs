//! `POST /_sandbox/seed`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sqlx::postgres::PgConnection;

use super::apply::apply;
use super::document::{read, render};
use crate::accounts::caller::Access;
use crate::accounts::store;
use crate::database::{StoreError, transaction};
use crate::jsonapi::error::Errors;
use crate::web::app::App;
use crate::web::call::Call;

/// `POST /_sandbox/seed`: inserts resources with chosen ids into the account, all of them or none.
pub async fn create(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    loop {
        let (caller, ()) = call.authorize(&app, Access::Write, call.no_query()).await?;
        let (seed, reader) = read(&call.body, caller.user_id, &app.address_rules)?;
        let work = async |transaction: &mut PgConnection| {
            let Some(account) = store::lock(transaction, caller.account_id).await? else { return Ok(false) };
            let (now, timing) = (account.time.now(&app.clock), account.settings.timing(&app.rules.timing));
            let origin = Some(&*call.origin.request);
            apply(transaction, account.id, &seed, reader, now, &timing, origin).await?;
            Ok::<_, StoreError>(true)
        };
        // the account may have been reset meanwhile: look it up again
        if app.database.run(async |connection| transaction(connection, work).await).await? {
            app.schedule(&caller, Some(caller.time.now(&app.clock))).await;
            return Ok((StatusCode::CREATED, Json(render(&seed))).into_response());
        }
    }
}
