//! Advice: contract violations seen in an account's requests and webhook answers.
//!
//! Each server counts violations of requests in memory, as it answers them ([`observations`]). Violations of webhooks
//! are read from the recorded delivery attempts.

mod creates;
pub mod observations;
pub mod routes;
mod store;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;

use crate::jsonapi::values::{NumericId, Timestamp};

/// A kind of contract violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdviceKind {
    AuthorizationScheme,
    ContentTypeMissing,
    ContentTypeUnsupported,
    MemberUnknown,
    TestValueUnknown,
    CreateRepeated,
    RateExceeded,
    RetryAfterIgnored,
    Polling,
    WebhookUrlMissing,
    WebhookAnswerNot200,
    WebhookSlow,
}

/// Maximum number of findings kept of one kind of violation.
const MOST_FINDINGS: usize = 8;

/// Number and times of one kind of violation.
#[derive(Debug, Clone)]
pub struct Tally {
    pub count: u64,
    pub first_at: OffsetDateTime,
    pub last_at: OffsetDateTime,
    pub example: Example,
    /// Different findings, the newest last, at most `MOST_FINDINGS`. Each is a sentence.
    pub findings: Vec<String>,
}

impl Tally {
    /// Adds a finding, unless it is there. The oldest makes room for it.
    fn add_finding(&mut self, finding: String) {
        if self.findings.contains(&finding) {
            return;
        }
        if self.findings.len() >= MOST_FINDINGS {
            self.findings.remove(0);
        }
        self.findings.push(finding);
    }
}

/// The last request or event with a violation.
#[derive(Debug, Clone)]
pub enum Example {
    Request(Arc<str>),
    Event(i64),
}

impl AdviceKind {
    /// All kinds, in the order of the list.
    pub const ALL: [Self; 12] = [
        Self::AuthorizationScheme,
        Self::ContentTypeMissing,
        Self::ContentTypeUnsupported,
        Self::MemberUnknown,
        Self::TestValueUnknown,
        Self::CreateRepeated,
        Self::RateExceeded,
        Self::RetryAfterIgnored,
        Self::Polling,
        Self::WebhookUrlMissing,
        Self::WebhookAnswerNot200,
        Self::WebhookSlow,
    ];

