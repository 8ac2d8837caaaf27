//! The router: all routes and their shared layers.

use std::any::Any;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;

use super::{App, GRACE};
use crate::jsonapi::error::{Error, Errors, INTERNAL, METHOD_NOT_ALLOWED, ROUTE_UNKNOWN, UNAVAILABLE};
use crate::sandbox::intercept::intercept;
use crate::{concierge, receipts, sandbox, telemetry};

/// Builds the router of all routes and their shared layers. The outermost layer comes first.
pub fn router(app: App) -> Router {
    let layers = ServiceBuilder::new()
        .map_request(telemetry::keep_valid_request_id)
        .layer(SetRequestIdLayer::new(telemetry::REQUEST_ID, telemetry::NewRequestId))
        .layer(PropagateRequestIdLayer::new(telemetry::REQUEST_ID))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(telemetry::request_span as fn(&Request) -> tracing::Span)
                .on_request(())
                .on_response(telemetry::log_response)
                .on_failure(()),
        )
        .layer(from_fn_with_state(app.clone(), intercept))
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(from_fn_with_state(app.clone(), limit_time));
    Router::new()
        .merge(concierge::routes())
        .merge(receipts::routes())
        .merge(sandbox::routes())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app)
        .layer(layers)
}

/// Prefixes of paths without a time limit: they advance a clock, wait, or change or copy a whole account.
const UNLIMITED: [&str; 7] = [
    "/_sandbox/accounts",
    "/_sandbox/clock/",
    "/_sandbox/reset",
    "/_sandbox/settle",
    "/_sandbox/simulations/",
    "/_sandbox/snapshots",
    "/_sandbox/wait",
];

/// Limits the time of all other requests: a silent connection to the database would keep them waiting for ever.
async fn limit_time(State(app): State<App>, request: Request, next: Next) -> Result<Response<Body>, Errors> {
    let path = request.uri().path();
    if UNLIMITED.iter().any(|beginning| path.starts_with(beginning)) {
        return Ok(next.run(request).await);
    }
    let limit = app.body_timeout + GRACE;
    tokio::time::timeout(limit, next.run(request)).await.map_err(|_| {
        let detail = format!("the request exceeded its time limit of {} s; it can be repeated", limit.as_secs());
        Errors::from(Error::new(UNAVAILABLE, detail)).retry_after(1)
    })
}

async fn unknown_route(request: Request) -> Errors {
    let detail = format!("`{}` does not exist; the paths of the API begin with /api", request.uri().path());
    Error::new(ROUTE_UNKNOWN, detail).into()
}

async fn wrong_method(request: Request) -> Errors {
    let (path, method) = (request.uri().path(), request.method());
    let detail = format!("`{path}` does not support {method}; `Allow` lists its methods");
    Error::new(METHOD_NOT_ALLOWED, detail).into()
}

fn answer_panic(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let detail = "the server failed; see the server log for this X-Request-Id";
    Errors::from(Error::new(INTERNAL, detail)).into_response()
}
