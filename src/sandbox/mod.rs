//! The control plane, `/_sandbox`: what a test, or whoever operates the server, does to the world.

pub mod advice;
mod events;
pub mod exchanges;
pub mod faults;
mod health;
pub mod intercept;
mod metrics;
mod state_machines;

use axum::Router;
use axum::routing::{get, post};

use crate::jsonapi::error::Code;
use crate::server::App;

/// Every route of the control plane.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/_sandbox/health/live", get(health::live))
        .route("/_sandbox/health/ready", get(health::ready))
        .route("/_sandbox/metrics", get(metrics::show))
        .route("/_sandbox/events", get(events::routes::list))
        .route("/_sandbox/events/recover", post(events::routes::recover))
        .route("/_sandbox/events/trigger", post(events::routes::trigger))
        .route("/_sandbox/events/{id}", get(events::routes::show))
        .route("/_sandbox/events/{id}/redeliver", post(events::routes::redeliver))
        .route("/_sandbox/faults", get(faults::routes::list).put(faults::routes::replace).delete(faults::routes::clear))
        .route("/_sandbox/requests", get(exchanges::routes::list).delete(exchanges::routes::clear))
        .route("/_sandbox/requests/{id}", get(exchanges::routes::show))
        .route("/_sandbox/advice", get(advice::routes::list))
        .route("/_sandbox/state_machines/{name}", get(state_machines::show))
}

/// The error codes of the control plane, beside those of the protocol.
pub const CODES: [&[Code]; 2] = [events::CODES, faults::CODES];
