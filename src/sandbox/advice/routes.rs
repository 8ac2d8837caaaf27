//! `/_sandbox/advice`

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use super::{AdviceItem, AdviceKind, Tally, render, store};
use crate::accounts::caller::Access;
use crate::jsonapi::error::Errors;
use crate::jsonapi::schema::Schema;
use crate::sandbox::state::ControlPlane;
use crate::web::call::Call;
use crate::web::list::List;
use crate::web::numbered::Numbered;

/// Schema of the list.
pub static SCHEMA: Schema = Schema::list("advice", "/_sandbox/advice");

/// A page of an account's advice.
pub type AdviceList = List<AdviceItem, AdviceMeta>;

/// Facts about all advice of an account.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AdviceMeta {
    /// Number of items on all pages.
    total: usize,
    /// Requests that the advice is drawn from.
    requests_seen_by: &'static str,
}

/// `GET /_sandbox/advice`
pub async fn list(State(plane): State<ControlPlane>, call: Call) -> Result<Json<AdviceList>, Errors> {
    let (caller, page) = call.authorize(&plane.app, Access::Read, Numbered::read_list(&call, &SCHEMA)).await?;
    let database = &plane.app.database;
    let webhooks = database.run(async |connection| store::webhooks(connection, caller.account_id).await).await?;
    let observations = plane.request_log.observations(caller.account_id);
    let mut seen: Vec<(AdviceKind, Tally)> =
        observations.tallies().map(|(kind, tally)| (kind, tally.clone())).chain(webhooks.tallies).collect();
    if !webhooks.has_url
        && let Some((_, polling)) = seen.iter().find(|(kind, _)| *kind == AdviceKind::Polling)
    {
        seen.push((AdviceKind::WebhookUrlMissing, polling.clone()));
    }
    seen.sort_by_key(|(kind, _)| *kind);
    let (data, links) =
        page.page(seen.iter().map(|(kind, tally)| render(*kind, tally)).collect(), call.origin.for_caller(&caller));
    let meta = AdviceMeta { total: seen.len(), requests_seen_by: "this server, since its start" };
    Ok(Json(List { data, meta, links }))
}
