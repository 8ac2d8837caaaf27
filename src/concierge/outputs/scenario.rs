//! Test values: what is reserved to make a payment go another way than the happy path, and which of several decides.
//! Pure.

/// How a payment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// The happy path, also where nothing is reserved.
    Settled,
    Rejected,
    Failed,
    FailedThenSettled,
    Returned,
    Stuck,
    Cancelled,
}

/// What asks for a scenario, by what carries it.
#[derive(Debug, Clone, Copy)]
pub struct TestValue {
    pub scenario: Scenario,
    /// The value of the header.
    pub name: &'static str,
    /// The `label` of the instruction.
    pub label: &'static str,
    /// The `bank_account_number` in the instruction's body: what types SANDBOX on a telephone, and three digits that say
    /// which one.
    pub bank_account_number: &'static str,
    /// The payee's e-mail address, up to the `@`.
    pub email: &'static str,
    /// What happens.
    pub what: &'static str,
}

/// Every scenario, in the order of the enum.
pub const TEST_VALUES: [TestValue; 7] = [
    TestValue {
        scenario: Scenario::Settled,
        name: "settled",
        label: "sandbox:settled",
        bank_account_number: "7263269000",
        email: "sandbox.settled",
        what: "the happy path, as with every other value: `settled`",
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
        what: "each of three tries fails, then the money goes back: `returned`",
    },
    TestValue {
        scenario: Scenario::FailedThenSettled,
        name: "failed|settled",
        label: "sandbox:failed|settled",
        bank_account_number: "7263269003",
        // a `|` is nothing that forms take for an address
        email: "sandbox.failed-settled",
        what: "the first try fails, the retry succeeds: `settled`",
    },
    TestValue {
        scenario: Scenario::Returned,
        name: "returned",
        label: "sandbox:returned",
        bank_account_number: "7263269004",
        email: "sandbox.returned",
        what: "the first try fails and the money goes back at once: `returned`",
    },
    TestValue {
        scenario: Scenario::Stuck,
        name: "stuck",
        label: "sandbox:stuck",
        bank_account_number: "7263269005",
        email: "sandbox.stuck",
        what: "the bank never confirms: it stays `settling`, its request `working`",
    },
    TestValue {
        scenario: Scenario::Cancelled,
        name: "cancelled",
        label: "sandbox:cancelled",
        bank_account_number: "7263269006",
        email: "sandbox.cancelled",
        what: "called off while `working`: `cancelled`, the budget comes back",
    },
];

/// Where a scenario was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Header,
    Label,
    BankAccountNumber,
    Email,
    /// Nowhere.
    Default,
}

/// What decides, the first first.
pub const PRECEDENCE: [Source; 5] =
    [Source::Header, Source::Label, Source::BankAccountNumber, Source::Email, Source::Default];

impl Source {
    /// The name the control plane uses.
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

/// What a payment comes with that may ask for a scenario.
#[derive(Debug, Clone, Copy, Default)]
pub struct Carriers<'a> {
    /// The `Sandbox-Outcome` of the call that made the output.
    pub header: Option<&'a str>,
    pub label: Option<&'a str>,
    pub bank_account_number: Option<&'a str>,
    /// The payee's whole address.
    pub email: Option<&'a str>,
}

impl Carriers<'_> {
    /// Whether a source asks for a scenario. What follows a `#` in a label, or a `+` or `#` in an e-mail address, is the
    /// client's own; an address is the same in capitals.
    fn ask_for(&self, wanted: &TestValue, source: Source) -> bool {
        let is = |found: Option<&str>, wanted: &str| found == Some(wanted);
        match source {
            Source::Header => is(self.header, wanted.name),
            Source::Label => is(self.label.and_then(|label| label.split('#').next()), wanted.label),
            Source::BankAccountNumber => is(self.bank_account_number, wanted.bank_account_number),
            Source::Email => {
                let local = self.email.and_then(|email| email.split(['@', '+', '#']).next());
                local.is_some_and(|local| local.eq_ignore_ascii_case(wanted.email))
            }
            Source::Default => wanted.scenario == Scenario::Settled,
        }
    }
}

/// How a payment goes, and what says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    pub scenario: Scenario,
    pub source: Source,
}

impl Decision {
    /// What asked for the scenario, such as `label sandbox:failed`; `None` where nothing did.
    pub fn asked(self) -> Option<String> {
        Some(format!("{} {}", self.source.name(), self.value()?))
    }

    /// The reserved value that asked for the scenario.
    pub const fn value(self) -> Option<&'static str> {
        let value = &TEST_VALUES[self.scenario as usize];
        match self.source {
            Source::Header => Some(value.name),
            Source::Label => Some(value.label),
            Source::BankAccountNumber => Some(value.bank_account_number),
            Source::Email => Some(value.email),
            Source::Default => None,
        }
    }
}

impl Scenario {
    /// The scenario of that name.
    pub fn named(name: &str) -> Option<Self> {
        TEST_VALUES.iter().find(|value| value.name == name).map(|value| value.scenario)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        TEST_VALUES[self as usize].name
    }

    /// The scenario that a payment's carriers ask for: the first of them, in the order of [`PRECEDENCE`], that holds a
    /// reserved value.
    pub fn of(carriers: &Carriers<'_>) -> Decision {
        let asked = PRECEDENCE.into_iter().find_map(|source| {
            let value = TEST_VALUES.iter().find(|value| carriers.ask_for(value, source))?;
            Some(Decision { scenario: value.scenario, source })
        });
        asked.unwrap_or(Decision { scenario: Self::Settled, source: Source::Default })
    }
}
