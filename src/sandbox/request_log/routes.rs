//! `/_sandbox/requests`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::document::{LoggedRequest, render};
use super::query::LogQuery;
use crate::accounts::caller::Access;
use crate::jsonapi::error::{Error, Errors, RESOURCE_NOT_FOUND};
use crate::sandbox::state::ControlPlane;
use crate::web::answers::Blamed;
use crate::web::call::Call;
use crate::web::list::List;

/// A page of an account's exchanges.
pub type RequestList<'a> = List<LoggedRequest<'a>, RequestLogMeta>;

/// Facts about the log of an account.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RequestLogMeta {
    /// Number of requests on all pages, after the filters.
    total: usize,
    /// Number of requests in the log.
    kept: usize,
    /// Place of the log.
    kept_by: &'static str,
}

/// `GET /_sandbox/requests`: lists exchanges, the newest first.
pub async fn list(State(plane): State<ControlPlane>, call: Call) -> Result<Response, Errors> {
    let (caller, query) = call.authorize(&plane.app, Access::Read, LogQuery::read(&call)).await?;
    let exchanges = plane.request_log.exchanges(caller.account_id);
    query.check(&exchanges)?;
    let kept = exchanges.len();
    let newer = exchanges.into_iter().take_while(|(_, exchange)| !query.is_before(exchange));
    let found: Vec<_> = newer.filter(|(_, exchange)| query.asks_for(exchange)).collect();
    let (page, links) = query.page(&found, call.origin.for_caller(&caller));
    let data = page.iter().map(|(_, exchange)| render(exchange)).collect();
    let meta = RequestLogMeta { total: found.len(), kept, kept_by: "this server, in memory" };
    let blamed = Blamed::PageSize { asked: query.page_size(), entries: page.len() };
    List { data, meta, links }.respond(blamed)
}

/// `GET /_sandbox/requests/:id`: shows an exchange. Its id is the answer's `X-Request-Id`.
pub async fn show(State(plane): State<ControlPlane>, call: Call) -> Result<Response, Errors> {
    let (caller, ()) = call.authorize(&plane.app, Access::Read, call.no_query()).await?;
    let exchanges = plane.request_log.exchanges(caller.account_id);
    let (_, found) = exchanges.iter().find(|(_, exchange)| *exchange.id == *call.id).ok_or_else(|| {
        let detail = format!(
            "request {:?} is not in this server's log; the log has the last requests to /api that this server answered",
            call.id
        );
        Error::new(RESOURCE_NOT_FOUND, detail)
    })?;
    Ok(Json(render(found)).into_response())
}

/// `DELETE /_sandbox/requests`: deletes the exchanges, and the advice drawn from them.
pub async fn clear(State(plane): State<ControlPlane>, call: Call) -> Result<StatusCode, Errors> {
    let (caller, ()) = call.authorize(&plane.app, Access::Write, call.no_query()).await?;
    plane.request_log.forget(caller.account_id);
    Ok(StatusCode::NO_CONTENT)
}
