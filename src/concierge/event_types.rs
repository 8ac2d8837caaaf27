//! All event types, each with the state of its resource at the event.
//!
//! They are derived from the tables of states, so a new state gets its event type automatically.

use schemars::JsonSchema;
use serde::Serialize;

use super::outputs::state::State as OutputState;
use super::requests::state::{CREDIT_NOTE_CREATED, RECEIPT_CREATED, State as RequestState};
use super::users::state::ComplianceState;
use super::withdrawal_instructions::actions::{CREATED, DESTROYED, UPDATED};
use super::{outputs, requests, users, withdrawal_instructions};
use crate::jsonapi::schema::Schema;
use crate::jsonapi::values::NumericId;

/// A type of event.
#[derive(Debug, Clone, Copy)]
pub struct EventType {
    /// The `event_type` of its events.
    pub name: &'static str,
    pub subject: EventSubject,
}

/// Resource of an event, with its state at the event if it has states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSubject {
    Output(OutputState),
    Request(RequestState),
    User(ComplianceState),
    WithdrawalInstruction,
}

impl EventType {
    /// Returns the event type with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        EVENT_TYPES.iter().find(|event_type| event_type.name == name)
    }

    /// Returns the schema of the event's resource.
    pub const fn schema(&self) -> &'static Schema {
        match self.subject {
            EventSubject::Output(_) => &outputs::document::SCHEMA,
            EventSubject::Request(_) => &requests::document::SCHEMA,
            EventSubject::User(_) => &users::document::SCHEMA,
            EventSubject::WithdrawalInstruction => &withdrawal_instructions::document::SCHEMA,
        }
    }
}

/// Types of the resources with events.
pub const RESOURCE_TYPES: [&str; 4] = [
    outputs::document::SCHEMA.type_name,
    requests::document::SCHEMA.type_name,
    users::document::SCHEMA.type_name,
    withdrawal_instructions::document::SCHEMA.type_name,
];

/// Type of an event, as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTypeName(pub String);

impl EventTypeName {
    fn name(&self) -> &str {
        &self.0
    }
}

crate::json_by_name!(EventTypeName, NAMES, "Type of an event.");

/// Type of a resource with events, as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceTypeName(pub String);

impl ResourceTypeName {
    fn name(&self) -> &str {
        &self.0
    }
}

crate::json_by_name!(ResourceTypeName, RESOURCE_TYPES, "Type of a resource with events.");

/// A resource with events, by type and id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ResourceReference {
    /// Type of the resource.
    #[serde(rename = "type")]
    type_name: ResourceTypeName,
    /// Id of the resource.
    id: NumericId,
}

impl ResourceReference {
    /// Names a resource.
    pub fn new(type_name: impl Into<String>, id: i64) -> Self {
        Self { type_name: ResourceTypeName(type_name.into()), id: NumericId(id) }
    }
}

const OUTPUTS: usize = outputs::state::MACHINE.states.len();
const REQUESTS: usize = requests::state::MACHINE.states.len();
/// Users' states with an event; a user starts as `new`, without one.
const USERS: [ComplianceState; 3] = [ComplianceState::Enabled, ComplianceState::Disabled, ComplianceState::Rejected];
/// Event types without a state change.
const WITHOUT_TRANSITION: [EventType; 5] = [
    EventType { name: RECEIPT_CREATED, subject: EventSubject::Request(RequestState::Finished) },
    EventType { name: CREDIT_NOTE_CREATED, subject: EventSubject::Request(RequestState::Finished) },
    EventType { name: CREATED, subject: EventSubject::WithdrawalInstruction },
    EventType { name: UPDATED, subject: EventSubject::WithdrawalInstruction },
    EventType { name: DESTROYED, subject: EventSubject::WithdrawalInstruction },
];

/// All event types: outputs, requests and users in the order of their states, then types without a state change.
pub static EVENT_TYPES: [EventType; OUTPUTS + REQUESTS + USERS.len() + WITHOUT_TRANSITION.len()] = {
    let mut all = [WITHOUT_TRANSITION[0]; OUTPUTS + REQUESTS + USERS.len() + WITHOUT_TRANSITION.len()];
    let mut place = 0;
    while place < all.len() {
        all[place] = if place < OUTPUTS {
            let state = outputs::state::MACHINE.states[place];
            EventType { name: state.event_type(), subject: EventSubject::Output(state) }
        } else if place < OUTPUTS + REQUESTS {
            let state = requests::state::MACHINE.states[place - OUTPUTS];
            EventType { name: state.event_type(), subject: EventSubject::Request(state) }
        } else if place < OUTPUTS + REQUESTS + USERS.len() {
            let state = USERS[place - OUTPUTS - REQUESTS];
            EventType { name: state.event_type(), subject: EventSubject::User(state) }
        } else {
            WITHOUT_TRANSITION[place - OUTPUTS - REQUESTS - USERS.len()]
        };
        place += 1;
    }
    all
};

/// Names of [`EVENT_TYPES`], in the same order.
pub static NAMES: [&str; EVENT_TYPES.len()] = {
    let mut names = [""; EVENT_TYPES.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = EVENT_TYPES[place].name;
        place += 1;
    }
    names
};
