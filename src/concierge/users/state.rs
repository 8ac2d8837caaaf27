//! Compliance states of users, and the timed transition between them. Pure.

/// Compliance state of a user; only an enabled user can be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComplianceState {
    /// Not reviewed yet.
    New,
    Enabled,
    Disabled,
    Rejected,
}

/// Names of all states, in the order of [`ComplianceState`].
pub const NAMES: [&str; 4] = ["new", "enabled", "disabled", "rejected"];

impl ComplianceState {
    /// Returns the name for documents and the database.
    pub const fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// Returns the state with this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::New, Self::Enabled, Self::Disabled, Self::Rejected].into_iter().find(|state| state.name() == name)
    }

    /// Returns the name of the transition to this state.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::New => "create",
            Self::Enabled => "enable",
            Self::Disabled => "disable",
            Self::Rejected => "reject",
        }
    }

    /// Returns the state after approval, or `None`: only new users are approved.
    pub const fn approved(self) -> Option<Self> {
        match self {
            Self::New => Some(Self::Enabled),
            Self::Enabled | Self::Disabled | Self::Rejected => None,
        }
    }

    /// Returns the type of the event for entering this state.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::New => "user_new",
            Self::Enabled => "user_enabled",
            Self::Disabled => "user_disabled",
            Self::Rejected => "user_rejected",
        }
    }
}
