//! State machines as data. Pure.
//!
//! One table of transitions drives a resource and prints its diagram.

use serde_json::{Value, json};

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

    /// Renders the machine as JSON: `states` (`name`, `initial`, `final`) and `arrows`, the transitions.
    pub fn json(&self) -> Value {
        let states =
            self.states.iter().enumerate().map(
                |(place, state)| json!({"name": state.name(), "initial": place == 0, "final": self.is_final(*state)}),
            );
        let arrows = self
            .transitions
            .iter()
            .map(|arrow| json!({"from": arrow.from.name(), "trigger": arrow.trigger.name(), "to": arrow.to.name()}));
        json!({"states": states.collect::<Vec<_>>(), "arrows": arrows.collect::<Vec<_>>()})
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
