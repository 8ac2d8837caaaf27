//! The states of a request. Pure.

/// Where a request is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Being put together: the only state in which outputs can be added.
    Draft,
    QuoteRequested,
    Quoted,
    QuoteAccepted,
    Working,
    Finished,
    Cancelled,
}

/// The names of all states, in the order of life.
pub const NAMES: [&str; 7] =
    ["draft", "quote_requested", "quoted", "quote_accepted", "working", "finished", "cancelled"];

const ALL: [State; 7] = [
    State::Draft,
    State::QuoteRequested,
    State::Quoted,
    State::QuoteAccepted,
    State::Working,
    State::Finished,
    State::Cancelled,
];

impl State {
    /// The name documents and the store use.
    pub const fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether outputs can be added.
    pub const fn takes_outputs(self) -> bool {
        matches!(self, Self::Draft)
    }
}
