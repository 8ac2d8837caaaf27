//! The progress of a request in the database: whether its failure may hide a change.
//!
//! A request that failed before its change was sent can be repeated. After that, nobody knows: the change may be stored
//! although its answer was lost. The progress belongs to the task of the request, so stores need not pass it on.

use std::sync::Arc;

use parking_lot::Mutex;

tokio::task_local! {
    static CURRENT: Progress;
}

/// The progress of one request. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// The request changes nothing, as a GET.
    is_safe: bool,
    /// An earlier change of the request is stored, or may be.
    is_changed: bool,
    stage: Stage,
}

/// The stage of the present work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No work, or work that can be repeated.
    Idle,
    /// A statement outside of a transaction: it commits itself.
    Statement,
    /// A transaction before its commit: its loss is its rollback.
    Open,
    /// The commit is sent.
    Committing,
}

impl Progress {
    /// Returns the progress of a new request. `is_safe`: it changes nothing.
    pub fn new(is_safe: bool) -> Self {
        Self(Arc::new(Mutex::new(State { is_safe, is_changed: false, stage: Stage::Idle })))
    }

    /// Returns the progress of this task's request, or a new one outside of requests.
    pub fn current() -> Self {
        CURRENT.try_with(Self::clone).unwrap_or_else(|_| Self::new(false))
    }

    /// Runs the work of a request. The progress is the current one in it.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// Returns whether the request may have changed something, if the answer to its present work is lost.
    pub fn may_have_changed(&self) -> bool {
        let state = self.0.lock();
        !state.is_safe && (state.is_changed || matches!(state.stage, Stage::Statement | Stage::Committing))
    }

    /// Returns whether the request changed something before its present work.
    pub fn is_changed(&self) -> bool {
        let state = self.0.lock();
        !state.is_safe && state.is_changed
    }

    /// Returns whether a commit is on its way.
    pub(super) fn is_committing(&self) -> bool {
        self.0.lock().stage == Stage::Committing
    }

    /// Notes that work begins, and that it may change something.
    pub(super) fn begin(&self) {
        self.0.lock().stage = Stage::Statement;
    }

    /// Notes that the work opens a transaction.
    pub(super) fn open(&self) {
        let mut state = self.0.lock();
        if state.stage == Stage::Statement {
            state.stage = Stage::Open;
        }
    }

    /// Notes that the commit is sent.
    pub(super) fn commit(&self) {
        let mut state = self.0.lock();
        if state.stage == Stage::Open {
            state.stage = Stage::Committing;
        }
    }

    /// Notes that the commit was acknowledged.
    pub(super) fn committed(&self) {
        let mut state = self.0.lock();
        if state.stage == Stage::Committing {
            state.stage = Stage::Statement;
            state.is_changed = true;
        }
    }

    /// Notes the end of the work. `is_changed`: it changed something, or may have.
    pub(super) fn end(&self, is_changed: bool) {
        let mut state = self.0.lock();
        state.stage = Stage::Idle;
        state.is_changed |= is_changed;
    }
}
