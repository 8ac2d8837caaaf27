//! `/_sandbox/timeline`

use axum::Json;
use axum::extract::State;
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::document::TimelineDocument;
use super::{Subject, document, read};
use crate::accounts::caller::{Access, authenticate};
use crate::concierge::event_types::RESOURCE_TYPES;
use crate::database::settle;
use crate::jsonapi::document::id_number;
use crate::jsonapi::error::{Error, Errors, RESOURCE_NOT_FOUND};
use crate::jsonapi::query::Target;
use crate::web::app::App;
use crate::web::call::{Call, PathOf, not_found};

/// `GET /_sandbox/timeline/:type/:id`
pub async fn show(
    State(app): State<App>,
    PathOf((type_name, id)): PathOf<(String, String)>,
    call: Call,
) -> Result<Json<TimelineDocument>, Errors> {
    let known = || {
        let detail =
            format!("{type_name:?} is not a resource type with timelines; use one of {}", RESOURCE_TYPES.join(", "));
        Errors::from(Error::new(RESOURCE_NOT_FOUND, detail))
    };
    let subject = Subject::named(&type_name).ok_or_else(known).and_then(|subject| {
        call.query(subject.schema(), Target::Nothing)?;
        Ok(subject)
    });
    let subject = call.authorize_parsed(&app, Access::Read, subject).await?;
    let number = id_number(&id);
    let work = async |connection: &mut PgConnection| {
        // one snapshot, so that state, history and outlook agree
        let mut transaction = connection.begin_with("begin isolation level repeatable read read only").await?;
        let found = async {
            let caller = authenticate(&mut transaction, call.credentials()?, Access::Read).await?;
            Ok(read::read(&mut transaction, caller.account_id, subject, number).await?)
        }
        .await;
        settle(transaction, found).await
    };
    let found = app.database.run(work).await?.ok_or_else(|| not_found(subject.schema(), &id))?;
    Ok(Json(document::timeline(subject, number, &found)))
}
