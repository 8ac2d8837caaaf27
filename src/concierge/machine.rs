//! State machines as data: the one table of arrows that drives a resource is also what its diagram is printed from.
//! Pure.

use serde_json::{Value, json};

/// Something with a name that documents, the store and diagrams share.
pub trait Named: Copy + PartialEq + 'static {
    fn name(self) -> &'static str;
}

/// A way from one state to another.
#[derive(Debug, Clone, Copy)]
pub struct Arrow<S, T> {
    pub from: S,
    /// What makes it happen.
    pub trigger: T,
    pub to: S,
}

/// The states of a resource and the arrows between them. The first state is the one it begins in.
#[derive(Debug)]
pub struct Machine<S: 'static, T: 'static> {
    pub states: &'static [S],
    pub arrows: &'static [Arrow<S, T>],
}

impl<S: Named, T: Named> Machine<S, T> {
    /// Where a trigger leads from a state, if it can happen there.
    pub fn after(&self, from: S, trigger: T) -> Option<S> {
        self.arrows.iter().find(|arrow| arrow.from == from && arrow.trigger == trigger).map(|arrow| arrow.to)
    }

    /// The states in which a trigger can happen.
    pub fn possible(&self, trigger: T) -> impl Iterator<Item = S> {
        self.arrows.iter().filter(move |arrow| arrow.trigger == trigger).map(|arrow| arrow.from)
    }

    /// The shortest way from one state to another, along arrows; the way to where it is already has no arrow.
    pub fn way(&self, from: S, to: S) -> Option<Vec<T>> {
        let mut ways: Vec<(S, Vec<T>)> = vec![(from, Vec::new())];
        let mut next = 0;
        while let Some((state, way)) = ways.get(next).cloned() {
            if state == to {
                return Some(way);
            }
            for arrow in self.arrows.iter().filter(|arrow| arrow.from == state) {
                if !ways.iter().any(|(known, _)| *known == arrow.to) {
                    let mut way = way.clone();
                    way.push(arrow.trigger);
                    ways.push((arrow.to, way));
                }
            }
            next += 1;
        }
        None
    }

    /// Whether no arrow leaves a state.
    pub fn is_final(&self, state: S) -> bool {
        self.arrows.iter().all(|arrow| arrow.from != state)
    }

    /// The state of that name.
    pub fn named(&self, name: &str) -> Option<S> {
        self.states.iter().copied().find(|state| state.name() == name)
    }

    /// The machine as JSON: `states` (each with its name and whether it is initial or final) and `arrows`.
    pub fn json(&self) -> Value {
        let states =
            self.states.iter().enumerate().map(
                |(place, state)| json!({"name": state.name(), "initial": place == 0, "final": self.is_final(*state)}),
            );
        let arrows = self
            .arrows
            .iter()
            .map(|arrow| json!({"from": arrow.from.name(), "trigger": arrow.trigger.name(), "to": arrow.to.name()}));
        json!({"states": states.collect::<Vec<_>>(), "arrows": arrows.collect::<Vec<_>>()})
    }

    /// The machine as a Mermaid state diagram.
    pub fn mermaid(&self) -> String {
        let mut lines = vec!["stateDiagram-v2".to_owned()];
        lines.extend(self.states.first().map(|state| format!("    [*] --> {}", state.name())));
        lines.extend(
            self.arrows
                .iter()
                .map(|arrow| format!("    {} --> {} : {}", arrow.from.name(), arrow.to.name(), arrow.trigger.name())),
        );
        let ends = self.states.iter().filter(|state| self.is_final(**state));
        lines.extend(ends.map(|state| format!("    {} --> [*]", state.name())));
        lines.join("\n") + "\n"
    }
}
