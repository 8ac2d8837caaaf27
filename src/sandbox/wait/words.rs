//! How things stand, in words: what comes next of something, what that waits for, and what would bring it about. Pure.

use super::query::Named;
use crate::accounts::time::AccountTime;
use crate::concierge::machine::{Machine, Named as HasName};
use crate::concierge::outputs::state as outputs;
use crate::concierge::requests::state as requests;
use crate::concierge::users::state::ComplianceState;
use crate::jsonapi::render::timestamp;
use crate::sandbox::timeline::outlook::{Outlook, Wait};
use crate::sandbox::timeline::{Present, Subject};

/// What a resource is, what comes next of it, and what leads to a state that is waited for.
pub fn situation(resource: &Named, present: &Present, awaited: Option<&str>, time: AccountTime) -> String {
    let Named { text, .. } = resource;
    let (state, outlook) = (present.state, &present.outlook);
    let simulation = match outlook {
        Outlook::Stuck | Outlook::ByHand => awaited.and_then(|awaited| simulation(resource, state, awaited)),
        Outlook::Due(_) | Outlook::Waiting { .. } | Outlook::Final => None,
    };
    let simulation = simulation.map(|path| format!(", but POST {path} does")).unwrap_or_default();
    let clock = clock(time, comes_by_time(outlook, awaited));
    format!("{text} is {state}; {}{simulation}; {clock}", next(outlook))
}

/// How an account's clock goes, and what to do with it where time is what is missing.
pub fn clock(time: AccountTime, time_helps: bool) -> String {
    match time.frozen_at {
        Some(at) if time_helps => {
            format!("the account's clock stands still at {}: advance it, or settle", timestamp(at))
        }
        Some(at) => format!("the account's clock stands still at {}", timestamp(at)),
        None => "the account's clock runs".to_owned(),
    }
}

/// The names of the arrows on the way from one state to another, if there is a way.
pub fn way(subject: Subject, from: &str, to: &str) -> Option<Vec<&'static str>> {
    fn along<S: HasName, T: HasName>(machine: &Machine<S, T>, from: &str, to: &str) -> Option<Vec<&'static str>> {
        let way = machine.way(machine.named(from)?, machine.named(to)?)?;
        Some(way.into_iter().map(T::name).collect())
    }
    match subject {
        Subject::Output => along(&outputs::MACHINE, from, to),
        Subject::Request => along(&requests::MACHINE, from, to),
        // people decide about people as they like; but nobody becomes new again
        Subject::User => {
            let to = ComplianceState::named(to).filter(|to| *to != ComplianceState::New)?;
            Some(vec![to.verb()])
        }
        Subject::WithdrawalInstruction => None,
    }
}

/// The simulation that takes something to a state.
fn simulation(resource: &Named, from: &str, to: &str) -> Option<String> {
    let way = way(resource.subject, from, to)?;
    let path = format!("/_sandbox/simulations/{}", resource.text);
    match (resource.subject, way.as_slice()) {
        (_, []) => None,
        // that of a request may take outputs along
        (Subject::Output | Subject::User, [verb]) => Some(format!("{path}/{verb}")),
        _ => Some(format!("{path}/transition, to the state {to} and through what lies between,")),
    }
}

/// What comes next.
fn next(outlook: &Outlook) -> String {
    match outlook {
        Outlook::Due(step) => format!("{} leads to {} at {}", step.trigger, step.to, timestamp(step.due_at)),
        Outlook::Waiting { trigger, to, waits_for, otherwise } => {
            let otherwise = otherwise.map(|step| format!(", or else {} at {}", step.to, timestamp(step.due_at)));
            format!("{trigger} leads to {to} once {}{}", condition(waits_for), otherwise.unwrap_or_default())
        }
        Outlook::Final => "that is final".to_owned(),
        Outlook::Stuck => "a test value keeps it there, and time doesn't move it on".to_owned(),
        Outlook::ByHand => "nothing moves it on by itself".to_owned(),
    }
}

/// What has to be so before the next step.
fn condition(wait: &Wait) -> String {
    match wait {
        Wait::Approval { user_id, due_at: Some(due_at) } => {
            format!("user {user_id} is approved, which comes at {}", timestamp(*due_at))
        }
        Wait::Approval { user_id, due_at: None } => format!("user {user_id} is approved, which doesn't come by itself"),
        Wait::Request { id, state, outlook } => {
            format!("request {id} is working; that is {}, and {}", state.name(), next(outlook))
        }
        Wait::Money { user_id, currency, needed, available, .. } => {
            let (needed, available) = (needed.normalized().to_plain_string(), available.normalized().to_plain_string());
            format!("the wallet of user {user_id} holds {needed} {currency}; it holds {available}")
        }
        Wait::Call { action, .. } => format!("the payer calls {action}"),
        Wait::Outputs { open, next_due_at: Some(due_at) } => {
            format!(
                "each of its outputs is final; {open} are not, and the next of them moves at {}",
                timestamp(*due_at)
            )
        }
        Wait::Outputs { open, next_due_at: None } => {
            format!("each of its outputs is final; {open} are not, and none of them is due to move")
        }
    }
}

/// Whether the passing of time brings what is waited for nearer.
fn comes_by_time(outlook: &Outlook, awaited: Option<&str>) -> bool {
    match outlook {
        Outlook::Due(_) => true,
        Outlook::Waiting { waits_for, otherwise, .. } => {
            let runs_out = otherwise.is_some_and(|step| Some(step.to) == awaited);
            let goes_on = match waits_for {
                Wait::Approval { due_at, .. } | Wait::Outputs { next_due_at: due_at, .. } => due_at.is_some(),
                Wait::Request { outlook, .. } => comes_by_time(outlook, awaited),
                Wait::Money { .. } | Wait::Call { .. } => false,
            };
            runs_out || goes_on
        }
        Outlook::Final | Outlook::Stuck | Outlook::ByHand => false,
    }
}
