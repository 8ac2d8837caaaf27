//! The control plane over HTTP, `/_sandbox`: tests and operators inspect and change the system with it.

pub mod accounts;
pub mod advice;
pub mod clock;
pub mod events;
pub mod faults;
pub mod health;
pub mod intercept;
mod metrics;
pub mod operations;
pub mod request_log;
pub mod seed;
pub mod settings;
pub mod simulations;
pub mod snapshots;
pub mod state;
pub mod state_machines;
pub mod test_values;
pub mod timeline;
pub mod wait;

use axum::Router;
use axum::routing::post;

use crate::jsonapi::error::Code;
use crate::sandbox::state::ControlPlane;
use crate::web::guard::{bounded, guarded, time_limited, with_open_accounts};
use crate::web::route::Route;

/// Returns every route of the control plane with its layers.
pub fn routes(plane: &ControlPlane) -> Router {
    let app = &plane.app;
    let quick = time_limited(public().merge(with_open_accounts(quick(), app)), app);
    let patient = with_open_accounts(patient(), app);
    guarded(bounded(quick.merge(patient).merge(of_all_accounts()), app), plane.clone())
}

/// Every path of the control plane, group by group; simulations have a path for each verb.
pub const TABLES: [&[Route]; 4] = [PUBLIC, QUICK, PATIENT, OF_ALL_ACCOUNTS];

crate::routes! {
    /// Paths that need no key.
    PUBLIC, public -> ControlPlane;
    "/_sandbox/health/live": GET health::live => operations::LIVE;
    "/_sandbox/health/ready": GET health::ready => operations::READY;
    "/_sandbox/metrics": GET metrics::show => operations::METRICS;
    "/_sandbox/state_machines/{name}": GET state_machines::show => operations::STATE_MACHINE;
    "/_sandbox/test_values": GET test_values::list => operations::TEST_VALUES;
}

crate::routes! {
    /// Paths that answer soon.
    QUICK, quick -> ControlPlane;
    "/_sandbox/seed": POST seed::routes::create => operations::SEED;
    "/_sandbox/settings": GET settings::show => operations::SHOW_SETTINGS, PATCH settings::update => operations::UPDATE_SETTINGS;
    "/_sandbox/clock": GET clock::routes::show => operations::SHOW_CLOCK;
    "/_sandbox/events": GET events::routes::list => operations::LIST_EVENTS;
    "/_sandbox/events/recover": POST events::routes::recover => operations::RECOVER_EVENTS;
    "/_sandbox/events/trigger": POST events::routes::trigger => operations::TRIGGER_EVENT;
    "/_sandbox/events/{id}": GET events::routes::show => operations::SHOW_EVENT;
    "/_sandbox/events/{id}/redeliver": POST events::routes::redeliver => operations::REDELIVER;
    "/_sandbox/faults":
        GET faults::routes::list => operations::LIST_FAULTS,
        PUT faults::routes::replace => operations::REPLACE_FAULTS,
        DELETE faults::routes::clear => operations::CLEAR_FAULTS;
    "/_sandbox/requests":
        GET request_log::routes::list => operations::LIST_LOG, DELETE request_log::routes::clear => operations::CLEAR_LOG;
    "/_sandbox/requests/{id}": GET request_log::routes::show => operations::SHOW_LOGGED;
    "/_sandbox/advice": GET advice::routes::list => operations::LIST_ADVICE;
    "/_sandbox/timeline/{type}/{id}": GET timeline::routes::show => operations::TIMELINE;
}

crate::routes! {
    /// Paths without a time limit: they wait, advance a clock, or change or copy a whole account.
    PATIENT, patient_table -> ControlPlane;
    "/_sandbox/reset": POST accounts::routes::reset => operations::RESET;
    "/_sandbox/clock/freeze": POST clock::routes::freeze => operations::FREEZE;
    "/_sandbox/clock/resume": POST clock::routes::resume => operations::RESUME;
    "/_sandbox/clock/advance": POST clock::routes::advance => operations::ADVANCE_CLOCK;
    "/_sandbox/clock/set": POST clock::routes::set => operations::SET_CLOCK;
    "/_sandbox/settle": POST clock::routes::settle => operations::SETTLE_ACCOUNT;
    "/_sandbox/wait": GET wait::routes::wait => operations::WAIT;
    "/_sandbox/snapshots":
        GET snapshots::routes::list => operations::LIST_SNAPSHOTS,
        POST snapshots::routes::create => operations::CREATE_SNAPSHOT;
    "/_sandbox/snapshots/{name}": DELETE snapshots::routes::delete => operations::DELETE_SNAPSHOT;
    "/_sandbox/snapshots/{name}/restore": POST snapshots::routes::restore => operations::RESTORE_SNAPSHOT;
}

/// The patient paths with those of simulations, whose operations come from the state machines.
fn patient() -> Router<ControlPlane> {
    patient_table().route("/_sandbox/simulations/{type}/{id}/{verb}", post(simulations::routes::simulate))
}

crate::routes! {
    /// Paths that concern other accounts than the caller's: an unknown key makes no account here, unless the path says
    /// `me`.
    OF_ALL_ACCOUNTS, of_all_accounts -> ControlPlane;
    "/_sandbox/accounts":
        GET accounts::routes::list => operations::LIST_ACCOUNTS, POST accounts::routes::create => operations::CREATE_ACCOUNT;
    "/_sandbox/accounts/{id}":
        GET accounts::routes::show => operations::SHOW_ACCOUNT, DELETE accounts::routes::delete => operations::DELETE_ACCOUNT;
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
