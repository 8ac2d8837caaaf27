//! Requests and answers for the handlers: the border between HTTP and JSON:API.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRef, FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::app::App;
use super::origin::{Origin, text};
use crate::accounts::caller::{Access, Caller, Credentials, authenticate};
use crate::jsonapi::error::{
    BODY_TIMEOUT, BODY_TOO_LARGE, CONTENT_ENCODING_UNSUPPORTED, DOCUMENT_INVALID, Error, Errors, HEADER_INVALID,
    PARAMETER_UNKNOWN, RESOURCE_NOT_FOUND,
};
use crate::jsonapi::query::{self, Query, Target};
use crate::jsonapi::schema::Schema;
use crate::jsonapi::{MEDIA_TYPE, negotiation};
use crate::telemetry::REQUEST_ID;

/// Maximum size of a request body, in bytes.
pub const MAX_BODY: usize = 1 << 20;
/// Maximum number of bytes read from a body that is too large.
/// Reading on lets the client read the answer.
const LARGEST_DISCARDED: usize = 16 << 20;

/// Challenge of every 401. `Authorization` has the bare key, so no registered scheme fits.
const CHALLENGE: &str = "ApiKey realm=\"concierge-sandbox\"";

/// A request with checked headers and a complete body.
#[derive(Debug)]
pub struct Call {
    credentials: Result<Credentials, Errors>,
    /// True if the request has no `Authorization` header.
    is_anonymous: bool,
    query: Option<String>,
    /// The origin of links in the answer.
    pub origin: Origin,
    /// The headers as the client sent them.
    pub headers: HeaderMap,
    /// The `X-Request-Id` of the client, or a generated one.
    pub request_id: Arc<str>,
    /// The id in the path; empty if the path has none.
    pub id: String,
    pub body: Bytes,
}

impl Call {
    /// Returns the credentials of the `Authorization` header.
    ///
    /// # Errors
    /// 401 if the header is missing or unusable.
    pub fn credentials(&self) -> Result<&Credentials, Errors> {
        self.credentials.as_ref().map_err(Errors::clone)
    }

    /// Returns the credentials if the request has any, for routes with an optional key.
    ///
    /// # Errors
    /// 401 if the header is present but unusable.
    pub fn credentials_if_any(&self) -> Result<Option<&Credentials>, Errors> {
        if self.is_anonymous { Ok(None) } else { self.credentials().map(Some) }
    }

    /// Reads the query parameters.
    ///
    /// # Errors
    /// 400, as for [`Query::read`].
    pub fn query(&self, schema: &'static Schema, target: Target) -> Result<Query, Errors> {
        Query::read(self.query.as_deref(), schema, target)
    }

    /// Returns the caller with the parsed request.
    /// Authenticates first: an unknown key gets 401, never validation errors.
    ///
    /// # Errors
    /// 401, or the validation errors in `read`.
    pub async fn authorize<T>(
        &self,
        app: &App,
        access: Access,
        read: Result<T, Errors>,
    ) -> Result<(Caller, T), Errors> {
        let credentials = self.credentials()?;
        let caller =
            app.database.run_repeatable(async |connection| authenticate(connection, credentials, access).await).await?;
        Ok((caller, read?))
    }

    /// Checks that the request has no query parameters, for routes without an answer to shape.
    ///
    /// # Errors
    /// 400 for each parameter.
    pub fn no_query(&self) -> Result<(), Errors> {
        let faults = self.read_parameters(|name, _| {
            let detail = format!("`{name}` is not known here; this path takes no parameters");
            Err(Error::new(PARAMETER_UNKNOWN, detail).parameter(name))
        });
        if faults.is_empty() { Ok(()) } else { Err(Errors::new(faults)) }
    }

    /// Reads the query parameters of a route outside of JSON:API with `take`. Returns all faults: 400 for each parameter
    /// that is repeated, not UTF-8, or refused.
    pub fn read_parameters(&self, take: impl FnMut(&str, &str) -> Result<(), Error>) -> Vec<Error> {
        query::read_each(self.query.as_deref(), take)
    }

    /// Returns a header of a single resource.
    ///
    /// # Errors
    /// 400 if the header is not plain ASCII.
    pub fn header(&self, name: &'static str) -> Result<Option<Cow<'_, str>>, Error> {
        text(&self.headers, name)
    }

    /// Returns the parsed request, and leaves the check of the key to the next statement.
    /// Authenticates before it returns validation errors: an unknown key gets 401, never validation errors.
    ///
    /// # Errors
    /// 401, or the validation errors in `read`.
    pub async fn authorize_parsed<T>(&self, app: &App, access: Access, read: Result<T, Errors>) -> Result<T, Errors> {
        let credentials = self.credentials()?;
        let Err(faults) = read else { return read };
        app.database.run_repeatable(async |connection| authenticate(connection, credentials, access).await).await?;
        Err(faults)
    }
}

/// The parameters of a path. Text that is not UTF-8 or has a NUL names nothing, so it counts as empty.
#[derive(Debug)]
pub struct PathOf<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default + Send> FromRequestParts<S> for PathOf<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        // no name has a NUL, and the database can't compare with one
        let is_readable = !parts.uri.path().contains("%00");
        let path = Path::<T>::from_request_parts(parts, state).await.ok().filter(|_| is_readable);
        Ok(Self(path.map(|Path(read)| read).unwrap_or_default()))
    }
}