    /// Returns the stable name, for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::AuthorizationScheme => "authorization_scheme",
            Self::ContentTypeMissing => "content_type_missing",
            Self::ContentTypeUnsupported => "content_type_unsupported",
            Self::MemberUnknown => "member_unknown",
            Self::TestValueUnknown => "test_value_unknown",
            Self::CreateRepeated => "create_repeated",
            Self::RateExceeded => "rate_exceeded",
            Self::RetryAfterIgnored => "retry_after_ignored",
            Self::Polling => "polling",
            Self::WebhookUrlMissing => "webhook_url_missing",
            Self::WebhookAnswerNot200 => "webhook_answer_not_200",
            Self::WebhookSlow => "webhook_slow",
        }
    }

    /// Returns the title, for people. It is the same for every occurrence.
    pub const fn title(self) -> &'static str {
        match self {
            Self::AuthorizationScheme => "The API key is sent with a scheme",
            Self::ContentTypeMissing => "A body is sent without Content-Type",
            Self::ContentTypeUnsupported => "An unsupported Content-Type is sent",
            Self::MemberUnknown => "A document has a member of unknown name",
            Self::TestValueUnknown => "A value resembles a test value and is none",
            Self::CreateRepeated => "A create is repeated although the first may have been done",
            Self::RateExceeded => "More than 5 requests are sent in a second",
            Self::RetryAfterIgnored => "A request is sent before the Retry-After of a 429 is over",
            Self::Polling => "A resource is polled although webhooks report its changes",
            Self::WebhookUrlMissing => "A resource is polled and no webhook_url is set",
            Self::WebhookAnswerNot200 => "A webhook is answered with a success or redirect other than 200",
            Self::WebhookSlow => "A webhook is answered after more than 5 s",
        }
    }

    /// Describes the violation and the contract.
    const fn contract(self) -> &'static str {
        match self {
            Self::AuthorizationScheme => {
                "a scheme such as Bearer before the key; the answer is 401. Send Authorization with the bare key, or \
                 with KEY; user=ID"
            }
            Self::ContentTypeMissing => {
                "a body without a Content-Type; the answer is 415. Send application/vnd.api+json or application/json"
            }
            Self::ContentTypeUnsupported => {
                "an unsupported Content-Type; the answer is 415. Send application/vnd.api+json, with no parameter but \
                 profile, or application/json"
            }
            Self::MemberUnknown => {
                "a member without effect in a document that succeeded, because the resource has no such name. Correct \
                 the name, or leave the member out"
            }
            Self::TestValueUnknown => {
                "a value near a test value, which selects no scenario. Send a test value as it stands in \
                 /_sandbox/test_values"
            }
            Self::CreateRepeated => {
                "a create sent again, unchanged, within a minute of an answer that may be lost, or with the same \
                 Idempotency-Key. If both are done, a payout is paid twice. List the collection before you repeat, \
                 such as outputs by filter[request_id]"
            }
            Self::RateExceeded => {
                "a sixth request within a second with the same key. The real system accepts 5 a second and answers 429 \
                 to the rest, as --rate-limit 5 does here"
            }
            Self::RetryAfterIgnored => {
                "a request with a key before the Retry-After of its last 429 was over. Wait for that many seconds"
            }
            Self::Polling => {
                "the same GET more than 10 times within a minute. Every change is sent to your webhook: act on it, and \
                 send one GET if a webhook seems to be missing"
            }
            Self::WebhookUrlMissing => {
                "polling, as `polling` counts it, while no user has a webhook_url. PATCH /api/users/me to set one and \
                 receive every change"
            }
            Self::WebhookAnswerNot200 => {
                "an answer such as 201, 204 or a redirect. Only 200 counts as delivered: the event is sent again, for \
                 days. Answer 200"
            }
            Self::WebhookSlow => {
                "a delivery attempt longer than 5 s. An attempt fails after 15 s. Answer 200 first, and do the work \
                 afterwards"
            }
        }
    }
}

/// Code of a piece of advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdviceCode(AdviceKind);

impl AdviceCode {
    const fn name(self) -> &'static str {
        self.0.code()
    }
}

crate::json_by_name!(AdviceCode, AdviceKind::ALL.map(AdviceKind::code), "Code of a piece of advice, for programs.");

/// A kind of contract violation, with the number of its occurrences.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AdviceItem {
    /// Code of the violation.
    code: AdviceCode,
    /// Title, the same for every occurrence.
    title: &'static str,
    /// The violation and the contract, for people.
    detail: String,
    /// Number of occurrences.
    count: u64,
    /// Time of the first occurrence.
    first_at: Timestamp,
    /// Time of the last occurrence.
    last_at: Timestamp,
    /// X-Request-Id of the last request with the violation; null for violations by webhook receivers.
    request_id: Option<String>,
    /// Id of the last event with the violation; null for violations in requests.
    event_id: Option<NumericId>,
}

/// Renders one item of advice. The example is either a request id or an event id; the other member is null.
pub fn render(kind: AdviceKind, tally: &Tally) -> AdviceItem {
    let times = if tally.count == 1 { "once".to_owned() } else { format!("{} times", tally.count) };
    let (request_id, event_id) = match &tally.example {
        Example::Request(id) => (Some(id.to_string()), None),
        Example::Event(id) => (None, Some(NumericId(*id))),
    };
    let sentences = std::iter::once(kind.contract()).chain(tally.findings.iter().map(String::as_str));
    let detail = sentences.collect::<Vec<_>>().join(". ");
    AdviceItem {
        code: AdviceCode(kind),
        title: kind.title(),
        detail: format!("Seen {times}: {detail}."),
        count: tally.count,
        first_at: Timestamp(tally.first_at),
        last_at: Timestamp(tally.last_at),
        request_id,
        event_id,
    }
}
