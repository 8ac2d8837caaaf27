//! What every connection is given: the routes, the rules, and the stage of the server.

use std::time::Duration;

use axum::Router;
use tower_http::normalize_path::NormalizePath;

use super::phase::PhaseLimits;
use super::tls::Tls;
use crate::clock::Clock;
use crate::web::stopping::Stopping;

/// The routes, with or without a slash at the end.
pub type Service = NormalizePath<Router>;

/// How a server treats its connections.
#[derive(Debug)]
pub struct Rules {
    pub phases: PhaseLimits,
    /// Time for a write to make progress.
    pub write_timeout: Duration,
    /// Time for the body of a request.
    pub body_timeout: Duration,
    /// Maximum number of connections.
    pub connections: usize,
    pub tls: Option<Tls>,
    pub clock: Clock,
    pub stopping: Stopping,
}

/// How far the end of the server has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Running,
    /// Connections end after the request at work.
    Stopping,
    /// Connections end.
    Cut,
}
