//! State machines as data. Pure.
//!
//! One table of transitions drives a resource and prints its diagram.

use schemars::JsonSchema;
use serde::Serialize;

/// A state or trigger with one name for documents, the database and diagrams.
pub trait Named: Copy + PartialEq + 'static {
    fn name(self) -> &'static str;
}

/// A transition from one state to another.
#[derive(Debug, Clone, Copy)]
pub struct Transition<S, T> {
    pub from: S,
    /// Trigger of the transition.
    pub trigger: T,
    pub to: S,
}

/// The states of a resource and the transitions between them; the first state is the initial one.
#[derive(Debug)]
pub struct Machine<S: 'static, T: 'static> {
    pub states: &'static [S],
    pub transitions: &'static [Transition<S, T>],
}

/// The states of a resource and the transitions between them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StateMachine {
    /// The states.
    states: Vec<MachineState>,
    /// The transitions.
    arrows: Vec<MachineArrow>,
}

/// A state of a machine.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MachineState {
    /// Name of the state.
    name: &'static str,
    /// True for the state of a new resource.
    #[serde(rename = "initial")]
    is_initial: bool,
    /// True if no transition leaves the state.
    #[serde(rename = "final")]
    is_final: bool,
}

/// A transition of a machine.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MachineArrow {
    /// State before the transition.
    from: &'static str,
    /// Trigger of the transition.
    trigger: &'static str,
    /// State after the transition.
    to: &'static str,
}

impl<S: Named, T: Named> Machine<S, T> {
    /// Returns the state after a trigger, or `None` if the state does not allow it.
    pub fn after(&self, from: S, trigger: T) -> Option<S> {
        self.transitions.iter().find(|arrow| arrow.from == from && arrow.trigger == trigger).map(|arrow| arrow.to)
    }

    /// Returns the states that allow a trigger.
    pub fn possible(&self, trigger: T) -> impl Iterator<Item = S> {
        self.transitions.iter().filter(move |arrow| arrow.trigger == trigger).map(|arrow| arrow.from)
    }

    /// Returns the shortest path from one state to another as triggers.
    /// The path is empty if the two are equal.
    pub fn path(&self, from: S, to: S) -> Option<Vec<T>> {
        let mut paths: Vec<(S, Vec<T>)> = vec![(from, Vec::new())];
        let mut next = 0;
        while let Some((state, path)) = paths.get(next).cloned() {
            if state == to {
                return Some(path);
            }
            for arrow in self.transitions.iter().filter(|arrow| arrow.from == state) {
                if !paths.iter().any(|(known, _)| *known == arrow.to) {
                    let mut path = path.clone();
                    path.push(arrow.trigger);
                    paths.push((arrow.to, path));
                }
            }
            next += 1;
        }
        None
    }

    /// Returns true if no transition leaves the state.
    pub fn is_final(&self, state: S) -> bool {
        self.transitions.iter().all(|arrow| arrow.from != state)
    }

    /// Returns the state with this name.
    pub fn named(&self, name: &str) -> Option<S> {
        self.states.iter().copied().find(|state| state.name() == name)
    }

    /// Returns the machine for its rendering as JSON.
    pub fn document(&self) -> StateMachine {
        let state = |(place, state): (usize, &S)| MachineState {
            name: state.name(),
            is_initial: place == 0,
            is_final: self.is_final(*state),
        };
        let arrow = |arrow: &Transition<S, T>| MachineArrow {
            from: arrow.from.name(),
            trigger: arrow.trigger.name(),
            to: arrow.to.name(),
        };
        StateMachine {
            states: self.states.iter().enumerate().map(state).collect(),
            arrows: self.transitions.iter().map(arrow).collect(),
        }
    }

    /// Renders the machine as a Mermaid state diagram.
    pub fn mermaid(&self) -> String {
        let mut lines = vec!["stateDiagram-v2".to_owned()];
        lines.extend(self.states.first().map(|state| format!("    [*] --> {}", state.name())));
        lines.extend(
            self.transitions
                .iter()
                .map(|arrow| format!("    {} --> {} : {}", arrow.from.name(), arrow.to.name(), arrow.trigger.name())),
        );
        let ends = self.states.iter().filter(|state| self.is_final(**state));
        lines.extend(ends.map(|state| format!("    {} --> [*]", state.name())));
        lines.join("\n") + "\n"
    }
}
