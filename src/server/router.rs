//! The router: where the doors meet, and the layers that all of them share.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use tower::ServiceBuilder;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;

use super::framing::only_chunks;
use super::in_flight::{InFlight, limit_in_flight};
use crate::contract::ServerSetting;
use crate::sandbox::intercept::intercept;
use crate::sandbox::state::ControlPlane;
use crate::web::browsers::{check_host, own_pages_only};
use crate::web::cors::with_cors;
use crate::web::guard::{follow_progress, unknown_route, varying};
use crate::{api, contract, receipts, sandbox, telemetry};

/// Builds the router of all routes and their shared layers. The outermost layer comes first. `settings` are shown in the
/// API document; at most `most_requests` are answered at a time.
pub fn router(plane: &ControlPlane, settings: Vec<ServerSetting>, most_requests: usize) -> Router {
    let app = &plane.app;
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
        .layer(from_fn(only_chunks))
        .layer(from_fn_with_state(InFlight::new(most_requests), limit_in_flight))
        .layer(from_fn_with_state(app.clone(), check_host))
        .layer(from_fn(follow_progress));
    let cross_origins = app.cross_origins.as_ref();
    let api = api::routes(app).layer(from_fn_with_state(plane.clone(), intercept));
    Router::new()
        .merge(with_cors(varying(api, app, "Accept, Prefer"), cross_origins))
        .merge(with_cors(varying(receipts::routes::routes(app), app, "Accept"), cross_origins))
        .merge(varying(own_pages_only(sandbox::routes(plane), app), app, "Accept"))
        .merge(varying(own_pages_only(contract::routes(app, settings), app), app, "Accept"))
        .fallback(unknown_route)
        .layer(layers)
}
