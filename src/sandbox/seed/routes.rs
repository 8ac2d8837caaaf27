//! `POST /_sandbox/seed`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sqlx::Acquire;

use super::apply;
use super::document::{read, render};
use crate::accounts::caller::Access;
use crate::accounts::store;
use crate::database::{StoreError, settle};
use crate::jsonapi::error::Errors;
use crate::web::app::App;
use crate::web::call::Call;

/// `POST /_sandbox/seed`: inserts resources with chosen ids into the account, all of them or none.
pub async fn create(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    loop {
        let (caller, ()) = call.authorize(&app, Access::Write, call.no_query()).await?;
        let (seed, reader) = read(&call.body, caller.user_id, &app.address_rules)?;
        let mut connection = app.database.connection().await?;
        let planted = async {
            let mut transaction = connection.begin().await?;
            let outcome = async {
                let account = store::lock(&mut transaction, caller.account_id).await?;
                let Some(account) = account else { return Ok(false) };
                let (now, timing) = (account.time.now(&app.clock), account.settings.timing(&app.rules.timing));
                apply(&mut transaction, account.id, (&seed, reader), now, &timing).await?;
                Ok::<_, StoreError>(true)
            }
            .await;
            settle(transaction, outcome).await
        }
        .await;
        // the account may have been reset meanwhile: look it up again
        if connection.finish(planted)? {
            app.schedule(&caller, Some(caller.time.now(&app.clock))).await;
            return Ok((StatusCode::CREATED, Json(render(&seed))).into_response());
        }
    }
}
