//! `GET /_sandbox/metrics`, in OpenMetrics format for Prometheus and similar systems.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::jsonapi::error::Errors;
use crate::web::app::App;
use crate::webhooks::store::oldest_pending;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /_sandbox/metrics`
pub async fn show(State(app): State<App>) -> Result<Response, Errors> {
    let oldest = app.database.run(async |connection| oldest_pending(connection).await).await?;
    let age = oldest.and_then(|oldest| Duration::try_from(app.clock.now() - oldest).ok()).unwrap_or_default();
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], app.metrics.text(age)).into_response())
}
