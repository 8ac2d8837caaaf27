//! What a resource's events tell of its way: from where each led to where, by which arrow. Pure.

use super::{Subject, Told, Transition};
use crate::concierge::event_types::{EventType, Tells};
use crate::concierge::machine::{Arrow, Machine, Named};
use crate::concierge::requests::state::{CANCELLED_BY_USER, Trigger};
use crate::concierge::users::state::ComplianceState;
use crate::concierge::withdrawal_instructions::actions::DESTROYED;
use crate::concierge::{outputs, requests};

/// What makes something come into being, which no arrow does.
const CREATE: &str = "create";
/// What makes an instruction go.
const DESTROY: &str = "destroy";
/// The states of an instruction, which is there or isn't.
pub const THERE: &str = "created";
pub const GONE: &str = "destroyed";

/// The way of something that began in a state, from its events, the first first. Where it was `left_off` before them, the
/// first one only tells from where the next one led. Why a request was cancelled says which of two arrows did that.
pub fn trace(
    subject: Subject,
    began_in: &'static str,
    told: Vec<Told>,
    left_off: bool,
    cancellation_reason: Option<&str>,
) -> Vec<Transition> {
    let mut reached = None;
    let mut way = Vec::with_capacity(told.len());
    for event in told {
        let Some(to) = EventType::named(&event.event_type).map(state_of) else { continue };
        // what was there before anything was told of it, fixtures for one, has no event of its beginning
        let from = reached.or_else(|| whence(subject, began_in, to));
        let trigger = match from {
            None => Some(CREATE),
            Some(from) if from == to => None,
            Some(from) => arrow(subject, from, to, cancellation_reason),
        };
        reached = Some(to);
        way.push(Transition { from, to, trigger, told: event });
    }
    way.drain(..usize::from(left_off && !way.is_empty()));
    way
}

/// The state from which the first event of something that begins in a state led, if it doesn't tell of that. What was seeded
/// may have begun in another one.
fn whence(subject: Subject, began_in: &'static str, to: &str) -> Option<&'static str> {
    match subject {
        Subject::User if to == began_in => Some(ComplianceState::New.name()),
        _ if to == began_in => None,
        Subject::Output if between(&outputs::state::MACHINE, began_in, to).next().is_none() => {
            let arrow = outputs::state::MACHINE.arrows.iter().find(|arrow| arrow.to.name() == to);
            Some(arrow.map_or(began_in, |arrow| arrow.from.name()))
        }
        Subject::Output | Subject::Request | Subject::User | Subject::WithdrawalInstruction => Some(began_in),
    }
}

/// The state that an event tells of.
fn state_of(event_type: &EventType) -> &'static str {
    match event_type.tells {
        Tells::Output(state) => state.name(),
        Tells::Request(state) => state.name(),
        Tells::User(state) => state.name(),
        Tells::WithdrawalInstruction if event_type.name == DESTROYED => GONE,
        Tells::WithdrawalInstruction => THERE,
    }
}

/// The trigger of the arrow that leads from one state to another, if there is one.
fn arrow(subject: Subject, from: &str, to: &str, cancellation_reason: Option<&str>) -> Option<&'static str> {
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
        Subject::WithdrawalInstruction => (to == GONE).then_some(DESTROY),
    }
}

fn between<S: Named, T: Named>(machine: &Machine<S, T>, from: &str, to: &str) -> impl Iterator<Item = T> {
    let leads = move |arrow: &&Arrow<S, T>| arrow.from.name() == from && arrow.to.name() == to;
    machine.arrows.iter().filter(leads).map(|arrow| arrow.trigger)
}
