//! The emulated API, one room a resource, and the table of all its routes.
//!
//! A resource is its schema (data), its `document` (reading and rendering), its `store` (all its SQL) and its
//! `routes` (thin handlers); where it lives through states, `state` says which, without touching anything.

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
use axum::routing::{get, post};
use sqlx::postgres::PgConnection;

use crate::jsonapi::error::Code;
use crate::jsonapi::render::Resource;
use crate::jsonapi::schema::Schema;
use crate::server::App;

/// Every route of the emulated API.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/api/users", get(users::routes::list).post(users::routes::create))
        .route("/api/users/me", get(users::routes::show_me).patch(users::routes::update_me))
        .route("/api/users/{id}", get(users::routes::show).patch(users::routes::update))
        .route(
            "/api/withdrawal_instructions",
            get(withdrawal_instructions::routes::list).post(withdrawal_instructions::routes::create),
        )
        .route(
            "/api/withdrawal_instructions/{id}",
            get(withdrawal_instructions::routes::show).delete(withdrawal_instructions::routes::delete),
        )
        .route("/api/cash_wallets", get(cash_wallets::routes::list))
        .route("/api/cash_wallets/{currency}", get(cash_wallets::routes::show))
        .route("/api/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/api/webhooks/{id}", get(webhooks::show))
        .route("/api/concierge_ports", get(ports::list))
        .route("/api/concierge_ports/{id}", get(ports::show))
        .route("/api/concierge_estimates", post(estimates::routes::create))
        .route("/api/concierge_requests", get(requests::routes::list).post(requests::routes::create))
        .route("/api/concierge_requests/{id}", get(requests::routes::show).patch(requests::routes::update))
        .route("/api/concierge_requests/{id}/request_quote", post(requests::routes::request_quote))
        .route("/api/concierge_requests/{id}/accept_quote", post(requests::routes::accept_quote))
        .route("/api/concierge_requests/{id}/cancel", post(requests::routes::cancel))
        .route("/api/concierge_request_outputs", get(outputs::routes::list).post(outputs::routes::create))
        .route("/api/concierge_request_outputs/{id}", get(outputs::routes::show))
}

/// The schema of every resource that can be listed, but for webhooks: they are a view of a user, never more than one.
pub const SCHEMAS: [&Schema; 6] = [
    &users::SCHEMA,
    &withdrawal_instructions::SCHEMA,
    &cash_wallets::SCHEMA,
    &ports::SCHEMA,
    &requests::SCHEMA,
    &outputs::SCHEMA,
];

/// The error codes of the resources, beside those of the protocol.
pub const CODES: [&[Code]; 4] = [
    outputs::document::CODES,
    requests::actions::CODES,
    users::document::CODES,
    withdrawal_instructions::routes::CODES,
];

/// Loads resources of one type that a document links to, or an event tells of.
///
/// # Errors
/// Those of the database.
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
