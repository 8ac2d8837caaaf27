//! The emulated API's HTTP: thin handlers, one file a resource, and the table of all routes.
//!
//! The table is the router, and the list that patterns of faults are checked against.

mod cash_wallets;
mod estimates;
mod outputs;
mod ports;
mod requests;
mod users;
mod webhooks;
mod withdrawal_instructions;

use axum::Router;
use axum::routing::{MethodFilter, MethodRouter, any};

use crate::web::app::App;
use crate::web::guard::{guarded, rate_limited, time_limited, unknown_route, with_open_accounts};

/// A path of the emulated API with its methods.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Path in the router's syntax; `{id}` stands for one segment.
    pub path: &'static str,
    /// Methods of the path; GET implies HEAD.
    pub methods: &'static [&'static str],
}

/// Declares all routes once: for the router and as a list.
macro_rules! routes {
    ($($path:literal: $($method:ident $handler:path),+;)*) => {
        /// All paths of the emulated API.
        pub const ROUTES: &[Route] = &[$(Route { path: $path, methods: &[$(stringify!($method)),+] }),*];

        fn table() -> Router<App> {
            Router::new()$(.route($path, MethodRouter::new()$(.on(MethodFilter::$method, $handler))+))*
        }
    };
}

routes! {
    "/api/users": GET users::list, POST users::create;
    "/api/users/me": GET users::show_me, PATCH users::update_me;
    "/api/users/{id}": GET users::show, PATCH users::update;
    "/api/withdrawal_instructions":
        GET withdrawal_instructions::list, POST withdrawal_instructions::create;
    "/api/withdrawal_instructions/{id}":
        GET withdrawal_instructions::show, DELETE withdrawal_instructions::delete;
    "/api/cash_wallets": GET cash_wallets::list;
    "/api/cash_wallets/{currency}": GET cash_wallets::show;
    "/api/webhooks": GET webhooks::show_own, POST webhooks::create;
    "/api/webhooks/{id}": GET webhooks::show;
    "/api/concierge_ports": GET ports::list;
    "/api/concierge_ports/{id}": GET ports::show;
    "/api/concierge_estimates": POST estimates::create;
    "/api/concierge_requests": GET requests::list, POST requests::create;
    "/api/concierge_requests/{id}": GET requests::show, PATCH requests::update;
    "/api/concierge_requests/{id}/request_quote": POST requests::request_quote;
    "/api/concierge_requests/{id}/accept_quote": POST requests::accept_quote;
    "/api/concierge_requests/{id}/cancel": POST requests::cancel;
    "/api/concierge_request_outputs": GET outputs::list, POST outputs::create;
    "/api/concierge_request_outputs/{id}": GET outputs::show;
}

/// Returns every route of the emulated API with its layers.
pub fn routes(app: &App) -> Router {
    let routes = rate_limited(with_open_accounts(table(), app), app)
        .route("/api", any(unknown_route))
        .route("/api/{*path}", any(unknown_route));
    guarded(time_limited(routes, app), app.clone())
}
