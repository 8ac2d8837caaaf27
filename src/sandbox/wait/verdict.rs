//! Decides if a condition holds. If not, explains the reason and decides if it still can. Pure.

use super::document::{self, WaitFacts, WaitResult};
use super::explanation;
use super::explanation::path;
use super::query::NamedResource;
use super::store::AwaitedDelivery;
use crate::accounts::time::AccountTime;
use crate::concierge::event_types::{EventSubject, EventType};
use crate::jsonapi::render::timestamp;
use crate::sandbox::events::DeliveryState;
use crate::sandbox::timeline::Present;

/// State of a condition.
#[derive(Debug)]
pub enum Verdict {
    /// The condition holds, with the answer.
    Holds(WaitResult),
    /// The condition does not hold yet.
    NotYet(Explanation),
    /// The condition can no longer hold.
    Never(Explanation),
}

/// Explanation for a condition that does not hold.
#[derive(Debug)]
pub struct Explanation {
    /// Text for people.
    pub detail: String,
    /// Facts for programs.
    pub facts: WaitFacts,
}

/// Checks that a resource is in a state.
pub fn of_state(resource: &NamedResource, present: &Present, state: &str, time: AccountTime) -> Verdict {
    if present.state == state {
        return Verdict::Holds(document::reached(resource, present));
    }
    let reason = reason(resource, present, Some(state), time);
    if path(resource.subject, present.state, state).is_some() {
        return Verdict::NotYet(reason);
    }
    let detail = format!("`{state}` is no longer reachable; {}", reason.detail);
    Verdict::Never(Explanation { detail, ..reason })
}

/// Checks that an event occurred after the event `since`. With `delivered`, also checks its delivery.
///
/// `resource` is the resource of the event, with its current state.
pub fn of_event(
    event_type: &EventType,
    since: i64,
    delivered: bool,
    found: Option<&AwaitedDelivery>,
    resource: Option<(&NamedResource, &Present)>,
    time: AccountTime,
) -> Verdict {
    let Some(found) = found else {
        let state = match event_type.subject {
            EventSubject::Output(state) => Some(state.name()),
            EventSubject::Request(state) => Some(state.name()),
            EventSubject::User(state) => Some(state.name()),
            EventSubject::WithdrawalInstruction => None,
        };
        let reason = match resource {
            Some((named, present)) => reason(named, present, state, time),
            None => Explanation { detail: explanation::clock(time, true), facts: document::clock_alone(time) },
        };
        let place = if since > 0 { format!("after event {since}") } else { "yet".to_owned() };
        let detail = format!("{} has not occurred {place}; {}", event_type.name, reason.detail);
        let reason = Explanation { detail, ..reason };
        return match (resource, state) {
            // no path leads to the state, so the event cannot occur any more
            (Some((named, present)), Some(state))
                if present.state != state && path(named.subject, present.state, state).is_none() =>
            {
                Verdict::Never(reason)
            }
            _ => Verdict::NotYet(reason),
        };
    };
    if !delivered || found.state == DeliveryState::Delivered {
        return Verdict::Holds(document::occurred(event_type, found));
    }
    let tried = match &found.last_error {
        Some(error) => format!("attempts: {}, last error: {error}", found.attempts),
        None => "no attempt yet".to_owned(),
    };
    let detail = match found.state {
        DeliveryState::NoReceiver => "has no receiver: no webhook_url was set when it was recorded".to_owned(),
        DeliveryState::GivenUp => format!("was given up ({tried})"),
        DeliveryState::Waiting => "waits for an earlier event of the same resource".to_owned(),
        DeliveryState::Due | DeliveryState::Delivered => format!(
            "is {} ({tried}), next attempt at {}; {}",
            found.state.name(),
            found.next_attempt_at.map(timestamp).unwrap_or_default(),
            explanation::clock(time, true)
        ),
    };
    let facts = document::undelivered(found, time);
    let reason = Explanation { detail: format!("event {} {detail}", found.event_id), facts };
    if matches!(found.state, DeliveryState::NoReceiver | DeliveryState::GivenUp) {
        Verdict::Never(reason)
    } else {
        Verdict::NotYet(reason)
    }
}

/// Returns the reason for a resource not being in the awaited state.
fn reason(resource: &NamedResource, present: &Present, awaited: Option<&str>, time: AccountTime) -> Explanation {
    let detail = explanation::describe(resource, present, awaited, time);
    Explanation { detail, facts: document::present(present, time) }
}
