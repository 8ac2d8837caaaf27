//! The contract: the OpenAPI document of `/api`, `/_sandbox` and the receipts, and its page.
//!
//! The document is made of the tables that the server runs by: routes, schemas of resources, types of answers, error
//! codes, event types and test values. So it can't differ from them.

#![expect(clippy::needless_pass_by_value, reason = "parts of a schema are built in one expression")]

mod document;
mod errors;
mod events;
mod operations;
mod parameters;
mod resources;
mod routes;
mod settings;
mod values;
mod yaml;

use axum::Router;

use crate::web::app::App;
pub use document::document;
pub use settings::ServerSetting;
pub use yaml::render as yaml;

/// Returns the routes of the document and its page. `settings` are those of the server.
pub fn routes(app: &App, settings: Vec<ServerSetting>) -> Router {
    routes::routes(app, settings, document)
}
