//! Health checks: liveness and readiness.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::jsonapi::error::{Error, Errors, UNAVAILABLE};
use crate::web::app::App;

/// Health of the server.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Health {
    /// The part of the server that was checked: `live` is the process, `ready` also the database.
    status: HealthStatus,
}

/// Result of a health check.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    Live,
    Ready,
}

/// `GET /_sandbox/health/live`: 200 while the process answers.
pub async fn live() -> Json<Health> {
    Json(Health { status: HealthStatus::Live })
}

/// `GET /_sandbox/health/ready`: 200 while the database answers too, else 503.
pub async fn ready(State(app): State<App>) -> Result<Json<Health>, Errors> {
    if app.database.is_ready().await {
        return Ok(Json(Health { status: HealthStatus::Ready }));
    }
    Err(Errors::from(Error::new(UNAVAILABLE, "the database is unavailable; repeat the request in a moment"))
        .retry_after(1))
}
