//! Health checks: liveness and readiness.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::jsonapi::error::Errors;
use crate::web::app::App;

/// Health of the server.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Health {
    /// The part of the server that was checked: `live` is the process, `ready` also the database and its schema.
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

/// `GET /_sandbox/health/ready`: 200 while the database answers and accepts writes, else 503 with the reason.
pub async fn ready(State(app): State<App>) -> Result<Json<Health>, Errors> {
    app.database.check_ready().await?;
    Ok(Json(Health { status: HealthStatus::Ready }))
}
