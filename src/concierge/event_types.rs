//! Every type of event there is, with what it tells of its resource: made of the tables of states, so that a new state
//! has its event type by itself.

use super::outputs::state::State as OutputState;
use super::requests::state::{CREDIT_NOTE_CREATED, RECEIPT_CREATED, State as RequestState};
use super::users::state::ComplianceState;
use super::withdrawal_instructions::actions::{CREATED, DESTROYED, UPDATED};
use super::{outputs, requests, users, withdrawal_instructions};
use crate::jsonapi::schema::Schema;

/// A type of event.
#[derive(Debug, Clone, Copy)]
pub struct EventType {
    /// The `event_type` of its events.
    pub name: &'static str,
    pub tells: Tells,
}

/// What an event tells of its resource: the state it is in then, where it has states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tells {
    Output(OutputState),
    Request(RequestState),
    User(ComplianceState),
    WithdrawalInstruction,
}

impl EventType {
    /// The event type of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        EVENT_TYPES.iter().find(|event_type| event_type.name == name)
    }

    /// The schema of the resources that such an event tells of.
    pub const fn schema(&self) -> &'static Schema {
        match self.tells {
            Tells::Output(_) => &outputs::SCHEMA,
            Tells::Request(_) => &requests::SCHEMA,
            Tells::User(_) => &users::SCHEMA,
            Tells::WithdrawalInstruction => &withdrawal_instructions::SCHEMA,
        }
    }
}

/// The types of resources that events tell of.
pub const RESOURCE_TYPES: [&str; 4] = [
    outputs::SCHEMA.type_name,
    requests::SCHEMA.type_name,
    users::SCHEMA.type_name,
    withdrawal_instructions::SCHEMA.type_name,
];

const OUTPUTS: usize = outputs::state::MACHINE.states.len();
const REQUESTS: usize = requests::state::MACHINE.states.len();
/// The states of a user that are told of: it is `new` before anything happens to it.
const USERS: [ComplianceState; 3] = [ComplianceState::Enabled, ComplianceState::Disabled, ComplianceState::Rejected];
/// Those that don't tell of an arrival in a state.
const OTHERS: [EventType; 5] = [
    EventType { name: RECEIPT_CREATED, tells: Tells::Request(RequestState::Finished) },
    EventType { name: CREDIT_NOTE_CREATED, tells: Tells::Request(RequestState::Finished) },
    EventType { name: CREATED, tells: Tells::WithdrawalInstruction },
    EventType { name: UPDATED, tells: Tells::WithdrawalInstruction },
    EventType { name: DESTROYED, tells: Tells::WithdrawalInstruction },
];

/// Every type of event: those of outputs, of requests and of users in the order of their lives, then the others.
pub static EVENT_TYPES: [EventType; OUTPUTS + REQUESTS + USERS.len() + OTHERS.len()] = {
    let mut all = [OTHERS[0]; OUTPUTS + REQUESTS + USERS.len() + OTHERS.len()];
    let mut place = 0;
    while place < all.len() {
        all[place] = if place < OUTPUTS {
            let state = outputs::state::MACHINE.states[place];
            EventType { name: state.event_type(), tells: Tells::Output(state) }
        } else if place < OUTPUTS + REQUESTS {
            let state = requests::state::MACHINE.states[place - OUTPUTS];
            EventType { name: state.event_type(), tells: Tells::Request(state) }
        } else if place < OUTPUTS + REQUESTS + USERS.len() {
            let state = USERS[place - OUTPUTS - REQUESTS];
            EventType { name: state.event_type(), tells: Tells::User(state) }
        } else {
            OTHERS[place - OUTPUTS - REQUESTS - USERS.len()]
        };
        place += 1;
    }
    all
};

/// Their names, in the same order.
pub static NAMES: [&str; EVENT_TYPES.len()] = {
    let mut names = [""; EVENT_TYPES.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = EVENT_TYPES[place].name;
        place += 1;
    }
    names
};
