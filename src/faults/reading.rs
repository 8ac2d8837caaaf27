//! Reads one fault. An invalid member is recorded as an error, and the reading goes on.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};

use super::pattern::{EventPattern, PathPattern};
use super::{
    Effect, FAULT_MATCHES_NOTHING, Fault, FaultTarget, LONGEST_LATENCY, METHODS, RequestFault, STATUSES, WebhookEffect,
    WebhookFault, When,
};
use crate::jsonapi::document::{MOST_FAULTS, quote};
use crate::jsonapi::duration;
use crate::jsonapi::error::{ATTRIBUTE_INVALID, ATTRIBUTE_MISSING, Code, Error};
use crate::jsonapi::json::escape;

/// Longest delay of an event.
const LONGEST_DELAY: Duration = Duration::from_hours(30 * 24);
/// Longest `Retry-After`, in seconds: a day.
pub const LONGEST_RETRY_AFTER: i64 = 86_400;
/// Maximum number of times that a fault can apply, or let a match pass.
pub const MOST_TIMES: i64 = 1_000_000_000;

/// Effects on requests. A fault can have one.
const EFFECTS: [&str; 4] = ["status", "close", "truncate", "reset"];
/// Effects on webhooks. A fault must have one.
const WEBHOOK_EFFECTS: [&str; 5] = ["duplicate", "reorder", "delay", "drop", "bad_auth"];
/// Members of both kinds of faults. The last two are part of answers, and are ignored in requests.
const SHARED: [&str; 4] = ["times", "after", "hits", "remaining"];

/// A fault being read. Members are looked up by name. `null` counts as absent, as everywhere.
#[derive(Debug)]
pub struct FaultReader<'a> {
    members: &'a Map<String, Value>,
    pointer: String,
    /// Errors found so far.
    pub errors: Vec<Error>,
}

impl<'a> FaultReader<'a> {
    /// Starts to read the fault at `pointer`.
    pub fn new(members: &'a Map<String, Value>, pointer: String) -> Self {
        Self { members, pointer, errors: Vec::new() }
    }

    /// Reads the fault, and records its errors. It may return a fault despite errors.
    pub fn fault(&mut self) -> Option<Fault> {
        let times = self.whole("times", 1..=MOST_TIMES);
        let after = self.whole("after", 0..=MOST_TIMES).unwrap_or_default();
        let on = if self.has("webhook") {
            self.webhooks().map(FaultTarget::Webhooks)
        } else {
            self.requests().map(FaultTarget::Requests)
        };
        on.map(|on| Fault { on, times, after })
    }

    fn requests(&mut self) -> Option<RequestFault> {
        self.only(&["method", "path", "latency", "retry_after"], &EFFECTS, "a fault of requests");
        let path = self.text("path", PathPattern::EXPECTED, PathPattern::read);
        if !self.has("path") {
            let detail = "`path` is missing; it must be a path under /api such as /api/users, or /api/** for all paths \
                          (a fault of webhooks has `webhook` instead)";
            self.missing(detail);
        }
        let known = format!("one of {}, or absent for any method", METHODS.join(", "));
        let method = self.text("method", known, |text| METHODS.into_iter().find(|method| *method == text));
        let latency = self.duration("latency", LONGEST_LATENCY);
        let effect = self.effect();
        if !self.has("latency") && !EFFECTS.iter().any(|name| self.has(name)) {
            let detail = "the fault has no effect; it must have `latency`, one effect, or both; the effects are";
            self.missing(format!("{detail} {}", EFFECTS.join(", ")));
        }
        Some(RequestFault { method, path: path?, latency, effect })
    }

    fn effect(&mut self) -> Option<Effect> {
        let status = self.whole("status", i64::from(*STATUSES.start())..=i64::from(*STATUSES.end()));
        let retry_after = self.whole("retry_after", 0..=LONGEST_RETRY_AFTER);
        if self.has("retry_after") && !self.has("status") {
            let detail = "`retry_after` has no effect without `status`; add `status`, or leave it out";
            self.fault_at("retry_after", ATTRIBUTE_INVALID, detail);
        }
        let close = self.when("close");
        let reset = self.when("reset");
        let truncates = self.flag("truncate");
        self.one_of(&EFFECTS, "with or without `latency`");
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
        self.one_of(&WEBHOOK_EFFECTS, "and only one");
        if !WEBHOOK_EFFECTS.iter().any(|name| self.has(name)) {
            self.missing(format!("the fault has no effect; it must have one of {}", WEBHOOK_EFFECTS.join(", ")));
        }
        Some(WebhookFault { events: events?, effect: effect? })
    }

    /// Records a fault that can never match.
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

    /// Records an invalid member, with its value and the expected one.
    fn invalid(&mut self, name: &str, expected: impl Display) {
        let found = self.get(name).map_or("null".to_owned(), quote);
        self.fault_at(name, ATTRIBUTE_INVALID, format!("`{name}` is {found}; it must be {expected}"));
    }

    /// Records unknown members of this kind of fault.
    fn only(&mut self, own: &[&str], effects: &[&str], kind: &str) {
        let known: Vec<&str> = own.iter().chain(effects).chain(&SHARED).copied().collect();
        let unknown = self.members.keys().filter(|name| !known.contains(&name.as_str()) && self.has(name));
        for name in unknown.take(MOST_FAULTS).cloned().collect::<Vec<_>>() {
            let detail = format!("`{name}` is not a known member; {kind} has {}", known.join(", "));
            self.fault_at(&name, ATTRIBUTE_INVALID, detail);
        }
    }

    /// Records an error for each effect after the first.
    fn one_of(&mut self, effects: &[&str], rule: &str) {
        let named: Vec<&str> = effects.iter().filter(|name| self.has(name)).copied().collect();
        let Some((first, others)) = named.split_first() else { return };
        for other in others {
            let effects = effects.join(", ");
            let detail = format!("`{other}` can't be combined with `{first}`; a fault has one of {effects}, {rule}");
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
                self.invalid(name, "\"before\" or \"after\" (the request is carried out), or true for \"before\"");
                None
            }
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.get(name) {
            None => false,
            Some(Value::Bool(true)) => true,
            Some(_) => {
                self.invalid(name, "true, or absent");
                false
            }
        }
    }
}
