//! Whether the server lives, and whether it can do its work.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::jsonapi::error::{Error, Errors, UNAVAILABLE};
use crate::web::app::App;

/// `GET /_sandbox/health/live`: the process answers.
pub async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// `GET /_sandbox/health/ready`: the database answers too, else 503.
pub async fn ready(State(app): State<App>) -> Result<Json<Value>, Errors> {
    if app.database.is_ready().await {
        return Ok(Json(json!({ "status": "ready" })));
    }
    Err(Errors::from(Error::new(UNAVAILABLE, "the database is away")).retry_after(1))
}
