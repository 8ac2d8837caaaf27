//! The states of a user's compliance, and the arrow that time takes. Pure.

/// Whether a user may be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComplianceState {
    /// Not looked at yet.
    New,
    Enabled,
    Disabled,
    Rejected,
}

impl ComplianceState {
    /// The name documents and the store use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Rejected => "rejected",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::New, Self::Enabled, Self::Disabled, Self::Rejected].into_iter().find(|state| state.name() == name)
    }

    /// What makes a user come to this state.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::New => "create",
            Self::Enabled => "enable",
            Self::Disabled => "disable",
            Self::Rejected => "reject",
        }
    }

    /// What approval makes of it: only a new user is approved.
    pub const fn approved(self) -> Option<Self> {
        match self {
            Self::New => Some(Self::Enabled),
            Self::Enabled | Self::Disabled | Self::Rejected => None,
        }
    }

    /// The type of the event that tells of the arrival in this state.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::New => "user_new",
            Self::Enabled => "user_enabled",
            Self::Disabled => "user_disabled",
            Self::Rejected => "user_rejected",
        }
    }
}
