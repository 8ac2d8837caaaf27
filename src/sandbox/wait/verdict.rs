//! Whether what is waited for has happened, and if not, why not and whether it can. Pure.

use serde_json::{Value, json};

use super::query::Named;
use super::store::Delivery;
use crate::accounts::time::AccountTime;
use crate::concierge::event_types::{EventType, Tells};
use crate::concierge::machine::{Machine, Named as HasName};
use crate::concierge::outputs::state as outputs;
use crate::concierge::requests::state as requests;
use crate::jsonapi::render::timestamp;
use crate::sandbox::timeline::outlook::Outlook;
use crate::sandbox::timeline::{Present, Subject, document};

/// How things stand.
#[derive(Debug)]
pub enum Verdict {
    /// It has happened.
    Holds,
    /// Not yet, and why.
    NotYet(Reason),
    /// And it can't any more.
    Never(Reason),
}

/// Why something has not happened.
#[derive(Debug)]
pub struct Reason {
    /// For people.
    pub detail: String,
    /// For programs.
    pub meta: Value,
}

/// Whether a resource is in a state.
pub fn of_state(resource: &Named, present: &Present, state: &str, time: AccountTime) -> Verdict {
    if present.state == state {
        return Verdict::Holds;
    }
    let reason = reason(&resource.text, Some(present), time);
    if can_become(resource.subject, present.state, state) {
        return Verdict::NotYet(reason);
    }
    let detail = format!("no way leads from there to {state}; {}", reason.detail);
    Verdict::Never(Reason { detail, ..reason })
}

fn can_become(subject: Subject, from: &str, to: &str) -> bool {
    fn leads<S: HasName, T: HasName>(machine: &Machine<S, T>, from: &str, to: &str) -> bool {
        machine.named(from).zip(machine.named(to)).is_some_and(|(from, to)| machine.way(from, to).is_some())
    }
    match subject {
        Subject::Output => leads(&outputs::MACHINE, from, to),
        Subject::Request => leads(&requests::MACHINE, from, to),
        // people decide about people as they like; but nobody becomes new again
        Subject::User => to != "new",
        Subject::WithdrawalInstruction => false,
    }
}

/// Whether there is an event, and was delivered if that is asked for. `resource`: what it is to tell of, and what that is.
pub fn of_event(
    event_type: &EventType,
    delivered: bool,
    found: Option<&Delivery>,
    resource: Option<(&Named, &Present)>,
    time: AccountTime,
) -> Verdict {
    let Some(found) = found else {
        let name = resource.map_or("the account", |(named, _)| named.text.as_str());
        let reason = reason(name, resource.map(|(_, present)| present), time);
        let detail = format!("there is no {} yet; {}", event_type.name, reason.detail);
        let reason = Reason { detail, ..reason };
        let state = match event_type.tells {
            Tells::Output(state) => Some(state.name()),
            Tells::Request(state) => Some(state.name()),
            Tells::User(_) | Tells::WithdrawalInstruction => None,
        };
        return match (resource, state) {
            // it is there, and its event is older than what is waited for, or can't come
            (Some((named, present)), Some(state))
                if present.state != state && !can_become(named.subject, present.state, state) =>
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
        Some(error) => format!("tried {} times, the last of which {error}", found.attempts),
        None => "not tried yet".to_owned(),
    };
    let detail = match found.state.as_str() {
        "no_receiver" => "had nobody to go to when it happened: no webhook_url was set".to_owned(),
        "given_up" => format!("was given up: {tried}"),
        "waiting" => "waits for an event before it of the same resource".to_owned(),
        _ => format!("is {}, {tried}, next at {}; {}", found.state, next.unwrap_or_default(), stands(time)),
    };
    let reason = Reason { detail: format!("event {} {detail}", found.event_id), meta };
    if matches!(found.state.as_str(), "no_receiver" | "given_up") {
        Verdict::Never(reason)
    } else {
        Verdict::NotYet(reason)
    }
}

/// How things stand with a resource, or an account.
fn reason(name: &str, present: Option<&Present>, time: AccountTime) -> Reason {
    let Some(present) = present else {
        return Reason {
            detail: format!("nothing of it happened in {name}; {}", stands(time)),
            meta: json!({ "clock": clock(time) }),
        };
    };
    let next = document::outlook(&present.outlook);
    let comes = match &present.outlook {
        Outlook::Due(step) => format!("{} leads to {} at {}", step.trigger, step.to, timestamp(step.due_at)),
        Outlook::Waiting { trigger, to, .. } => {
            format!("{trigger} leads to {to} once what it waits for has happened: {}", next["waits_for"])
        }
        Outlook::Final => "that is final".to_owned(),
        Outlook::Stuck => "a test value keeps it there".to_owned(),
        Outlook::ByHand => "nothing happens by itself".to_owned(),
    };
    let meta = json!({
        "state": present.state,
        "since": present.since.map(timestamp),
        "next": next,
        "clock": clock(time),
    });
    Reason { detail: format!("{name} is {}; {comes}; {}", present.state, stands(time)), meta }
}

fn clock(time: AccountTime) -> Value {
    json!({ "frozen_at": time.frozen_at.map(timestamp) })
}

fn stands(time: AccountTime) -> String {
    match time.frozen_at {
        Some(at) => format!("the account's clock stands still at {}: advance it, or settle", timestamp(at)),
        None => "the account's clock runs".to_owned(),
    }
}
