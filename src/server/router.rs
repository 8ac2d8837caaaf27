//! The router: where the doors meet, and the layers that all of them share.

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use tower::ServiceBuilder;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;

use crate::contract::ServerSetting;
use crate::sandbox::intercept::intercept;
use crate::sandbox::state::ControlPlane;
use crate::web::guard::unknown_route;
use crate::{api, contract, receipts, sandbox, telemetry};

/// Builds the router of all routes and their shared layers. `settings` are shown in the API document. The outermost layer comes first.
pub fn router(plane: &ControlPlane, settings: Vec<ServerSetting>) -> Router {
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
        );
    Router::new()
        .merge(api::routes(&plane.app).layer(from_fn_with_state(plane.clone(), intercept)))
        .merge(receipts::routes::routes(&plane.app))
        .merge(sandbox::routes(plane))
        .merge(contract::routes::routes(&plane.app, settings))
        .fallback(unknown_route)
        .layer(layers)
}
