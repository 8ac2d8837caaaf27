//! Records an exchange while it is in progress.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::applied::AppliedFault;
use super::capture::{Captured, CapturedBody};
use super::{Exchange, Message, capture, redact};
use crate::accounts::caller::sha256;
use crate::jsonapi::error::{Error, Errors, INTERNAL};
use crate::sandbox::advice::observations::Observed;
use crate::sandbox::state::ControlPlane;
use crate::telemetry::REQUEST_ID;
use crate::web::remarks::{Remark, take_remarks};

/// The key of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestKey {
    pub sha256: [u8; 32],
    /// True if a scheme came before the key. The API refuses that, but the key still identifies the account.
    pub has_scheme: bool,
}

impl RequestKey {
    /// Reads the key of a request, if it has one.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::AUTHORIZATION)?.as_bytes();
        let key = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let bare = key.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        let bare =
            bare.or_else(|| key.split_at_checked(6).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"token ")));
        let has_scheme = bare.is_some();
        Some(Self { sha256: sha256(bare.map_or(key, |(_, bare)| bare.trim_ascii())), has_scheme })
    }
}

/// An exchange in progress. Dropping it records the exchange, with or without an answer.
#[derive(Debug)]
pub struct Record {
    plane: ControlPlane,
    account_id: i64,
    key: RequestKey,
    arrival: u64,
    begun: Instant,
    at: OffsetDateTime,
    id: Arc<str>,
    method: Method,
    path: Box<str>,
    query: Option<Box<str>>,
    headers: Box<str>,
    body: Option<CapturedBody>,
    /// The fault or preference applied to the request.
    pub fault: Option<Box<AppliedFault>>,
    response: Option<(u16, Message)>,
    remarks: Vec<Remark>,
}

impl Record {
    /// Starts the record of a request. Returns the request with its body captured.
    pub fn begin(plane: &ControlPlane, account_id: i64, key: RequestKey, request: Request) -> (Request, Self) {
        let (parts, body) = request.into_parts();
        let id = parts.headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
        let kept = (!body.is_end_stream()).then(CapturedBody::default);
        let record = Self {
            plane: plane.clone(),
            account_id,
            key,
            arrival: plane.request_log.arrive(),
            begun: Instant::now(),
            at: plane.app.clock.now(),
            id: id.into(),
            method: parts.method.clone(),
            path: parts.uri.path().into(),
            query: parts.uri.query().map(redact::query),
            headers: redact::headers(&parts.headers),
            body: kept.clone(),
            fault: None,
            response: None,
            remarks: Vec::new(),
        };
        let body = match kept {
            None => body,
            Some(kept) => Body::new(Captured::new(body, kept)),
        };
        (Request::from_parts(parts, body), record)
    }

    /// Records the exchange with its answer, before the client receives the answer.
    pub async fn end(mut self, mut response: Response) -> Response {
        self.remarks = take_remarks(&mut response);
        let (parts, body) = response.into_parts();
        // every body of the emulated API is complete in memory
        let Ok(body) = body.collect().await else {
            let detail = "the server failed; see the server log for this X-Request-Id";
            return Errors::from(Error::new(INTERNAL, detail)).into_response();
        };
        let body = body.to_bytes();
        self.response = Some((parts.status.as_u16(), capture::message(redact::headers(&parts.headers), &body)));
        Response::from_parts(parts, Body::from(body))
    }

    /// Records the exchange without its answer, which the client never receives.
    pub fn end_without_answer(mut self, mut response: Response) {
        self.remarks = take_remarks(&mut response);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let headers = std::mem::take(&mut self.headers);
        let request = match &self.body {
            None => capture::message(headers, b""),
            Some(kept) => kept.message(headers),
        };
        let exchange = Exchange {
            id: Arc::clone(&self.id),
            at: self.at,
            method: self.method.clone(),
            path: std::mem::take(&mut self.path),
            query: self.query.take(),
            request,
            response: self.response.take(),
            duration: Duration::from_nanos(u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)),
            fault: self.fault.take(),
        };
        let RequestKey { sha256, has_scheme } = self.key;
        let observed = Observed { key_sha256: &sha256, has_scheme, remarks: &self.remarks };
        self.plane.request_log.record(self.account_id, self.arrival, exchange, &observed);
    }
}
