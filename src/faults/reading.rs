//! Reading one fault: what is wrong with a member is recorded instead of ending the reading.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};

use super::STATUSES;
use super::pattern::{EventPattern, PathPattern};
use super::{
    Effect, FAULT_MATCHES_NOTHING, Fault, LONGEST_LATENCY, METHODS, On, RequestFault, WebhookEffect, WebhookFault, When,
};
use crate::jsonapi::document::{MOST_FAULTS, quote};
use crate::jsonapi::duration;
use crate::jsonapi::error::{ATTRIBUTE_INVALID, ATTRIBUTE_MISSING, Code, Error};
use crate::jsonapi::json::escape;

/// The longest that an event can be held back.
const LONGEST_DELAY: Duration = Duration::from_hours(30 * 24);
/// The longest `Retry-After`, a day in seconds.
const LONGEST_RETRY_AFTER: i64 = 86_400;
/// How often a fault can act, or let pass.
const MOST_TIMES: i64 = 1_000_000_000;

/// What a fault does to requests, of which it can do one.
const EFFECTS: [&str; 4] = ["status", "close", "truncate", "reset"];
/// What a fault does to events, of which it must do one.
const WEBHOOK_EFFECTS: [&str; 5] = ["duplicate", "reorder", "delay", "drop", "bad_auth"];
/// The members that faults of either kind may have. The last two are shown, and have no effect when they are sent.
const SHARED: [&str; 4] = ["times", "after", "hits", "remaining"];

/// A fault being read. Its members are looked up by name, and `null` counts as absent, as everywhere.
#[derive(Debug)]
pub struct Reading<'a> {
    members: &'a Map<String, Value>,
    pointer: String,
    /// What was wrong so far.
    pub errors: Vec<Error>,
}

impl<'a> Reading<'a> {
    /// Begins to read the fault that `pointer` points at.
    pub fn new(members: &'a Map<String, Value>, pointer: String) -> Self {
        Self { members, pointer, errors: Vec::new() }
    }

    /// The fault, as far as it can be read.
    pub fn fault(&mut self) -> Option<Fault> {
        let times = self.whole("times", 1..=MOST_TIMES);
        let after = self.whole("after", 0..=MOST_TIMES).unwrap_or_default();
        let on =
            if self.has("webhook") { self.webhooks().map(On::Webhooks) } else { self.requests().map(On::Requests) };
        on.map(|on| Fault { on, times, after })
    }

    fn requests(&mut self) -> Option<RequestFault> {
        self.only(&["method", "path", "latency", "retry_after"], &EFFECTS, "a fault of requests");
        let path = self.text("path", PathPattern::EXPECTED, PathPattern::read);
        if !self.has("path") {
            let detail = "the member `path` is missing; it must be a path under /api such as /api/users, or /api/** for \
                          all (a fault of webhooks has `webhook` instead)";
            self.missing(detail);
        }
        let known = format!("one of {}, or left out for any", METHODS.join(", "));
        let method = self.text("method", known, |text| METHODS.into_iter().find(|method| *method == text));
        let latency = self.duration("latency", LONGEST_LATENCY);
        let effect = self.effect();
        if !self.has("latency") && !EFFECTS.iter().any(|name| self.has(name)) {
            self.missing(format!(
                "there is no effect; it must have latency, or one of {}, or both",
                EFFECTS.join(", ")
            ));
        }
        Some(RequestFault { method, path: path?, latency, effect })
    }

    fn effect(&mut self) -> Option<Effect> {
        let status = self.whole("status", i64::from(*STATUSES.start())..=i64::from(*STATUSES.end()));
        let retry_after = self.whole("retry_after", 0..=LONGEST_RETRY_AFTER);
        if self.has("retry_after") && !self.has("status") {
            self.fault_at("retry_after", ATTRIBUTE_INVALID, "is of no use without `status`, whose answer it goes with");
        }
        let close = self.when("close");
        let reset = self.when("reset");
        let truncates = self.flag("truncate");
        self.one_of(&EFFECTS, "beside it there may be latency");
        let status = status.and_then(|status| u16::try_from(status).ok());
        let retry_after = retry_after.and_then(|seconds| u64::try_from(seconds).ok());
        status
            .map(|status| Effect::Status { status, retry_after })
            .or(close.map(Effect::Close))
            .or(reset.map(Effect::Reset))
            .or(truncates.then_some(Effect::Truncate))
    }

