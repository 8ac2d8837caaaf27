//! Body and headers of a delivery: the known format, plus the headers of standardwebhooks.com. Pure.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;
use serde_json::value::RawValue;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};
use time::OffsetDateTime;

use crate::accounts::caller::hex;
use crate::jsonapi::render::timestamp;

/// Header that identifies the account: the lower-case hex SHA-256 of the API key (known).
const WEBHOOK_AUTH: HeaderName = HeaderName::from_static("webhook-auth");
/// Resource type of an output's failed attempts in `failures`.
pub const FAILURES: &str = "failures";

/// An event in the form that receivers get.
#[derive(Debug, Clone)]
pub struct Envelope {
    pub event_id: i64,
    pub event_type: String,
    pub created_at: OffsetDateTime,
    /// Time of the first attempt.
    pub sent_at: OffsetDateTime,
    pub resource_type: String,
    pub resource_id: i64,
    /// JSON of the resource at the event, with the receiver's links; `None` for events older than this column.
    pub resource: Option<String>,
    /// Failed payment attempts; outputs only.
    pub failures: Option<i32>,
    pub is_made_up: bool,
}

impl Envelope {
    /// Renders the body. Every attempt of an event has the same bytes, unless the origin of its links has changed.
    pub fn body(&self) -> Bytes {
        let number = |id: i64| id.to_string();
        let failures = self.failures.map(|failures| EventLinkage {
            data: (1..=i64::from(failures))
                .map(|try_| EventIdentifier { type_name: FAILURES, id: number(try_) })
                .collect(),
        });
        let resource =
            EventLinkage { data: EventIdentifier { type_name: &self.resource_type, id: number(self.resource_id) } };
        let document = EventDocument {
            data: EventData {
                type_name: "events",
                id: number(self.event_id),
                attributes: EventAttributes {
                    event_type: &self.event_type,
                    created_at: timestamp(self.created_at),
                    sent_at: timestamp(self.sent_at),
                },
                relationships: EventRelationships { resource, failures },
            },
            included: self.resource.clone().and_then(|json| RawValue::from_string(json).ok()).into_iter().collect(),
            meta: self.is_made_up.then_some(EventMeta { is_made_up: true }),
        };
        // serialization can't fail: all keys are strings
        serde_json::to_vec(&document).unwrap_or_default().into()
    }
}

/// Returns the headers of an attempt at `now`. It is machine time, because receivers compare it with their clock.
/// Without a key, there are no headers of authentication.
pub fn headers(event_id: i64, body: &[u8], key_sha256: Option<&[u8]>, now: OffsetDateTime) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let Some(key_sha256) = key_sha256 else { return headers };
    let seconds = now.unix_timestamp();
    let id = event_id.to_string();
    // the secret is the SHA-256 of the key, because both sides can compute it
    let signature = Webhook::from_bytes(key_sha256.to_vec()).and_then(|webhook| webhook.sign(&id, seconds, body));
    let standard = [
        (WEBHOOK_AUTH, hex(key_sha256)),
        (HeaderName::from_static(HEADER_WEBHOOK_ID), id),
        (HeaderName::from_static(HEADER_WEBHOOK_TIMESTAMP), seconds.to_string()),
        (HeaderName::from_static(HEADER_WEBHOOK_SIGNATURE), signature.unwrap_or_default()),
    ];
    headers.extend(standard.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?))));
    headers
}

#[derive(Serialize)]
struct EventDocument<'a> {
    data: EventData<'a>,
    included: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<EventMeta>,
}

#[derive(Serialize)]
struct EventData<'a> {
    #[serde(rename = "type")]
    type_name: &'a str,
    id: String,
    attributes: EventAttributes<'a>,
    relationships: EventRelationships<'a>,
}

#[derive(Serialize)]
struct EventAttributes<'a> {
    event_type: &'a str,
    created_at: String,
    sent_at: String,
}

#[derive(Serialize)]
struct EventRelationships<'a> {
    resource: EventLinkage<EventIdentifier<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<EventLinkage<Vec<EventIdentifier<'a>>>>,
}

#[derive(Serialize)]
struct EventLinkage<T> {
    data: T,
}

#[derive(Serialize)]
struct EventIdentifier<'a> {
    #[serde(rename = "type")]
    type_name: &'a str,
    id: String,
}

#[derive(Serialize)]
struct EventMeta {
    is_made_up: bool,
}
