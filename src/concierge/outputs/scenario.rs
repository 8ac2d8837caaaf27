//! Reserved test values: what the label of a withdrawal instruction makes of the payments that use it. Pure.

/// How a payment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// The happy path, also for every label that is no reserved value.
    Settled,
    Rejected,
    Failed,
    FailedThenSettled,
    Returned,
    Stuck,
    Cancelled,
}

/// The reserved values: the label, the scenario, and what happens.
pub const TEST_VALUES: [(&str, Scenario, &str); 6] = [
    ("sandbox:rejected", Scenario::Rejected, "the preliminary checks fail: `rejected`"),
    ("sandbox:failed", Scenario::Failed, "each of three tries fails, then the money goes back: `returned`"),
    ("sandbox:failed|settled", Scenario::FailedThenSettled, "the first try fails, the retry succeeds: `settled`"),
    ("sandbox:returned", Scenario::Returned, "the first try fails and the money goes back at once: `returned`"),
    ("sandbox:stuck", Scenario::Stuck, "the bank never confirms: it stays `settling`, its request `working`"),
    ("sandbox:cancelled", Scenario::Cancelled, "called off while `working`: `cancelled`, the budget comes back"),
];

impl Scenario {
    /// The scenario that a label asks for. What follows a `#` is the client's own.
    pub fn of(label: Option<&str>) -> Self {
        let value = label.and_then(|label| label.split('#').next()).unwrap_or_default();
        let known = TEST_VALUES.iter().find(|(known, ..)| *known == value);
        known.map_or(Self::Settled, |(_, scenario, _)| *scenario)
    }
}
