//! Layers of the doors: time limit, rate limit, open accounts, and answers to unknown paths, wrong methods and panics.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, Response, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::app::App;
use super::origin::PROXY_HEADERS;
use crate::accounts::caller::Credentials;
use crate::database::{Progress, outcome_unknown};
use crate::jsonapi::error::{Error, Errors, INTERNAL, METHOD_NOT_ALLOWED, ROUTE_UNKNOWN, UNAVAILABLE};

/// Time limit of a request, beyond that of its body.
const GRACE: Duration = Duration::from_secs(10);

/// Adds the answer to a wrong method, turns panics into answers, and gives the routes their state.
pub fn guarded<S: Clone + Send + Sync + 'static>(routes: Router<S>, state: S) -> Router {
    let plain = routes.clone().with_state(state.clone());
    let wrong_method = move |request: Request| answer_wrong_method(plain.clone(), request);
    routes.method_not_allowed_fallback(wrong_method).layer(CatchPanicLayer::custom(answer_panic)).with_state(state)
}

/// Limits the time of requests: a silent connection to the database would keep them waiting for ever.
pub fn time_limited<S: Clone + Send + Sync + 'static>(routes: Router<S>, app: &App) -> Router<S> {
    routes.layer(from_fn_with_state(app.clone(), limit_time))
}

async fn limit_time(State(app): State<App>, request: Request, next: Next) -> Result<Response<Body>, Errors> {
    let limit = app.body_timeout + GRACE;
    tokio::time::timeout(limit, next.run(request)).await.map_err(|_| {
        let fault = format!("the request exceeded its time limit of {} s", limit.as_secs());
        if Progress::current().may_have_changed() {
            return outcome_unknown(&fault);
        }
        let detail = format!("{fault} and was not done; repeat it in a moment");
        Errors::from(Error::new(UNAVAILABLE, detail)).retry_after(1)
    })
}

/// Follows the progress of each request in the database, so that a failure says whether the request may have been done.
pub async fn follow_progress(request: Request, next: Next) -> Response<Body> {
    Progress::new(request.method().is_safe()).scope(next.run(request)).await
}

/// Holds the memory of each large answer until its body was sent or dropped.
pub fn bounded<S: Clone + Send + Sync + 'static>(routes: Router<S>, app: &App) -> Router<S> {
    routes.layer(from_fn_with_state(app.clone(), hold_memory))
}

async fn hold_memory(State(app): State<App>, request: Request, next: Next) -> Response<Body> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    app.answers.hold(next.run(request).await, is_read)
}

/// Creates the account of an unknown key before a request goes on, where accounts are open.
pub fn with_open_accounts<S: Clone + Send + Sync + 'static>(routes: Router<S>, app: &App) -> Router<S> {
    match app.open_accounts {
        Some(_) => routes.route_layer(from_fn_with_state(app.clone(), admit)),
        None => routes,
    }
}

async fn admit(State(app): State<App>, request: Request, next: Next) -> Result<Response<Body>, Errors> {
    app.admit(request.headers()).await?;
    Ok(next.run(request).await)
}

/// Names the headers of requests by which the answers of these routes are chosen, so that caches keep them apart. Links
/// add those of a trusted proxy.
pub fn varying(routes: Router, app: &App, by: &str) -> Router {
    let names = if app.origins.trusts_proxy { format!("{by}, {PROXY_HEADERS}") } else { by.to_owned() };
    let names = HeaderValue::try_from(names).ok();
    routes.layer(SetResponseHeaderLayer::appending(header::VARY, move |_: &Response<Body>| names.clone()))
}

/// Limits the requests of each key, if the server has a limit. The real system has no control plane, so only its API
/// is limited.
pub fn rate_limited<S: Clone + Send + Sync + 'static>(routes: Router<S>, app: &App) -> Router<S> {
    if app.rate_limit.is_set() { routes.route_layer(from_fn_with_state(app.clone(), limit_rate)) } else { routes }
}

async fn limit_rate(State(app): State<App>, request: Request, next: Next) -> Result<Response<Body>, Errors> {
    let header = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    if let Ok(credentials) = Credentials::read(header) {
        app.rate_limit.check(&credentials.key_sha256)?;
    }
    Ok(next.run(request).await)
}

/// Returns 404 for an unknown path.
pub async fn unknown_route(request: Request) -> Errors {
    let detail = format!("`{}` does not exist; the paths of the API begin with /api", request.uri().path());
    Error::new(ROUTE_UNKNOWN, detail).into()
}

/// Returns 405 with the methods of the path. `plain` are the same routes: only a router knows them.
async fn answer_wrong_method(plain: Router, request: Request) -> Response<Body> {
    let (path, method) = (request.uri().path().to_owned(), request.method().clone());
    let (parts, _) = request.into_parts();
    let Ok(plain) = plain.oneshot(Request::from_parts(parts, Body::empty())).await;
    let allow = plain.headers().get(header::ALLOW).cloned();
    let methods = allow.as_ref().and_then(|methods| methods.to_str().ok()).unwrap_or_default().replace(',', ", ");
    let detail = format!("`{path}` does not support {method}; its methods are {methods}");
    let mut response = Errors::from(Error::new(METHOD_NOT_ALLOWED, detail)).into_response();
    response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    response
}

fn answer_panic(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let detail = "the server failed; see the server log for this X-Request-Id";
    Errors::from(Error::new(INTERNAL, detail)).into_response()
}
