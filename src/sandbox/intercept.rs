//! The middleware before the emulated API: it applies an account's faults and records its exchanges. It passes requests
//! to the control plane through.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::faults::cache::CachedAccount;
use super::faults::delayed::delay;
use super::faults::prefer;
use super::faults::truncated::Truncated;
use super::request_log::applied::{AppliedFault, AppliedPreference};
use super::request_log::record::{Record, RequestKey};
use super::state::ControlPlane;
use crate::faults::document::render;
use crate::faults::{Effect, Fault, FaultTarget, RequestFault, When};
use crate::jsonapi::error::Errors;
use crate::web::breaker::Breaker;
use crate::web::call::discard;

/// Passes a request to the emulated API, unless a fault or a preference answers it.
pub async fn intercept(State(plane): State<ControlPlane>, request: Request, next: Next) -> Response {
    let key = RequestKey::read(request.headers());
    let known = match &key {
        Some(key) => plane.fault_cache.find(&key.sha256).await,
        None => Ok(None),
    };
    match (known, key) {
        (Ok(Some(known)), Some(key)) => exchange(plane, known, key, request, next).await,
        (Err(errors), _) => errors.into_response(),
        // an unknown key has no faults and no log, but `Prefer` applies
        _ => match prefer::read(request.headers()) {
            None => next.run(request).await,
            Some(preference) => Box::pin(preferred(&plane, preference, request.into_body())).await,
        },
    }
}

/// Answers a request with its preferred status, or with the error of an invalid preference.
async fn preferred(plane: &ControlPlane, preference: Result<u16, Errors>, body: Body) -> Response {
    discard(body, plane.app.body_timeout).await;
    match preference {
        Ok(status) => prefer::answer(status),
        Err(errors) => errors.into_response(),
    }
}

async fn exchange(
    plane: ControlPlane,
    known: Arc<CachedAccount>,
    key: RequestKey,
    request: Request,
    next: Next,
) -> Response {
    let (request, record) = Record::begin(&plane, known.account_id, key, request);
    if request.headers().contains_key("prefer") || known.has_faults() {
        // boxed because it is large and rare: every request's future would have its size
        return Box::pin(exchange_with_faults(plane, known, key, request, next, record)).await;
    }
    record.end(next.run(request).await).await
}

/// Answers a request that a preference or a fault may change.
async fn exchange_with_faults(
    plane: ControlPlane,
    known: Arc<CachedAccount>,
    key: RequestKey,
    mut request: Request,
    next: Next,
    mut record: Record,
) -> Response {
    if let Some(preference) = prefer::read(request.headers()) {
        if let Ok(status) = preference {
            record.fault = Some(Box::new(AppliedFault::Preference(AppliedPreference::code(status))));
        }
        let response = preferred(&plane, preference, request.into_body()).await;
        return record.end(response).await;
    }
    let path = request.uri().path();
    let fault = match plane.fault_cache.claim(&key.sha256, &known, request.method().as_str(), path).await {
        Ok(None) => return record.end(next.run(request).await).await,
        Ok(Some(fault)) => fault,
        Err(errors) => return record.end(errors.into_response()).await,
    };
    let applied = render(&Fault { on: FaultTarget::Requests(fault.clone()), times: None, after: 0 });
    record.fault = Some(Box::new(AppliedFault::Fault(applied)));
    let RequestFault { latency, effect, .. } = fault;
    if let Some(latency) = latency {
        let delayed = plane.app.stopping.unless(delay(request, latency)).await;
        request = match delayed {
            Ok(delayed) => delayed,
            Err(errors) => return record.end(errors.into_response()).await,
        };
    }
    match effect {
        None => record.end(next.run(request).await).await,
        Some(effect) => apply(effect, &plane, request, next, record).await,
    }
}

/// Applies the effect of a fault to a request.
async fn apply(effect: Effect, plane: &ControlPlane, request: Request, next: Next, record: Record) -> Response {
    let breaker = request.extensions().get::<ConnectInfo<Breaker>>().map(|info| info.0.clone()).unwrap_or_default();
    let is_head = request.method() == Method::HEAD;
    match effect {
        Effect::Status { status, retry_after } => {
            discard(request.into_body(), plane.app.body_timeout).await;
            let cause = "a fault of this account answered the request (/_sandbox/faults)";
            record.end(prefer::injected(status, retry_after, cause)).await
        }
        Effect::Close(When::Before) | Effect::Reset(When::Before) => {
            // read to its end: with unread data, closing the connection would reset it
            discard(request.into_body(), plane.app.body_timeout).await;
            drop(record);
            broken(effect, &breaker)
        }
        Effect::Close(When::After) | Effect::Reset(When::After) => {
            record.end_without_answer(next.run(request).await);
            broken(effect, &breaker)
        }
        Effect::Truncate => {
            let response = next.run(request).await;
            let length = response.size_hint().exact().unwrap_or_default();
            if is_head || length == 0 {
                // an answer without a body can only break as a whole
                record.end_without_answer(response);
                return broken(effect, &breaker);
            }
            truncated(record.end(response).await, length, breaker)
        }
    }
}

/// Closes or resets the connection. The returned answer is never sent.
fn broken(effect: Effect, breaker: &Breaker) -> Response {
    match effect {
        Effect::Reset(_) => breaker.reset(),
        _ => breaker.close(),
    }
    Response::default()
}

/// Truncates an answer to half of its body. `length` is the length of the whole body.
fn truncated(response: Response, length: u64, breaker: Breaker) -> Response {
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, Body::new(Truncated::new(body, length, breaker)))
}
