//! The emulated API's HTTP: thin handlers, one file a resource, and the table of all routes.
//!
//! The table is the router, and the list that patterns of faults are checked against.

mod cash_wallets;
mod estimates;
mod outputs;
mod ports;
mod requests;
mod users;
pub mod webhooks;
mod withdrawal_instructions;

use axum::Router;
use axum::routing::any;

use crate::web::app::App;
use crate::web::guard::{bounded, guarded, rate_limited, time_limited, unknown_route, with_open_accounts};

crate::routes! {
    /// All paths of the emulated API.
    ROUTES, table -> App;

    "/api/users": GET users::list => users::LIST, POST users::create => users::CREATE;
    "/api/users/me": GET users::show_me => users::SHOW_ME, PATCH users::update_me => users::UPDATE_ME;
    "/api/users/{id}": GET users::show => users::SHOW, PATCH users::update => users::UPDATE;
    "/api/withdrawal_instructions":
        GET withdrawal_instructions::list => withdrawal_instructions::LIST, POST withdrawal_instructions::create => withdrawal_instructions::CREATE;
    "/api/withdrawal_instructions/{id}":
        GET withdrawal_instructions::show => withdrawal_instructions::SHOW, DELETE withdrawal_instructions::delete => withdrawal_instructions::DELETE;
    "/api/cash_wallets": GET cash_wallets::list => cash_wallets::LIST;
    "/api/cash_wallets/{currency}": GET cash_wallets::show => cash_wallets::SHOW;
    "/api/webhooks": GET webhooks::show_own => webhooks::SHOW_OWN, POST webhooks::create => webhooks::CREATE;
    "/api/webhooks/{id}": GET webhooks::show => webhooks::SHOW;
    "/api/concierge_ports": GET ports::list => ports::LIST;
    "/api/concierge_ports/{id}": GET ports::show => ports::SHOW;
    "/api/concierge_estimates": POST estimates::create => estimates::CREATE;
    "/api/concierge_requests": GET requests::list => requests::LIST, POST requests::create => requests::CREATE;
    "/api/concierge_requests/{id}": GET requests::show => requests::SHOW, PATCH requests::update => requests::UPDATE;
    "/api/concierge_requests/{id}/request_quote": POST requests::request_quote => requests::REQUEST_QUOTE;
    "/api/concierge_requests/{id}/accept_quote": POST requests::accept_quote => requests::ACCEPT_QUOTE;
    "/api/concierge_requests/{id}/cancel": POST requests::cancel => requests::CANCEL;
    "/api/concierge_request_outputs": GET outputs::list => outputs::LIST, POST outputs::create => outputs::CREATE;
    "/api/concierge_request_outputs/{id}": GET outputs::show => outputs::SHOW;
}

/// Returns every route of the emulated API with its layers.
pub fn routes(app: &App) -> Router {
    let routes = rate_limited(with_open_accounts(table(), app), app)
        .route("/api", any(unknown_route))
        .route("/api/{*path}", any(unknown_route));
    guarded(time_limited(bounded(routes, app), app), app.clone())
}
