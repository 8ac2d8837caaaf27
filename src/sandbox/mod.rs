//! The control plane, `/_sandbox`: what a test, or whoever operates the server, does to the world.

mod health;
mod metrics;
mod state_machines;

use axum::Router;
use axum::routing::get;

use crate::server::App;

/// Every route of the control plane.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/_sandbox/health/live", get(health::live))
        .route("/_sandbox/health/ready", get(health::ready))
        .route("/_sandbox/metrics", get(metrics::show))
        .route("/_sandbox/state_machines/{name}", get(state_machines::show))
}