impl<S: Send + Sync> FromRequest<S> for Call
where
    App: FromRef<S>,
{
    type Rejection = Errors;

    async fn from_request(request: Request, state: &S) -> Result<Self, Errors> {
        let app = App::from_ref(state);
        let (mut parts, body) = request.into_parts();
        let Ok(PathOf(path)) = PathOf::<Vec<(String, String)>>::from_request_parts(&mut parts, state).await;
        let id = path.into_iter().next().map(|(_, id)| id).unwrap_or_default();
        let origin = app.origins.read(&parts)?;
        let headers = &parts.headers;
        let authorization = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let credentials = Credentials::read(authorization);
        let is_anonymous = authorization.is_none();
        check_version(headers)?;
        negotiation::check_accept(text(headers, "Accept")?.as_deref())?;
        let body = app.stopping.unless(read_body(headers, body, app.body_timeout)).await??;
        // a body has no effect on other methods, so its type does not matter
        let has_effect = !body.is_empty() && matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
        if has_effect {
            negotiation::check_content_encoding(text(headers, "Content-Encoding")?.as_deref())?;
        }
        negotiation::check_content_type(text(headers, "Content-Type")?.as_deref(), has_effect)?;
        let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().into();
        let query = parts.uri.query().map(str::to_owned);
        Ok(Self { credentials, is_anonymous, query, origin, headers: parts.headers, request_id, id, body })
    }
}

/// Checks the header of real clients: `Version: x.y` or `x.y.z`.
fn check_version(headers: &HeaderMap) -> Result<(), Error> {
    let Some(value) = headers.get("version") else { return Ok(()) };
    let number = |part: &str| !part.is_empty() && part.len() <= 9 && part.bytes().all(|byte| byte.is_ascii_digit());
    let well_formed = value
        .to_str()
        .is_ok_and(|version| (2..=3).contains(&version.split('.').count()) && version.split('.').all(number));
    if well_formed {
        return Ok(());
    }
    Err(Error::new(HEADER_INVALID, "`Version` must be a version number such as 2.1 or 2.1.0").header("Version"))
}

async fn read_body(headers: &HeaderMap, body: Body, time: Duration) -> Result<Bytes, Errors> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared == Some(0) {
        return Ok(Bytes::new());
    }
    match tokio::time::timeout(time, collect(body)).await {
        Ok(read) => read,
        Err(_) => {
            let detail = format!("the body was not complete after {}", humantime::format_duration(time));
            Err(Error::new(BODY_TIMEOUT, detail).into())
        }
    }
}

async fn collect(mut body: Body) -> Result<Bytes, Errors> {
    let mut first: Option<Bytes> = None;
    let mut rest = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Error::new(DOCUMENT_INVALID, "the body ended before its declared length, or a chunk of it is malformed")
        })?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > LARGEST_DISCARDED {
            break;
        }
        if length <= MAX_BODY {
            match &first {
                None => first = Some(data),
                Some(start) => {
                    if rest.is_empty() {
                        rest.extend_from_slice(start);
                    }
                    rest.extend_from_slice(&data);
                }
            }
        }
    }
    if length > MAX_BODY {
        let detail = format!("the body is larger than {MAX_BODY} bytes; send it in smaller parts");
        return Err(Error::new(BODY_TOO_LARGE, detail).into());
    }
    Ok(if rest.is_empty() { first.unwrap_or_default() } else { rest.into() })
}

/// Reads and discards a body without effect, so that the client can read the answer.
pub async fn discard(mut body: Body, time: Duration) {
    let discarding = async {
        let mut left = LARGEST_DISCARDED;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(length) else { break };
            left = rest;
        }
    };
    // a slower client may miss the answer
    tokio::time::timeout(time, discarding).await.ok();
}

/// Answers a document with a status.
pub fn answer(status: StatusCode, document: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], document).into_response()
}

/// Answers 201 with the document of the new resource and its `Location`, a link under `origin`.
pub fn created(origin: &str, schema: &Schema, id: &str, document: Vec<u8>) -> Response {
    let mut response = answer(StatusCode::CREATED, document);
    if let Ok(location) = HeaderValue::try_from(format!("{origin}{}/{id}", schema.path)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

impl IntoResponse for Errors {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = answer(status, self.render());
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        }
        if self.as_slice().iter().any(|error| error.code == CONTENT_ENCODING_UNSUPPORTED) {
            let accepted = HeaderValue::from_static(negotiation::IDENTITY);
            response.headers_mut().insert(header::ACCEPT_ENCODING, accepted);
        }
        response
    }
}

/// Answers 404 for an unknown id in the path.
pub fn not_found(schema: &Schema, id: &str) -> Errors {
    Error::new(RESOURCE_NOT_FOUND, format!("{} has no resource with the id \"{id}\"", schema.path)).into()
}
