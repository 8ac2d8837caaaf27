//! Advice: where an account's client strays from the documented contract, as far as it was seen to.
//!
//! What is seen of requests is counted as they are answered, in the memory of each server ([`observations`]); what is
//! seen of webhooks, their attempts tell.

pub mod observations;
pub mod routes;
mod store;

use std::sync::Arc;

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::jsonapi::render::timestamp;

/// A way to stray from the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    AuthorizationScheme,
    ContentTypeMissing,
    ContentTypeUnsupported,
    RateExceeded,
    RetryAfterIgnored,
    Polling,
    WebhookUrlMissing,
    WebhookAnswerNot200,
    WebhookSlow,
}

/// How often something was seen, and when.
#[derive(Debug, Clone)]
pub struct Tally {
    pub count: u64,
    pub first_at: OffsetDateTime,
    pub last_at: OffsetDateTime,
    pub example: Example,
}

/// Where it was seen last.
#[derive(Debug, Clone)]
pub enum Example {
    Request(Arc<str>),
    Event(i64),
}

impl Kind {
    /// Every way, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::AuthorizationScheme,
        Self::ContentTypeMissing,
        Self::ContentTypeUnsupported,
        Self::RateExceeded,
        Self::RetryAfterIgnored,
        Self::Polling,
        Self::WebhookUrlMissing,
        Self::WebhookAnswerNot200,
        Self::WebhookSlow,
    ];

    /// Stable name, for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::AuthorizationScheme => "authorization_scheme",
            Self::ContentTypeMissing => "content_type_missing",
            Self::ContentTypeUnsupported => "content_type_unsupported",
            Self::RateExceeded => "rate_exceeded",
            Self::RetryAfterIgnored => "retry_after_ignored",
            Self::Polling => "polling",
            Self::WebhookUrlMissing => "webhook_url_missing",
            Self::WebhookAnswerNot200 => "webhook_answer_not_200",
            Self::WebhookSlow => "webhook_slow",
        }
    }

    /// The same for every occurrence, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::AuthorizationScheme => "The API key is sent with a scheme",
            Self::ContentTypeMissing => "A body is sent without Content-Type",
            Self::ContentTypeUnsupported => "A Content-Type is sent that is not supported",
            Self::RateExceeded => "More than 5 requests are sent in a second",
            Self::RetryAfterIgnored => "Requests go on after a 429, before Retry-After is over",
            Self::Polling => "Something is asked for again and again that webhooks would tell",
            Self::WebhookUrlMissing => "No webhook_url is set, and something is polled",
            Self::WebhookAnswerNot200 => "A webhook is answered with a success or redirect other than 200",
            Self::WebhookSlow => "A webhook takes more than 5 s to be answered",
        }
    }

    /// What was seen, and what the contract says.
    const fn contract(self) -> &'static str {
        match self {
            Self::AuthorizationScheme => {
                "a scheme such as Bearer before the key, which is answered 401. The key stands in Authorization bare, or as \
                 KEY; user=ID"
            }
            Self::ContentTypeMissing => {
                "a body without a Content-Type, which is answered 415. Send application/vnd.api+json or application/json"
            }
            Self::ContentTypeUnsupported => {
                "a Content-Type that is answered 415. Send application/vnd.api+json, which takes no parameter but profile, \
                 or application/json"
            }
            Self::RateExceeded => {
                "a request less than a second after the fifth one before it with the same key. The real system takes 5 a \
                 second and answers 429 to others, as --rate-limit 5 does here"
            }
            Self::RetryAfterIgnored => {
                "a request with a key that was answered 429, sooner than its Retry-After said. Wait as many seconds"
            }
            Self::Polling => {
                "the same GET more than 10 times within a minute. Every change is told by a webhook: act on that, and ask \
                 once where one seems to be missing"
            }
            Self::WebhookUrlMissing => {
                "polling, as `polling` counts it, while no user has a webhook_url. PATCH /api/users/me to set one, and be \
                 told of every change"
            }
            Self::WebhookAnswerNot200 => {
                "an answer such as 201, 204 or a redirect, which does not count as received: the event is sent again, for \
                 days. Answer 200"
            }
            Self::WebhookSlow => {
                "an attempt to send an event that took longer than 5 s; one that takes longer than 15 s has failed. Answer \
                 200 first, and do the work afterwards"
            }
        }
    }
}

/// Advice. An example is the id of a request or of an event; the other one is null.
pub fn render(kind: Kind, tally: &Tally) -> Value {
    let times = if tally.count == 1 { "once".to_owned() } else { format!("{} times", tally.count) };
    let (request_id, event_id) = match &tally.example {
        Example::Request(id) => (Some(id.to_string()), None),
        Example::Event(id) => (None, Some(id.to_string())),
    };
    json!({
        "code": kind.code(),
        "title": kind.title(),
        "detail": format!("Seen {times}: {}.", kind.contract()),
        "count": tally.count,
        "first_at": timestamp(tally.first_at),
        "last_at": timestamp(tally.last_at),
        "request_id": request_id,
        "event_id": event_id,
    })
}
