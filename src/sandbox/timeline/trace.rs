//! Derives a resource's transitions from its events. Pure.

use super::{PastTransition, RecordedEvent, Subject};
use crate::concierge::event_types::{EventSubject, EventType};
use crate::concierge::machine::{Machine, Named, Transition};
use crate::concierge::requests::state::{CANCELLED_BY_USER, Trigger};
use crate::concierge::users::state::ComplianceState;
use crate::concierge::withdrawal_instructions::actions::DESTROYED;
use crate::concierge::{outputs, requests};

/// Trigger of a creation. It is not part of any state machine.
pub const CREATE: &str = "create";
/// Trigger of the deletion of a withdrawal instruction.
pub const DESTROY: &str = "destroy";
/// State of an existing withdrawal instruction.
pub const CREATED: &str = "created";
/// State of a deleted withdrawal instruction.
pub const DELETED: &str = "destroyed";

/// Returns the transitions of a resource from its events, oldest first. The resource began in the state `began_in`.
///
/// If older events are `left_off`, the first event only gives the state before the second one.
/// The `cancellation_reason` of a request selects one of the two triggers that cancel.
pub fn trace(
    subject: Subject,
    began_in: &'static str,
    events: Vec<RecordedEvent>,
    left_off: bool,
    cancellation_reason: Option<&str>,
) -> Vec<PastTransition> {
    let mut reached = None;
    let mut transitions = Vec::with_capacity(events.len());
    for event in events {
        let Some(to) = EventType::named(&event.event_type).map(state_of) else { continue };
        // some resources, such as fixtures, have no event of their creation
        let from = reached.or_else(|| state_before(subject, began_in, to));
        let trigger = match from {
            None => Some(CREATE),
            Some(from) if from == to => None,
            Some(from) => find_trigger(subject, from, to, cancellation_reason),
        };
        reached = Some(to);
        transitions.push(PastTransition { from, to, trigger, told: event });
    }
    transitions.drain(..usize::from(left_off && !transitions.is_empty()));
    transitions
}

/// Returns the state before the first event; `None` if that event is the creation.
///
/// A seeded resource may have begun in another state than `began_in`.
fn state_before(subject: Subject, began_in: &'static str, to: &str) -> Option<&'static str> {
    match subject {
        Subject::User if to == began_in => Some(ComplianceState::New.name()),
        _ if to == began_in => None,
        Subject::Output if between(&outputs::state::MACHINE, began_in, to).next().is_none() => {
            let arrow = outputs::state::MACHINE.transitions.iter().find(|arrow| arrow.to.name() == to);
            Some(arrow.map_or(began_in, |arrow| arrow.from.name()))
        }
        Subject::Output | Subject::Request | Subject::User | Subject::WithdrawalInstruction => Some(began_in),
    }
}

/// Returns the new state in an event.
fn state_of(event_type: &EventType) -> &'static str {
    match event_type.subject {
        EventSubject::Output(state) => state.name(),
        EventSubject::Request(state) => state.name(),
        EventSubject::User(state) => state.name(),
        EventSubject::WithdrawalInstruction if event_type.name == DESTROYED => DELETED,
        EventSubject::WithdrawalInstruction => CREATED,
    }
}

/// Returns the trigger of the transition between two states, if there is one.
fn find_trigger(subject: Subject, from: &str, to: &str, cancellation_reason: Option<&str>) -> Option<&'static str> {
    match subject {
        Subject::Output => between(&outputs::state::MACHINE, from, to).next().map(Named::name),
        Subject::Request => {
            let by_user = cancellation_reason == Some(CANCELLED_BY_USER);
            let likely = if by_user { Trigger::Cancel } else { Trigger::Expire };
            let mut arrows = between(&requests::state::MACHINE, from, to).peekable();
            let first = arrows.peek().copied();
            arrows.find(|trigger| *trigger == likely).or(first).map(Named::name)
        }
        Subject::User => ComplianceState::named(to).map(ComplianceState::verb),
        Subject::WithdrawalInstruction => (to == DELETED).then_some(DESTROY),
    }
}

fn between<S: Named, T: Named>(machine: &Machine<S, T>, from: &str, to: &str) -> impl Iterator<Item = T> {
    let leads = move |arrow: &&Transition<S, T>| arrow.from.name() == from && arrow.to.name() == to;
    machine.transitions.iter().filter(leads).map(|arrow| arrow.trigger)
}
