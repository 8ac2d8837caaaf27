//! Every route, and the layers that all of them share.

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

/// Every route, and what all of them share. The outermost layer comes first.
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

/// Where the paths of requests begin that take as long as it takes: those that go through time, wait, or change or copy a
/// whole world.
const UNLIMITED: [&str; 7] = [
    "/_sandbox/accounts",
    "/_sandbox/clock/",
    "/_sandbox/reset",
    "/_sandbox/settle",
    "/_sandbox/simulations/",
    "/_sandbox/snapshots",
    "/_sandbox/wait",
];

/// No other request goes on for ever: a connection to the database that carries nothing any more would keep it waiting.
async fn limit_time(State(app): State<App>, request: Request, next: Next) -> Result<Response<Body>, Errors> {
    let path = request.uri().path();
    if UNLIMITED.iter().any(|beginning| path.starts_with(beginning)) {
        return Ok(next.run(request).await);
    }
    let limit = app.body_timeout + GRACE;
    tokio::time::timeout(limit, next.run(request)).await.map_err(|_| {
        let detail = format!("no answer was found within {} s; the request can be repeated", limit.as_secs());
        Errors::from(Error::new(UNAVAILABLE, detail)).retry_after(1)
    })
}

async fn unknown_route(request: Request) -> Errors {
    let detail = format!("there is nothing at {}; the API is under /api", request.uri().path());
    Error::new(ROUTE_UNKNOWN, detail).into()
}

async fn wrong_method(request: Request) -> Errors {
    let detail = format!("{} is not one of the methods in Allow", request.method());
    Error::new(METHOD_NOT_ALLOWED, detail).into()
}

fn answer_panic(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let detail = "the server failed; its log says why, under this answer's X-Request-Id";
    Errors::from(Error::new(INTERNAL, detail)).into_response()
}
