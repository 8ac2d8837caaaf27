//! The control plane over HTTP, `/_sandbox`: tests and operators inspect and change the system with it.

pub mod accounts;
pub mod advice;
pub mod clock;
mod events;
pub mod exchanges;
pub mod faults;
mod health;
pub mod intercept;
mod metrics;
pub mod seed;
mod settings;
pub mod simulations;
pub mod snapshots;
mod state_machines;
mod test_values;
pub mod timeline;
mod wait;

use axum::Router;
use axum::routing::{delete, get, post};

use crate::jsonapi::error::Code;
use crate::server::App;

/// Returns the routes of the control plane.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/_sandbox/health/live", get(health::live))
        .route("/_sandbox/health/ready", get(health::ready))
        .route("/_sandbox/metrics", get(metrics::show))
        .route("/_sandbox/accounts", get(accounts::routes::list).post(accounts::routes::create))
        .route("/_sandbox/accounts/{id}", get(accounts::routes::show).delete(accounts::routes::delete))
        .route("/_sandbox/reset", post(accounts::routes::reset))
        .route("/_sandbox/seed", post(seed::routes::create))
        .route("/_sandbox/settings", get(settings::show).patch(settings::update))
        .route("/_sandbox/clock", get(clock::routes::show))
        .route("/_sandbox/clock/freeze", post(clock::routes::freeze))
        .route("/_sandbox/clock/resume", post(clock::routes::resume))
        .route("/_sandbox/clock/advance", post(clock::routes::advance))
        .route("/_sandbox/clock/set", post(clock::routes::set))
        .route("/_sandbox/simulations/{type}/{id}/{verb}", post(simulations::routes::simulate))
        .route("/_sandbox/wait", get(wait::routes::wait))
        .route("/_sandbox/settle", post(clock::routes::settle))
        .route("/_sandbox/events", get(events::routes::list))
        .route("/_sandbox/events/recover", post(events::routes::recover))
        .route("/_sandbox/events/trigger", post(events::routes::trigger))
        .route("/_sandbox/events/{id}", get(events::routes::show))
        .route("/_sandbox/events/{id}/redeliver", post(events::routes::redeliver))
        .route("/_sandbox/faults", get(faults::routes::list).put(faults::routes::replace).delete(faults::routes::clear))
        .route("/_sandbox/requests", get(exchanges::routes::list).delete(exchanges::routes::clear))
        .route("/_sandbox/requests/{id}", get(exchanges::routes::show))
        .route("/_sandbox/advice", get(advice::routes::list))
        .route("/_sandbox/snapshots", get(snapshots::routes::list).post(snapshots::routes::create))
        .route("/_sandbox/snapshots/{name}", delete(snapshots::routes::delete))
        .route("/_sandbox/snapshots/{name}/restore", post(snapshots::routes::restore))
        .route("/_sandbox/state_machines/{name}", get(state_machines::show))
        .route("/_sandbox/test_values", get(test_values::list))
        .route("/_sandbox/timeline/{type}/{id}", get(timeline::routes::show))
}

/// The error codes of the control plane. The protocol has more.
pub const CODES: [&[Code]; 8] = [
    accounts::CODES,
    clock::CODES,
    events::CODES,
    faults::CODES,
    seed::CODES,
    simulations::CODES,
    snapshots::CODES,
    wait::CODES,
];
