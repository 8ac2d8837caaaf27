//! `/_sandbox/advice`

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::{AdviceItem, AdviceKind, Tally, render, store};
use crate::accounts::caller::Access;
use crate::jsonapi::error::Errors;
use crate::sandbox::state::ControlPlane;
use crate::web::call::Call;

/// `GET /_sandbox/advice`
pub async fn list(State(plane): State<ControlPlane>, call: Call) -> Result<Json<Value>, Errors> {
    let (caller, ()) = call.authorize(&plane.app, Access::Read, call.no_query()).await?;
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
    let advice: Vec<AdviceItem> = seen.iter().map(|(kind, tally)| render(*kind, tally)).collect();
    Ok(Json(json!({ "advice": advice, "meta": { "requests_seen_by": "this server, since its start" } })))
}
