//! Guards against pages in a browser: a page of somebody else may send requests to this server, too.
//!
//! A page under a name that its owner lets point here (DNS rebinding) would pass for one of this server, so hosts are
//! [checked](check_host). A page of another origin may send requests without reading the answers, and the control plane
//! needs no key for some, so it [refuses](own_pages_only) them. Requests of programs have none of these headers.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response};
use axum::middleware::{Next, from_fn_with_state};

use super::app::App;
use super::cors::CrossOrigins;
use super::origin::{read_own_host, text};
use crate::jsonapi::error::{Error, Errors, HOST_NOT_ALLOWED, ORIGIN_NOT_ALLOWED};

/// Refuses a request to a host that a stranger may own.
///
/// # Errors
/// 421; 400 for a host that is none.
pub async fn check_host(State(app): State<App>, request: Request, next: Next) -> Result<Response<Body>, Errors> {
    let (parts, body) = request.into_parts();
    // only old programs name no host
    if let Some(host) = read_own_host(&parts)?.filter(|host| !app.origins.allowed_hosts.allow(host)) {
        let detail = format!(
            "`Host` is {:?}, not an address, a local name or the host of --public-url; nothing was done; name it in \
             --allowed-hosts if it is yours",
            host.name()
        );
        return Err(Error::new(HOST_NOT_ALLOWED, detail).header("Host").into());
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// Refuses requests of pages of other origins, but for those that may call the API.
pub fn own_pages_only(routes: Router, app: &App) -> Router {
    routes.layer(from_fn_with_state(app.clone(), refuse_cross_origin))
}

async fn refuse_cross_origin(State(app): State<App>, request: Request, next: Next) -> Result<Response<Body>, Errors> {
    let (parts, body) = request.into_parts();
    check_origin(&app, &parts)?;
    Ok(next.run(Request::from_parts(parts, body)).await)
}

fn check_origin(app: &App, parts: &Parts) -> Result<(), Error> {
    let allowed = app.cross_origins.as_ref();
    let Some(origin) = text(&parts.headers, "Origin")? else {
        let is_foreign = is_cross_site(&parts.headers) && !is_link(parts);
        if !is_foreign || allowed == Some(&CrossOrigins::Any) {
            return Ok(());
        }
        let detail = "`Sec-Fetch-Site` is cross-site: a page of another site sent this; nothing was done; open \
                      /_sandbox by its address";
        return Err(Error::new(ORIGIN_NOT_ALLOWED, detail).header("Sec-Fetch-Site"));
    };
    if allowed.is_some_and(|allowed| allowed.allow(&origin)) || app.origins.is_own(&origin, parts)? {
        return Ok(());
    }
    let detail = format!(
        "`Origin` is {origin:?}, another origin than this server's; nothing was done; name it in --cors-origin if its \
         pages may call this server, or in --public-url if this server is reached by it"
    );
    Err(Error::new(ORIGIN_NOT_ALLOWED, detail).header("Origin"))
}

fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
}

/// Returns whether a person followed a link: the page that had it sees nothing of the answer.
fn is_link(parts: &Parts) -> bool {
    let has = |name: &str, expected: &str| parts.headers.get(name).is_some_and(|value| value == expected);
    parts.method == Method::GET && has("sec-fetch-mode", "navigate") && has("sec-fetch-dest", "document")
}