    fn webhooks(&mut self) -> Option<WebhookFault> {
        self.only(&["webhook"], &WEBHOOK_EFFECTS, "a fault of webhooks");
        let events = self.text("webhook", EventPattern::EXPECTED, EventPattern::read);
        let delay = self.duration("delay", LONGEST_DELAY).map(WebhookEffect::Delay);
        let flags = [
            ("duplicate", WebhookEffect::Duplicate),
            ("reorder", WebhookEffect::Reorder),
            ("drop", WebhookEffect::Drop),
            ("bad_auth", WebhookEffect::BadAuth),
        ];
        let mut effect = delay;
        for (name, known) in flags {
            if self.flag(name) {
                effect = Some(known);
            }
        }
        self.one_of(&WEBHOOK_EFFECTS, "it does one thing");
        if !WEBHOOK_EFFECTS.iter().any(|name| self.has(name)) {
            self.missing(format!("there is no effect; it must have one of {}", WEBHOOK_EFFECTS.join(", ")));
        }
        Some(WebhookFault { events: events?, effect: effect? })
    }

    /// Records the member by which the fault can match nothing, if there is one.
    pub fn mismatch(&mut self, mismatch: Option<(&str, String)>) {
        if let Some((member, detail)) = mismatch {
            self.fault_at(member, FAULT_MATCHES_NOTHING, detail);
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn fault_at(&mut self, name: &str, code: Code, detail: impl Into<String>) {
        let pointer = format!("{}/{}", self.pointer, escape(name));
        self.errors.push(Error::new(code, detail).at(pointer));
    }

    fn missing(&mut self, detail: impl Into<String>) {
        self.errors.push(Error::new(ATTRIBUTE_MISSING, detail).at(self.pointer.clone()));
    }

    /// Records that a member can't be used: what it is, and what would be right.
    fn invalid(&mut self, name: &str, expected: impl Display) {
        let found = self.get(name).map_or("null".to_owned(), quote);
        self.fault_at(name, ATTRIBUTE_INVALID, format!("is {found}; {name} must be {expected}"));
    }

    /// Records members that a fault of this kind can't have.
    fn only(&mut self, own: &[&str], effects: &[&str], what: &str) {
        let known: Vec<&str> = own.iter().chain(effects).chain(&SHARED).copied().collect();
        let others = self.members.keys().filter(|name| !known.contains(&name.as_str()) && self.has(name));
        for other in others.take(MOST_FAULTS).cloned().collect::<Vec<_>>() {
            let detail = format!("is not known here; {what} has {}", known.join(", "));
            self.fault_at(&other, ATTRIBUTE_INVALID, detail);
        }
    }

    /// Records each effect but the first.
    fn one_of(&mut self, effects: &[&str], rule: &str) {
        let named: Vec<&str> = effects.iter().filter(|name| self.has(name)).copied().collect();
        let Some((first, others)) = named.split_first() else { return };
        for other in others {
            let detail = format!("can't be combined with `{first}`; a fault has one of {}, {rule}", effects.join(", "));
            self.fault_at(other, ATTRIBUTE_INVALID, detail);
        }
    }

    fn text<T>(&mut self, name: &str, expected: impl Display, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = self.get(name)?;
        let read = value.as_str().and_then(read);
        if read.is_none() {
            self.invalid(name, expected);
        }
        read
    }

    fn whole(&mut self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.get(name)?;
        let read = value.as_i64().filter(|number| range.contains(number));
        if read.is_none() {
            self.invalid(name, format!("a whole number from {} to {}", range.start(), range.end()));
        }
        read
    }

    fn duration(&mut self, name: &str, longest: Duration) -> Option<Duration> {
        let expected = format!(
            "a time with its unit, such as \"250ms\" or \"5s\", and at most {}",
            humantime::format_duration(longest)
        );
        let read = |text: &str| duration::read(text).filter(|time| *time <= longest);
        self.text(name, expected, read)
    }

    fn when(&mut self, name: &str) -> Option<When> {
        match self.get(name)? {
            Value::Bool(true) => Some(When::Before),
            Value::String(text) if text == "before" => Some(When::Before),
            Value::String(text) if text == "after" => Some(When::After),
            _ => {
                self.invalid(name, "\"before\" or \"after\" the request has its effect, or true for the former");
                None
            }
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.get(name) {
            None => false,
            Some(Value::Bool(true)) => true,
            Some(_) => {
                self.invalid(name, "true, or left out");
                false
            }
        }
    }
}
