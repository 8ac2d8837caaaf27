//! Decides if a condition holds. If not, explains the reason and decides if it still can. Pure.

use serde_json::{Value, json};

use super::query::Named;
use super::store::Delivery;
use super::words::{self, way};
use crate::accounts::time::AccountTime;
use crate::concierge::event_types::{EventType, Tells};
use crate::jsonapi::render::timestamp;
use crate::sandbox::timeline::{Present, document};

/// State of a condition.
#[derive(Debug)]
pub enum Verdict {
    /// The condition holds.
    Holds,
    /// The condition does not hold yet.
    NotYet(Reason),
    /// The condition can no longer hold.
    Never(Reason),
}

/// Reason for a condition that does not hold.
#[derive(Debug)]
pub struct Reason {
    /// Text for people.
    pub detail: String,
    /// Data for programs.
    pub meta: Value,
}

/// Checks that a resource is in a state.
pub fn of_state(resource: &Named, present: &Present, state: &str, time: AccountTime) -> Verdict {
    if present.state == state {
        return Verdict::Holds;
    }
    let reason = reason(resource, present, Some(state), time);
    if way(resource.subject, present.state, state).is_some() {
        return Verdict::NotYet(reason);
    }
    let detail = format!("`{state}` is no longer reachable; {}", reason.detail);
    Verdict::Never(Reason { detail, ..reason })
}

/// Checks that an event occurred after the event `since`. With `delivered`, also checks its delivery.
///
/// `resource` is the resource of the event, with its current state.
pub fn of_event(
    event_type: &EventType,
    since: i64,
    delivered: bool,
    found: Option<&Delivery>,
    resource: Option<(&Named, &Present)>,
    time: AccountTime,
) -> Verdict {
    let Some(found) = found else {
        let state = match event_type.tells {
            Tells::Output(state) => Some(state.name()),
            Tells::Request(state) => Some(state.name()),
            Tells::User(state) => Some(state.name()),
            Tells::WithdrawalInstruction => None,
        };
        let reason = match resource {
            Some((named, present)) => reason(named, present, state, time),
            None => Reason { detail: words::clock(time, true), meta: json!({ "clock": clock(time) }) },
        };
        let place = if since > 0 { format!("after event {since}") } else { "yet".to_owned() };
        let detail = format!("{} has not occurred {place}; {}", event_type.name, reason.detail);
        let reason = Reason { detail, ..reason };
        return match (resource, state) {
            // no path leads to the state, so the event cannot occur any more
            (Some((named, present)), Some(state))
                if present.state != state && way(named.subject, present.state, state).is_none() =>
            {
                Verdict::Never(reason)
            }
            _ => Verdict::NotYet(reason),
        };
    };
    if !delivered || found.state == "delivered" {
        return Verdict::Holds;
    }
    let next = found.next_attempt_at.map(timestamp);
    let meta = json!({
        "event": { "id": found.event_id.to_string(), "delivery_state": found.state, "attempts_count": found.attempts,
            "next_attempt_at": next, "last_error": found.last_error },
        "clock": clock(time),
    });
    let tried = match &found.last_error {
        Some(error) => format!("attempts: {}, last error: {error}", found.attempts),
        None => "no attempt yet".to_owned(),
    };
    let detail = match found.state.as_str() {
        "no_receiver" => "has no receiver: no webhook_url was set when it was recorded".to_owned(),
        "given_up" => format!("was given up ({tried})"),
        "waiting" => "waits for an earlier event of the same resource".to_owned(),
        _ => format!(
            "is {} ({tried}), next attempt at {}; {}",
            found.state,
            next.unwrap_or_default(),
            words::clock(time, true)
        ),
    };
    let reason = Reason { detail: format!("event {} {detail}", found.event_id), meta };
    if matches!(found.state.as_str(), "no_receiver" | "given_up") {
        Verdict::Never(reason)
    } else {
        Verdict::NotYet(reason)
    }
}

/// Returns the reason for a resource not being in the awaited state.
fn reason(resource: &Named, present: &Present, awaited: Option<&str>, time: AccountTime) -> Reason {
    let meta = json!({
        "state": present.state,
        "since": present.since.map(timestamp),
        "next": document::outlook(&present.outlook),
        "clock": clock(time),
    });
    Reason { detail: words::situation(resource, present, awaited, time), meta }
}

fn clock(time: AccountTime) -> Value {
    json!({ "frozen_at": time.frozen_at.map(timestamp) })
}
