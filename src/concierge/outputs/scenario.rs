//! Test values: reserved values that select the scenario of a payment, and their precedence. Pure.

/// Scenario of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// The happy path, also without a test value.
    Settled,
    Rejected,
    Failed,
    FailedThenSettled,
    Returned,
    Stuck,
    Cancelled,
}

/// The test values of a scenario, one for each carrier.
#[derive(Debug, Clone, Copy)]
pub struct TestValue {
    pub scenario: Scenario,
    /// Value of the header.
    pub name: &'static str,
    /// `label` of the instruction.
    pub label: &'static str,
    /// `bank_account_number` in the instruction's body.
    /// It is SANDBOX on a telephone keypad (7263269) and a three-digit scenario code.
    pub bank_account_number: &'static str,
    /// The payee's e-mail address up to the `@`.
    pub email: &'static str,
    /// Description of the scenario.
    pub what: &'static str,
}

/// All scenarios, in the order of [`Scenario`].
pub const TEST_VALUES: [TestValue; 7] = [
    TestValue {
        scenario: Scenario::Settled,
        name: "settled",
        label: "sandbox:settled",
        bank_account_number: "7263269000",
        email: "sandbox.settled",
        what: "the happy path, as with any unreserved value: `settled`",
    },
    TestValue {
        scenario: Scenario::Rejected,
        name: "rejected",
        label: "sandbox:rejected",
        bank_account_number: "7263269001",
        email: "sandbox.rejected",
        what: "the preliminary checks fail: `rejected`",
    },
    TestValue {
        scenario: Scenario::Failed,
        name: "failed",
        label: "sandbox:failed",
        bank_account_number: "7263269002",
        email: "sandbox.failed",
        what: "all three attempts fail, then the money is refunded: `returned`",
    },
    TestValue {
        scenario: Scenario::FailedThenSettled,
        name: "failed|settled",
        label: "sandbox:failed|settled",
        bank_account_number: "7263269003",
        // web forms refuse a `|` in an address
        email: "sandbox.failed-settled",
        what: "the first attempt fails, the retry succeeds: `settled`",
    },
    TestValue {
        scenario: Scenario::Returned,
        name: "returned",
        label: "sandbox:returned",
        bank_account_number: "7263269004",
        email: "sandbox.returned",
        what: "the first attempt fails and the money is refunded at once: `returned`",
    },
    TestValue {
        scenario: Scenario::Stuck,
        name: "stuck",
        label: "sandbox:stuck",
        bank_account_number: "7263269005",
        email: "sandbox.stuck",
        what: "the bank never confirms: the output stays `settling`, its request `working`",
    },
    TestValue {
        scenario: Scenario::Cancelled,
        name: "cancelled",
        label: "sandbox:cancelled",
        bank_account_number: "7263269006",
        email: "sandbox.cancelled",
        what: "cancelled while `working`, the budget is refunded: `cancelled`",
    },
];

/// Names of all scenarios, in the order of [`Scenario`].
pub static SCENARIOS: [&str; TEST_VALUES.len()] = {
    let mut names = [""; TEST_VALUES.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = TEST_VALUES[place].name;
        place += 1;
    }
    names
};

/// ScenarioSource of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScenarioSource {
    Header,
    Label,
    BankAccountNumber,
    Email,
    /// No test value.
    Default,
}

/// Sources by precedence, the deciding one first.
pub const PRECEDENCE: [ScenarioSource; 5] = [
    ScenarioSource::Header,
    ScenarioSource::Label,
    ScenarioSource::BankAccountNumber,
    ScenarioSource::Email,
    ScenarioSource::Default,
];

crate::json_by_name!(
    ScenarioSource,
    PRECEDENCE.map(ScenarioSource::name),
    "Carrier of a test value; `default` is a payment without one."
);

impl ScenarioSource {
    /// Returns the name for the control plane.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Label => "label",
            Self::BankAccountNumber => "bank_account_number",
            Self::Email => "email",
            Self::Default => "default",
        }
    }
}

/// Values of a payment that may be test values.
#[derive(Debug, Clone, Copy, Default)]
pub struct Carriers<'a> {
    /// `Sandbox-Outcome` of the call that created the output.
    pub header: Option<&'a str>,
    pub label: Option<&'a str>,
    pub bank_account_number: Option<&'a str>,
    /// The payee's complete e-mail address.
    pub email: Option<&'a str>,
}

impl Carriers<'_> {
    /// Returns true if a source holds the test value.
    /// Text after `#` in a label, or after `+` or `#` in an e-mail address, is ignored.
    /// E-mail addresses are compared without case.
    fn ask_for(&self, wanted: &TestValue, source: ScenarioSource) -> bool {
        let is = |found: Option<&str>, wanted: &str| found == Some(wanted);
        match source {
            ScenarioSource::Header => is(self.header, wanted.name),
            ScenarioSource::Label => is(self.label.and_then(|label| label.split('#').next()), wanted.label),
            ScenarioSource::BankAccountNumber => is(self.bank_account_number, wanted.bank_account_number),
            ScenarioSource::Email => {
                let local = self.email.and_then(|email| email.split(['@', '+', '#']).next());
                local.is_some_and(|local| local.eq_ignore_ascii_case(wanted.email))
            }
            ScenarioSource::Default => wanted.scenario == Scenario::Settled,
        }
    }
}

/// The scenario of a payment and its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    pub scenario: Scenario,
    pub source: ScenarioSource,
}

impl Decision {
    /// Returns source and test value, such as `label sandbox:failed`; `None` without a test value.
    pub fn asked(self) -> Option<String> {
        Some(format!("{} {}", self.source.name(), self.value()?))
    }

    /// Returns the test value; `None` for the default.
    pub const fn value(self) -> Option<&'static str> {
        let value = &TEST_VALUES[self.scenario as usize];
        match self.source {
            ScenarioSource::Header => Some(value.name),
            ScenarioSource::Label => Some(value.label),
            ScenarioSource::BankAccountNumber => Some(value.bank_account_number),
            ScenarioSource::Email => Some(value.email),
            ScenarioSource::Default => None,
        }
    }
}

crate::json_by_name!(Scenario, TEST_VALUES.map(|value| value.name), "Scenario of a payment.");

impl Scenario {
    /// Returns the scenario with this name.
    pub fn named(name: &str) -> Option<Self> {
        TEST_VALUES.iter().find(|value| value.name == name).map(|value| value.scenario)
    }

    /// Returns the name of the scenario.
    pub const fn name(self) -> &'static str {
        TEST_VALUES[self as usize].name
    }

    /// Returns the scenario of the first carrier with a test value, in the order of [`PRECEDENCE`].
    pub fn of(carriers: &Carriers<'_>) -> Decision {
        let asked = PRECEDENCE.into_iter().find_map(|source| {
            let value = TEST_VALUES.iter().find(|value| carriers.ask_for(value, source))?;
            Some(Decision { scenario: value.scenario, source })
        });
        asked.unwrap_or(Decision { scenario: Self::Settled, source: ScenarioSource::Default })
    }
}
