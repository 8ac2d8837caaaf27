//! Health checks: liveness and readiness.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::jsonapi::error::{Error, Errors, UNAVAILABLE};
use crate::web::app::App;

/// `GET /_sandbox/health/live`: 200 while the process answers.
pub async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// `GET /_sandbox/health/ready`: 200 while the database answers too, else 503.
pub async fn ready(State(app): State<App>) -> Result<Json<Value>, Errors> {
    if app.database.is_ready().await {
        return Ok(Json(json!({ "status": "ready" })));
    }
    Err(Errors::from(Error::new(UNAVAILABLE, "the database is unavailable; repeat the request in a moment"))
        .retry_after(1))
}
