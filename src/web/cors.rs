//! Cross-origin requests: pages of other origins call the API from a browser, where a setting names these origins.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower::{Layer, ServiceExt};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders, Vary};

use super::origin::read_browser_origin;
use crate::telemetry::REQUEST_ID;

/// Methods of the API.
const METHODS: [Method; 5] = [Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE];
/// Headers of answers that scripts may read, besides those of every answer.
const EXPOSED: [HeaderName; 3] = [REQUEST_ID, header::LOCATION, header::RETRY_AFTER];

/// The origins of the pages that may call the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrossOrigins {
    Any,
    Listed(Vec<HeaderValue>),
}

impl CrossOrigins {
    /// Reads `*`, or a list of origins with commas.
    ///
    /// # Errors
    /// Names the first value that is no origin.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let origin = |item: &str| {
            let origin = read_browser_origin(item).and_then(|origin| HeaderValue::try_from(origin).ok());
            origin.ok_or_else(|| match item {
                "*" => "\"*\" allows every origin, so it must stand alone, without other origins".to_owned(),
                item => format!("{item:?} is no origin; it must be like http://localhost:3000, without a path"),
            })
        };
        text.split(',').map(|item| origin(item.trim())).collect::<Result<_, _>>().map(Self::Listed)
    }

    /// Returns whether pages of an origin, as a browser sends it, may call the API.
    pub fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(origins) => origins.iter().any(|allowed| allowed == origin),
        }
    }

    fn layer(&self) -> CorsLayer {
        let (allowed, vary) = match self {
            Self::Any => (AllowOrigin::any(), Vary::list([])),
            Self::Listed(origins) => (AllowOrigin::list(origins.clone()), Vary::list([header::ORIGIN])),
        };
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods(METHODS)
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(ExposeHeaders::list(EXPOSED))
            .vary(vary)
    }
}

/// Lets pages of the allowed origins call routes, where a setting names any. A preflight is answered here, so it needs no
/// key, and no fault or limit counts it.
pub fn with_cors(routes: Router, origins: Option<&CrossOrigins>) -> Router {
    match origins {
        Some(origins) => routes.layer(from_fn_with_state(origins.layer(), cross)),
        None => routes,
    }
}

async fn cross(State(cors): State<CorsLayer>, request: Request, next: Next) -> Response {
    // the layer takes every OPTIONS for a preflight, but without this header it is a request of a wrong method
    let is_preflight = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && !is_preflight {
        return next.run(request).await;
    }
    cors.layer(next).oneshot(request).await.into_response()
}
