//! Names of states and triggers in timelines, of all subjects together.

use super::trace::{CREATE, CREATED, DELETED, DESTROY};
use crate::concierge::machine::{Machine, Named};
use crate::concierge::users::state::ComplianceState;
use crate::concierge::{outputs, requests};

/// State of a resource with a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateName(pub &'static str);

impl StateName {
    const fn name(self) -> &'static str {
        self.0
    }
}

/// Trigger of a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriggerName(pub &'static str);

impl TriggerName {
    const fn name(self) -> &'static str {
        self.0
    }
}

crate::json_by_name!(StateName, states(), "State of an output, a request, a user or a withdrawal instruction.");
crate::json_by_name!(TriggerName, triggers(), "Trigger of a transition.");

/// States of users.
const USERS: [ComplianceState; 4] =
    [ComplianceState::New, ComplianceState::Enabled, ComplianceState::Disabled, ComplianceState::Rejected];

fn states() -> Vec<&'static str> {
    let machines = outputs::state::NAMES.into_iter().chain(requests::state::NAMES);
    once_each(machines.chain(USERS.map(ComplianceState::name)).chain([CREATED, DELETED]))
}

fn triggers() -> Vec<&'static str> {
    fn of<S: Named, T: Named>(machine: &Machine<S, T>) -> impl Iterator<Item = &'static str> {
        machine.transitions.iter().map(|arrow| arrow.trigger.name())
    }
    let machines = of(&outputs::state::MACHINE).chain(of(&requests::state::MACHINE));
    once_each([CREATE].into_iter().chain(machines).chain(USERS.map(ComplianceState::verb)).chain([DESTROY]))
}

fn once_each(names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut all = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}
