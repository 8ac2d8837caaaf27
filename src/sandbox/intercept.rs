//! What stands between clients and the emulated API: it makes the faults of an account act, and puts its exchanges on
//! record. The control plane is never held up by it.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::exchanges::record::Record;
use super::faults::directory::Known;
use super::faults::prefer;
use super::faults::truncated::Truncated;
use crate::faults::document::render;
use crate::faults::{Effect, Fault, On, RequestFault, When};
use crate::jsonapi::error::Errors;
use crate::sandbox::ControlPlane;
use crate::sandbox::exchanges::record::Key;
use crate::web::call::discard;
use crate::web::connection::Breaker;

/// Passes a request on to the emulated API, unless a fault has it otherwise.
pub async fn intercept(State(plane): State<ControlPlane>, request: Request, next: Next) -> Response {
    let key = Key::read(request.headers());
    let known = match &key {
        Some(key) => plane.directory.find(&key.sha256).await,
        None => Ok(None),
    };
    match (known, key) {
        (Ok(Some(known)), Some(key)) => exchange(plane, known, key, request, next).await,
        (Err(errors), _) => errors.into_response(),
        // a stranger has no faults and no record, but a wish
        _ => match prefer::read(request.headers()) {
            None => next.run(request).await,
            Some(wish) => Box::pin(granted(&plane, wish, request.into_body())).await,
        },
    }
}

/// The answer that a request asked for, or why it can't be had.
async fn granted(plane: &ControlPlane, wish: Result<u16, Errors>, body: Body) -> Response {
    discard(body, plane.app.body_timeout).await;
    match wish {
        Ok(status) => prefer::answer(status),
        Err(errors) => errors.into_response(),
    }
}

async fn exchange(plane: ControlPlane, known: Arc<Known>, key: Key, request: Request, next: Next) -> Response {
    let (request, record) = Record::begin(&plane, known.account_id, key, request);
    if request.headers().contains_key("prefer") || known.has_faults() {
        // boxed because it is large and seldom: every request would carry it along
        return Box::pin(faulty(plane, known, key, request, next, record)).await;
    }
    record.end(next.run(request).await).await
}

/// An exchange that something may go wrong with.
async fn faulty(
    plane: ControlPlane,
    known: Arc<Known>,
    key: Key,
    request: Request,
    next: Next,
    mut record: Record,
) -> Response {
    if let Some(wish) = prefer::read(request.headers()) {
        if let Ok(status) = wish {
            record.fault = Some(Map::from_iter([("prefer".to_owned(), Value::from(format!("code={status}")))]));
        }
        let response = granted(&plane, wish, request.into_body()).await;
        return record.end(response).await;
    }
    let path = request.uri().path();
    let fault = match plane.directory.claim(&key.sha256, &known, request.method().as_str(), path).await {
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
        Some(effect) => act(effect, &plane, request, next, record).await,
    }
}

/// Has a fault act on a request.
async fn act(effect: Effect, plane: &ControlPlane, request: Request, next: Next, record: Record) -> Response {
    let breaker = request.extensions().get::<ConnectInfo<Breaker>>().map(|info| info.0.clone()).unwrap_or_default();
    let is_head = request.method() == Method::HEAD;
    match effect {
        Effect::Status { status, retry_after } => {
            discard(request.into_body(), plane.app.body_timeout).await;
            let cause = "a fault of this account answered instead (/_sandbox/faults)";
            record.end(prefer::injected(status, retry_after, cause)).await
        }
        Effect::Close(When::Before) | Effect::Reset(When::Before) => {
            // taken in, because a system that has it left over would reset what is to be closed
            discard(request.into_body(), plane.app.body_timeout).await;
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
