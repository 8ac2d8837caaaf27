//! The emulated API: one module for each resource, and the table of all routes.
//!
//! A resource consists of:
//! * a schema (data),
//! * `document`: reading and rendering,
//! * `store`: all its SQL,
//! * `routes`: thin handlers,
//! * `state`, if it has states: the states and transitions, pure.

pub mod cash_wallets;
pub mod changes;
pub mod due;
pub mod estimates;
pub mod event_types;
pub mod fixtures;
pub mod impossible;
pub mod listing;
pub mod machine;
pub mod outlook;
pub mod outputs;
pub mod ports;
pub mod pricing;
pub mod requests;
pub mod rules;
pub mod users;
pub mod withdrawal_instructions;

use sqlx::postgres::PgConnection;

use crate::jsonapi::error::Code;
use crate::jsonapi::render::Resource;
use crate::jsonapi::schema::Schema;

/// Schemas of all resources with a collection.
/// Webhooks are left out: they are a view of a user, never more than one.
pub const SCHEMAS: [&Schema; 6] = [
    &users::document::SCHEMA,
    &withdrawal_instructions::document::SCHEMA,
    &cash_wallets::SCHEMA,
    &ports::SCHEMA,
    &requests::document::SCHEMA,
    &outputs::document::SCHEMA,
];

/// Error codes of the resources, in addition to the protocol's.
pub const CODES: [&[Code]; 4] = [
    outputs::document::CODES,
    requests::actions::CODES,
    users::document::CODES,
    withdrawal_instructions::document::CODES,
];

/// Loads resources of one type for a document, without the bodies of instructions: they may be large, and
/// [`withdrawal_instructions::store::bodies`] loads the ones to show.
///
/// # Errors
/// Database errors.
pub async fn load_for_document(
    connection: &mut PgConnection,
    account_id: i64,
    schema: &'static Schema,
    ids: &[i64],
) -> Result<Vec<Resource>, sqlx::Error> {
    if schema.type_name != withdrawal_instructions::document::SCHEMA.type_name {
        return load(connection, account_id, schema, ids).await;
    }
    let found = withdrawal_instructions::store::load(connection, account_id, ids, false).await?;
    Ok(found.into_iter().map(withdrawal_instructions::document::render_owned).collect())
}

/// Loads resources of one type, for events and simulations.
///
/// # Errors
/// Database errors.
pub async fn load(
    connection: &mut PgConnection,
    account_id: i64,
    schema: &'static Schema,
    ids: &[i64],
) -> Result<Vec<Resource>, sqlx::Error> {
    if schema.type_name == users::document::SCHEMA.type_name {
        let found = users::store::load(connection, account_id, ids).await?;
        Ok(found.iter().map(users::document::render).collect())
    } else if schema.type_name == withdrawal_instructions::document::SCHEMA.type_name {
        let found = withdrawal_instructions::store::load(connection, account_id, ids, true).await?;
        Ok(found.iter().map(withdrawal_instructions::document::render).collect())
    } else if schema.type_name == requests::document::SCHEMA.type_name {
        let found = requests::store::load(connection, account_id, ids).await?;
        Ok(found.iter().map(requests::document::render).collect())
    } else {
        let found = outputs::store::load(connection, account_id, ids).await?;
        Ok(found.iter().map(outputs::document::render).collect())
    }
}
