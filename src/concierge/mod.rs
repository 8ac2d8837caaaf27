//! The emulated API: one module for each resource, and the table of all routes.
//!
//! A resource consists of:
//! * a schema (data),
//! * `document`: reading and rendering,
//! * `store`: all its SQL,
//! * `routes`: thin handlers,
//! * `state`, if it has states: the states and transitions, pure.

pub mod call;
pub mod cash_wallets;
pub mod changes;
pub mod estimates;
pub mod event_types;
pub mod include;
pub mod listing;
pub mod machine;
pub mod money;
pub mod numbered;
pub mod outputs;
pub mod ports;
pub mod pricing;
pub mod requests;
pub mod users;
pub mod webhooks;
pub mod withdrawal_instructions;

use axum::Router;
use axum::routing::{MethodFilter, MethodRouter};
use sqlx::postgres::PgConnection;

use crate::jsonapi::error::Code;
use crate::jsonapi::render::Resource;
use crate::jsonapi::schema::Schema;
use crate::server::App;

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

        /// Returns the router of the emulated API.
        pub fn routes() -> Router<App> {
            Router::new()$(.route($path, MethodRouter::new()$(.on(MethodFilter::$method, $handler))+))*
        }
    };
}

routes! {
    "/api/users": GET users::routes::list, POST users::routes::create;
    "/api/users/me": GET users::routes::show_me, PATCH users::routes::update_me;
    "/api/users/{id}": GET users::routes::show, PATCH users::routes::update;
    "/api/withdrawal_instructions":
        GET withdrawal_instructions::routes::list, POST withdrawal_instructions::routes::create;
    "/api/withdrawal_instructions/{id}":
        GET withdrawal_instructions::routes::show, DELETE withdrawal_instructions::routes::delete;
    "/api/cash_wallets": GET cash_wallets::routes::list;
    "/api/cash_wallets/{currency}": GET cash_wallets::routes::show;
    "/api/webhooks": GET webhooks::list, POST webhooks::create;
    "/api/webhooks/{id}": GET webhooks::show;
    "/api/concierge_ports": GET ports::list;
    "/api/concierge_ports/{id}": GET ports::show;
    "/api/concierge_estimates": POST estimates::routes::create;
    "/api/concierge_requests": GET requests::routes::list, POST requests::routes::create;
    "/api/concierge_requests/{id}": GET requests::routes::show, PATCH requests::routes::update;
    "/api/concierge_requests/{id}/request_quote": POST requests::routes::request_quote;
    "/api/concierge_requests/{id}/accept_quote": POST requests::routes::accept_quote;
    "/api/concierge_requests/{id}/cancel": POST requests::routes::cancel;
    "/api/concierge_request_outputs": GET outputs::routes::list, POST outputs::routes::create;
    "/api/concierge_request_outputs/{id}": GET outputs::routes::show;
}

/// Schemas of all resources with a collection.
/// Webhooks are left out: they are a view of a user, never more than one.
pub const SCHEMAS: [&Schema; 6] = [
    &users::SCHEMA,
    &withdrawal_instructions::SCHEMA,
    &cash_wallets::SCHEMA,
    &ports::SCHEMA,
    &requests::SCHEMA,
    &outputs::SCHEMA,
];

/// Error codes of the resources, in addition to the protocol's.
pub const CODES: [&[Code]; 4] = [
    outputs::document::CODES,
    requests::actions::CODES,
    users::document::CODES,
    withdrawal_instructions::routes::CODES,
];

/// Loads resources of one type, for included resources and events.
///
/// # Errors
/// Database errors.
pub async fn load(
    connection: &mut PgConnection,
    account_id: i64,
    schema: &'static Schema,
    ids: &[i64],
) -> Result<Vec<Resource>, sqlx::Error> {
    if schema.type_name == users::SCHEMA.type_name {
        let found = users::store::load(connection, account_id, ids).await?;
        Ok(found.iter().map(users::document::render).collect())
    } else if schema.type_name == withdrawal_instructions::SCHEMA.type_name {
        let found = withdrawal_instructions::store::load(connection, account_id, ids).await?;
        Ok(found.iter().map(withdrawal_instructions::document::render).collect())
    } else if schema.type_name == requests::SCHEMA.type_name {
        let found = requests::store::load(connection, account_id, ids).await?;
        Ok(found.iter().map(requests::document::render).collect())
    } else {
        let found = outputs::store::load(connection, account_id, ids).await?;
        Ok(found.iter().map(outputs::document::render).collect())
    }
}
