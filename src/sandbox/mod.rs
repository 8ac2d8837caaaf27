//! The control plane over HTTP, `/_sandbox`: tests and operators inspect and change the system with it.

pub mod accounts;
pub mod advice;
pub mod clock;
pub mod events;
pub mod faults;
mod health;
pub mod intercept;
mod metrics;
pub mod request_log;
pub mod seed;
mod settings;
pub mod simulations;
pub mod snapshots;
pub mod state;
mod state_machines;
mod test_values;
pub mod timeline;
mod wait;

use axum::Router;
use axum::routing::{delete, get, post};

use crate::jsonapi::error::Code;
use crate::sandbox::state::ControlPlane;
use crate::web::guard::{guarded, time_limited, with_open_accounts};

/// Returns every route of the control plane with its layers.
pub fn routes(plane: &ControlPlane) -> Router {
    let app = &plane.app;
    let quick = time_limited(public().merge(with_open_accounts(quick(), app)), app);
    let patient = with_open_accounts(patient(), app);
    guarded(quick.merge(patient).merge(of_all_accounts()), plane.clone())
}

/// Routes that need no key.
fn public() -> Router<ControlPlane> {
    Router::new()
        .route("/_sandbox/health/live", get(health::live))
        .route("/_sandbox/health/ready", get(health::ready))
        .route("/_sandbox/metrics", get(metrics::show))
        .route("/_sandbox/state_machines/{name}", get(state_machines::show))
        .route("/_sandbox/test_values", get(test_values::list))
}

/// Routes that answer soon.
fn quick() -> Router<ControlPlane> {
    Router::new()
        .route("/_sandbox/seed", post(seed::routes::create))
        .route("/_sandbox/settings", get(settings::show).patch(settings::update))
        .route("/_sandbox/clock", get(clock::routes::show))
        .route("/_sandbox/events", get(events::routes::list))
        .route("/_sandbox/events/recover", post(events::routes::recover))
        .route("/_sandbox/events/trigger", post(events::routes::trigger))
        .route("/_sandbox/events/{id}", get(events::routes::show))
        .route("/_sandbox/events/{id}/redeliver", post(events::routes::redeliver))
        .route("/_sandbox/faults", get(faults::routes::list).put(faults::routes::replace).delete(faults::routes::clear))
        .route("/_sandbox/requests", get(request_log::routes::list).delete(request_log::routes::clear))
        .route("/_sandbox/requests/{id}", get(request_log::routes::show))
        .route("/_sandbox/advice", get(advice::routes::list))
        .route("/_sandbox/timeline/{type}/{id}", get(timeline::routes::show))
}

/// Routes without a time limit: they wait, advance a clock, or change or copy a whole account.
fn patient() -> Router<ControlPlane> {
    Router::new()
        .route("/_sandbox/reset", post(accounts::routes::reset))
        .route("/_sandbox/clock/freeze", post(clock::routes::freeze))
        .route("/_sandbox/clock/resume", post(clock::routes::resume))
        .route("/_sandbox/clock/advance", post(clock::routes::advance))
        .route("/_sandbox/clock/set", post(clock::routes::set))
        .route("/_sandbox/settle", post(clock::routes::settle))
        .route("/_sandbox/simulations/{type}/{id}/{verb}", post(simulations::routes::simulate))
        .route("/_sandbox/wait", get(wait::routes::wait))
        .route("/_sandbox/snapshots", get(snapshots::routes::list).post(snapshots::routes::create))
        .route("/_sandbox/snapshots/{name}", delete(snapshots::routes::delete))
        .route("/_sandbox/snapshots/{name}/restore", post(snapshots::routes::restore))
}

/// Routes that concern other accounts than the caller's: an unknown key makes no account here, unless the path says `me`.
fn of_all_accounts() -> Router<ControlPlane> {
    Router::new()
        .route("/_sandbox/accounts", get(accounts::routes::list).post(accounts::routes::create))
        .route("/_sandbox/accounts/{id}", get(accounts::routes::show).delete(accounts::routes::delete))
}

/// The error codes of the control plane. The protocol has more.
pub const CODES: [&[Code]; 8] = [
    accounts::CODES,
    clock::CODES,
    events::CODES,
    crate::faults::CODES,
    seed::CODES,
    simulations::CODES,
    snapshots::CODES,
    wait::CODES,
];
