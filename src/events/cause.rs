//! Causes of events. Pure.

use std::sync::Arc;

/// The kind of a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CauseKind {
    /// A call of the API.
    Request,
    /// A due time.
    Timer,
    /// Available money.
    Money,
    /// A call of the control plane.
    Simulation,
}

/// Every kind.
pub const KINDS: [CauseKind; 4] = [CauseKind::Request, CauseKind::Timer, CauseKind::Money, CauseKind::Simulation];

crate::json_by_name!(
    CauseKind,
    KINDS.map(CauseKind::name),
    "Kind of a cause: a call of the API, a due time, available money, or a call of the control plane."
);

impl CauseKind {
    /// Returns the name used by the store and the control plane.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Timer => "timer",
            Self::Money => "money",
            Self::Simulation => "simulation",
        }
    }

    /// Returns the kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name() == name)
    }
}

/// The cause of an event. The events of a cascade share the cause of its first change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    pub kind: CauseKind,
    /// `X-Request-Id` of a call, or the decision that chose a timed step.
    pub by: Option<Arc<str>>,
}

impl Cause {
    /// A due time, with one possible step.
    pub const TIMER: Self = Self { kind: CauseKind::Timer, by: None };
    /// Available money.
    pub const MONEY: Self = Self { kind: CauseKind::Money, by: None };

    /// Returns the cause for a call of the API with this `X-Request-Id`.
    pub fn request(id: &Arc<str>) -> Self {
        Self { kind: CauseKind::Request, by: Some(Arc::clone(id)) }
    }

    /// Returns the cause for a call of the control plane with this `X-Request-Id`.
    pub fn simulation(id: &Arc<str>) -> Self {
        Self { kind: CauseKind::Simulation, by: Some(Arc::clone(id)) }
    }
}
