//! Why something happened. Pure.

use std::sync::Arc;

/// What set something off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call of the API.
    Request,
    /// Its time had come.
    Timer,
    /// Money was there for it.
    Money,
    /// A call of the control plane.
    Simulation,
}

/// Every kind.
pub const KINDS: [Kind; 4] = [Kind::Request, Kind::Timer, Kind::Money, Kind::Simulation];

impl Kind {
    /// The name the store and the control plane use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Timer => "timer",
            Self::Money => "money",
            Self::Simulation => "simulation",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name() == name)
    }
}

/// What set something off, and by what: the `X-Request-Id` of a call, or what decided which way a timer's step went.
/// What something takes along has its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    pub kind: Kind,
    pub by: Option<Arc<str>>,
}

impl Cause {
    /// Its time had come, and there was one way to go.
    pub const TIMER: Self = Self { kind: Kind::Timer, by: None };
    /// Money was there for it.
    pub const MONEY: Self = Self { kind: Kind::Money, by: None };

    /// A call of the API, by its `X-Request-Id`.
    pub fn request(id: &Arc<str>) -> Self {
        Self { kind: Kind::Request, by: Some(Arc::clone(id)) }
    }

    /// A call of the control plane, by its `X-Request-Id`.
    pub fn simulation(id: &Arc<str>) -> Self {
        Self { kind: Kind::Simulation, by: Some(Arc::clone(id)) }
    }
}
