//! Explains a wait in words: the resource's next transition, its condition, and a simulation that triggers it. Pure.

use super::query::NamedResource;
use crate::accounts::time::AccountTime;
use crate::concierge::machine::{Machine, Named as HasName};
use crate::concierge::outlook::{Outlook, WaitReason};
use crate::concierge::outputs::state as outputs;
use crate::concierge::requests::state as requests;
use crate::concierge::users::state::ComplianceState;
use crate::jsonapi::render::timestamp;
use crate::sandbox::timeline::{Present, Subject};

/// Describes a resource: its state, its next transition, and a simulation that leads to the awaited state.
pub fn describe(resource: &NamedResource, present: &Present, awaited: Option<&str>, time: AccountTime) -> String {
    let NamedResource { text, .. } = resource;
    let (state, outlook) = (present.state, &present.outlook);
    let simulation = match outlook {
        Outlook::Stuck | Outlook::ByHand => awaited.and_then(|awaited| simulation(resource, state, awaited)),
        Outlook::Due(_) | Outlook::Waiting { .. } | Outlook::Final => None,
    };
    let simulation = simulation.map(|call| format!("; {call} moves it")).unwrap_or_default();
    let clock = clock(time, comes_by_time(outlook, awaited));
    format!("{text} is {state}; {}{simulation}; {clock}", next(outlook))
}

/// Describes the account's clock. Suggests advancing it if time helps.
pub fn clock(time: AccountTime, time_helps: bool) -> String {
    match time.frozen_at {
        Some(at) if time_helps => {
            format!("the account's clock is frozen at {}; advance it, or POST to /_sandbox/settle", timestamp(at))
        }
        Some(at) => format!("the account's clock is frozen at {}", timestamp(at)),
        None => "the account's clock runs".to_owned(),
    }
}

/// Returns the triggers on the path from one state to another, if there is a path.
pub fn path(subject: Subject, from: &str, to: &str) -> Option<Vec<&'static str>> {
    fn along<S: HasName, T: HasName>(machine: &Machine<S, T>, from: &str, to: &str) -> Option<Vec<&'static str>> {
        let path = machine.path(machine.named(from)?, machine.named(to)?)?;
        Some(path.into_iter().map(T::name).collect())
    }
    match subject {
        Subject::Output => along(&outputs::MACHINE, from, to),
        Subject::Request => along(&requests::MACHINE, from, to),
        // any decision may follow any other, but no user becomes new again
        Subject::User => {
            let to = ComplianceState::named(to).filter(|to| *to != ComplianceState::New)?;
            Some(vec![to.verb()])
        }
        Subject::WithdrawalInstruction => None,
    }
}

/// Returns the call of the simulation that moves a resource to a state.
fn simulation(resource: &NamedResource, from: &str, to: &str) -> Option<String> {
    let steps = path(resource.subject, from, to)?;
    let path = format!("/_sandbox/simulations/{}", resource.text);
    match (resource.subject, steps.as_slice()) {
        (_, []) => None,
        // for a request, only `transition` also moves its outputs
        (Subject::Output | Subject::User, [verb]) => Some(format!("POST {path}/{verb}")),
        _ => Some(format!("POST {path}/transition with {{\"state\":\"{to}\",\"through\":true}}")),
    }
}

/// Describes the next transition.
fn next(outlook: &Outlook) -> String {
    match outlook {
        Outlook::Due(step) => format!("{} leads to {} at {}", step.trigger, step.to, timestamp(step.due_at)),
        Outlook::Waiting { trigger, to, waits_for, otherwise } => {
            let otherwise = otherwise.map(|step| format!(", or it becomes {} at {}", step.to, timestamp(step.due_at)));
            format!("{trigger} leads to {to} once {}{}", condition(waits_for), otherwise.unwrap_or_default())
        }
        Outlook::Final => "this state is final".to_owned(),
        Outlook::Stuck => "a test value keeps it in this state; time does not move it".to_owned(),
        Outlook::ByHand => "it has no automatic transition".to_owned(),
    }
}

/// Describes the condition of the next transition.
fn condition(wait: &WaitReason) -> String {
    match wait {
        WaitReason::Approval { user_id, due_at: Some(due_at) } => {
            format!("user {user_id} is approved (due at {})", timestamp(*due_at))
        }
        WaitReason::Approval { user_id, due_at: None } => format!("user {user_id} is approved (not automatic)"),
        WaitReason::Request { id, state, outlook } => {
            format!("request {id} is working (now {}: {})", state.name(), next(outlook))
        }
        WaitReason::Money { user_id, currency, needed, available, .. } => {
            let (needed, available) = (needed.normalized().to_plain_string(), available.normalized().to_plain_string());
            format!("the wallet of user {user_id} holds {needed} {currency} (now {available})")
        }
        WaitReason::Call { action, .. } => format!("the payer calls {action}"),
        WaitReason::Outputs { open, next_due_at: Some(due_at) } => {
            format!("all its outputs are final ({open} are not; the next one moves at {})", timestamp(*due_at))
        }
        WaitReason::Outputs { open, next_due_at: None } => {
            format!("all its outputs are final ({open} are not; none is due to move)")
        }
    }
}

/// Returns true if passing time brings the awaited state nearer.
fn comes_by_time(outlook: &Outlook, awaited: Option<&str>) -> bool {
    match outlook {
        Outlook::Due(_) => true,
        Outlook::Waiting { waits_for, otherwise, .. } => {
            let runs_out = otherwise.is_some_and(|step| Some(step.to) == awaited);
            let goes_on = match waits_for {
                WaitReason::Approval { due_at, .. } | WaitReason::Outputs { next_due_at: due_at, .. } => {
                    due_at.is_some()
                }
                WaitReason::Request { outlook, .. } => comes_by_time(outlook, awaited),
                WaitReason::Money { .. } | WaitReason::Call { .. } => false,
            };
            runs_out || goes_on
        }
        Outlook::Final | Outlook::Stuck | Outlook::ByHand => false,
    }
}
