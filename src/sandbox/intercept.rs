//! What stands between clients and the emulated API: it makes the faults of an account act, and puts its exchanges on
//! record. The control plane is never held up by it.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::exchanges::record::Record;
use super::faults::directory::Known;
use super::faults::prefer;
use super::faults::truncated::Truncated;
use crate::accounts::caller::sha256;
use crate::concierge::call::discard;
use crate::faults::document::render;
use crate::faults::{Effect, Fault, On, RequestFault, When};
use crate::jsonapi::error::Errors;
use crate::server::App;
use crate::server::connection::Breaker;

/// Passes a request on to the emulated API, unless a fault has it otherwise.
pub async fn intercept(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path != "/api" && !path.starts_with("/api/") {
        return next.run(request).await;
    }
    let key = Key::read(request.headers());
    let known = match &key {
        Some(key) => app.directory.find(&key.sha256).await,
        None => Ok(None),
    };
    match (known, key) {
        (Ok(Some(known)), Some(key)) => exchange(app, known, key, request, next).await,
        (Err(errors), _) => errors.into_response(),
        // a stranger has no faults and no record, but a wish
        _ => match prefer::read(request.headers()) {
            None => next.run(request).await,
            Some(wish) => Box::pin(granted(&app, wish, request.into_body())).await,
        },
    }
}

/// The answer that a request asked for, or why it can't be had.
async fn granted(app: &App, wish: Result<u16, Errors>, body: Body) -> Response {
    discard(body, app.body_timeout).await;
    match wish {
        Ok(status) => prefer::answer(status),
        Err(errors) => errors.into_response(),
    }
}

/// The key of a request.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub sha256: [u8; 32],
    /// Whether a scheme came before it. The API refuses that, but it can still be told whose it is.
    pub has_scheme: bool,
}

impl Key {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::AUTHORIZATION)?.as_bytes();
        let key = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let bare = key.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        let bare =
            bare.or_else(|| key.split_at_checked(6).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"token ")));
        let has_scheme = bare.is_some();
        Some(Self { sha256: sha256(bare.map_or(key, |(_, bare)| bare.trim_ascii())), has_scheme })
    }
}

async fn exchange(app: App, known: Arc<Known>, key: Key, request: Request, next: Next) -> Response {
    let (request, record) = Record::begin(&app, known.account_id, key, request);
    if request.headers().contains_key("prefer") || known.has_faults() {
        // boxed because it is large and seldom: every request would carry it along
        return Box::pin(faulty(app, known, key, request, next, record)).await;
    }
    record.end(next.run(request).await).await
}

/// An exchange that something may go wrong with.
async fn faulty(app: App, known: Arc<Known>, key: Key, request: Request, next: Next, mut record: Record) -> Response {
    if let Some(wish) = prefer::read(request.headers()) {
        if let Ok(status) = wish {
            record.fault = Some(Map::from_iter([("prefer".to_owned(), Value::from(format!("code={status}")))]));
        }
        let response = granted(&app, wish, request.into_body()).await;
        return record.end(response).await;
    }
    let path = request.uri().path();
    let fault = match app.directory.claim(&key.sha256, &known, request.method().as_str(), path).await {
        Ok(None) => return record.end(next.run(request).await).await,
        Ok(Some(fault)) => fault,
        Err(errors) => return record.end(errors.into_response()).await,
    };
    record.fault = Some(render(&Fault { on: On::Requests(fault.clone()), times: None, after: 0 }));
    let RequestFault { latency, effect, .. } = fault;
    if let Some(latency) = latency {
        tokio::time::sleep(latency).await;
    }
    match effect {
        None => record.end(next.run(request).await).await,
        Some(effect) => act(effect, &app, request, next, record).await,
    }
}

/// Has a fault act on a request.
async fn act(effect: Effect, app: &App, request: Request, next: Next, record: Record) -> Response {
    let breaker = request.extensions().get::<ConnectInfo<Breaker>>().map(|info| info.0.clone()).unwrap_or_default();
    let is_head = request.method() == Method::HEAD;
    match effect {
        Effect::Status { status, retry_after } => {
            discard(request.into_body(), app.body_timeout).await;
            let cause = "a fault of this account answered instead (/_sandbox/faults)";
            record.end(prefer::injected(status, retry_after, cause)).await
        }
        Effect::Close(When::Before) | Effect::Reset(When::Before) => {
            // taken in, because a system that has it left over would reset what is to be closed
            discard(request.into_body(), app.body_timeout).await;
            drop(record);
            broken(effect, &breaker)
        }
        Effect::Close(When::After) | Effect::Reset(When::After) => {
            // the client never gets to see what that answers
            next.run(request).await;
            drop(record);
            broken(effect, &breaker)
        }
        Effect::Truncate => {
            let response = next.run(request).await;
            let length = response.size_hint().exact().unwrap_or_default();
            if is_head || length == 0 {
                // without a body there is nothing to break off but all of it
                drop(record);
                return broken(effect, &breaker);
            }
            truncated(record.end(response).await, length, breaker)
        }
    }
}

/// Breaks the connection off. What is answered doesn't leave.
fn broken(effect: Effect, breaker: &Breaker) -> Response {
    match effect {
        Effect::Reset(_) => breaker.reset(),
        _ => breaker.close(),
    }
    Response::default()
}

/// The same answer, of which half the body leaves. `length` is that of the whole.
fn truncated(response: Response, length: u64, breaker: Breaker) -> Response {
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, Body::new(Truncated::new(body, length, breaker)))
}
