//! Outlooks: a resource's next transition, or the condition it waits for. Pure: each depends only on the given facts.
//!
//! The rules that the background obeys decide here, too. Only the wording of a wait is this module's own.

use bigdecimal::BigDecimal;
use time::OffsetDateTime;

use super::machine::Named;
use super::outputs::scenario::Decision;
use super::outputs::state::{MACHINE as OUTPUTS, State as OutputState};
use super::outputs::{checks, payments};
use super::ports;
use super::requests::progress::Progress;
use super::requests::state::{State as RequestState, Trigger};
use super::requests::{cascade, deadlines, funding};
use super::users::state::ComplianceState;

/// The next transition of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlook {
    /// An automatic transition at a known time.
    Due(NextStep),
    /// A transition with a condition.
    Waiting {
        /// Trigger of the transition.
        trigger: &'static str,
        to: &'static str,
        waits_for: WaitReason,
        /// The transition made instead if the condition is not met in time.
        otherwise: Option<NextStep>,
    },
    /// No transition: the state is final.
    Final,
    /// No transition: a test value blocks the next one.
    Stuck,
    /// No transition until a client triggers one.
    ByHand,
}

/// An automatic transition and its due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextStep {
    pub trigger: &'static str,
    pub to: &'static str,
    pub due_at: OffsetDateTime,
}

/// Condition of a transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    /// Approval of the payee, due at `due_at`; `None` if it is not automatic.
    Approval { user_id: i64, due_at: Option<OffsetDateTime> },
    /// State `working` of the request.
    Request { id: i64, state: RequestState, outlook: Box<Outlook> },
    /// Money in the payer's wallet.
    Money { user_id: i64, currency: String, needed: BigDecimal, available: BigDecimal, before: Option<OffsetDateTime> },
    /// An API call by the payer.
    Call { action: &'static str, before: Option<OffsetDateTime> },
    /// A final state of the `open` outputs. The next one moves at `next_due_at`, if that is known.
    Outputs { open: i64, next_due_at: Option<OffsetDateTime> },
}

/// State of an output, as far as its next transition depends on it.
#[derive(Debug, Clone)]
pub struct OutputFacts {
    pub state: OutputState,
    pub due_at: Option<OffsetDateTime>,
    pub attempts: i32,
    pub decision: Decision,
    pub payee: UserFacts,
    pub request: RequestFacts,
}

/// State of a user, as far as its next transition depends on it.
#[derive(Debug, Clone, Copy)]
pub struct UserFacts {
    pub id: i64,
    pub state: ComplianceState,
    /// Time of the approval.
    pub due_at: Option<OffsetDateTime>,
}

/// State of a payout request, as far as its next transition depends on it.
#[derive(Debug, Clone)]
pub struct RequestFacts {
    pub progress: Progress,
    /// Balance of the payer's wallet.
    pub balance: BigDecimal,
    /// Time of the next check of the payer's wallet.
    pub money_due_at: Option<OffsetDateTime>,
    /// For a draft: time of the last addition of an output.
    pub last_output_at: Option<OffsetDateTime>,
    /// For a working request: time of the next transition of an output.
    pub outputs_due_at: Option<OffsetDateTime>,
    /// For a working request: number of unchecked outputs.
    pub outputs_accepting: i64,
}

/// Returns the outlook of an output.
pub fn of_output(output: &OutputFacts) -> Outlook {
    let (state, request) = (output.state, &output.request.progress);
    if OUTPUTS.is_final(state) {
        return Outlook::Final;
    }
    let is_timed = output.due_at.is_some();
    if let Some(step) = cascade::step_of_output(request.state, state, is_timed) {
        return due(step, request.due_at);
    }
    if state == OutputState::Accepting {
        return of_checks(output);
    }
    if let Some((trigger, to)) = cascade::step_of_output(RequestState::Working, state, is_timed) {
        let outlook = Box::new(of_request(&output.request));
        let waits_for = WaitReason::Request { id: request.id, state: request.state, outlook };
        return Outlook::Waiting { trigger: trigger.name(), to: to.name(), waits_for, otherwise: None };
    }
    match payments::next_step(state, output.decision, output.attempts) {
        Some(step) => due(step, output.due_at),
        None => Outlook::Stuck,
    }
}

/// Returns the outlook of an unchecked output.
fn of_checks(output: &OutputFacts) -> Outlook {
    let UserFacts { id: user_id, state: payee, due_at: approved_at } = output.payee;
    if let Some(step) = checks::decide(checks::payee_at_checks(payee, approved_at, output.due_at), output.decision) {
        return due((step.trigger, step.to), output.due_at);
    }
    let Some(step) = payee.approved().and_then(|approved| checks::decide(approved, output.decision)) else {
        return Outlook::ByHand;
    };
    let waits_for = WaitReason::Approval { user_id, due_at: approved_at };
    Outlook::Waiting { trigger: step.trigger.name(), to: step.to.name(), waits_for, otherwise: None }
}

/// Returns an automatic transition. Without a due time, a client must trigger it.
fn due<T: Named, S: Named>((trigger, to): (T, S), due_at: Option<OffsetDateTime>) -> Outlook {
    let step = |due_at| Outlook::Due(NextStep { trigger: trigger.name(), to: to.name(), due_at });
    due_at.map_or(Outlook::ByHand, step)
}

/// Returns the outlook of a request.
pub fn of_request(request: &RequestFacts) -> Outlook {
    let progress = &request.progress;
    let expires_at = deadlines::expires_at(progress, request.last_output_at);
    if let Some(trigger) = cascade::trigger_at_end(progress) {
        return automatic(progress, trigger, progress.due_at);
    }
    let call = |trigger: Trigger| {
        waiting(progress, trigger, WaitReason::Call { action: trigger.name(), before: expires_at }, expires_at)
    };
    match progress.state {
        RequestState::Draft => call(Trigger::RequestQuote),
        RequestState::Quoted => call(Trigger::AcceptQuote),
        RequestState::QuoteAccepted => {
            let funded_at = request.money_due_at.map(|filled_at| funding::funded_at(progress, filled_at));
            let funded_at = funded_at.filter(|at| funding::can_fund(progress, *at, &request.balance));
            if funded_at.is_some() {
                return automatic(progress, Trigger::Fund, funded_at);
            }
            let money = WaitReason::Money {
                user_id: progress.user_id,
                currency: ports::currency(&progress.port_code).to_owned(),
                needed: funding::needed(progress),
                available: request.balance.clone(),
                before: expires_at,
            };
            waiting(progress, Trigger::Fund, money, expires_at)
        }
        // its cascade does not end yet
        RequestState::QuoteRequested | RequestState::Working => {
            let next_due_at = progress.due_at.into_iter().chain(request.outputs_due_at).min();
            if next_due_at.is_none() && request.outputs_accepting == 0 {
                return Outlook::Stuck;
            }
            let outputs = WaitReason::Outputs { open: progress.outputs_open, next_due_at };
            waiting(progress, Trigger::Finish, outputs, None)
        }
        RequestState::Finished | RequestState::Cancelled => Outlook::Final,
    }
}
/// Returns an automatic transition of a request.
fn automatic(progress: &Progress, trigger: Trigger, due_at: Option<OffsetDateTime>) -> Outlook {
    progress.after(trigger).map_or(Outlook::ByHand, |to| due((trigger, to), due_at))
}

/// Returns a transition of a request with a condition. The request expires at `expires_at` otherwise.
fn waiting(
    progress: &Progress,
    trigger: Trigger,
    waits_for: WaitReason,
    expires_at: Option<OffsetDateTime>,
) -> Outlook {
    let Ok(to) = progress.after(trigger) else { return Outlook::ByHand };
    let expiry = progress.after(Trigger::Expire).ok().zip(expires_at);
    let otherwise = expiry.map(|(to, due_at)| NextStep { trigger: Trigger::Expire.name(), to: to.name(), due_at });
    Outlook::Waiting { trigger: trigger.name(), to: to.name(), waits_for, otherwise }
}

/// Returns the outlook of a user.
pub fn of_user(user: &UserFacts) -> Outlook {
    match user.state.approved().zip(user.due_at) {
        Some((to, due_at)) => Outlook::Due(NextStep { trigger: to.verb(), to: to.name(), due_at }),
        None => Outlook::ByHand,
    }
}

/// Returns the outlook of a withdrawal instruction.
pub const fn of_instruction(is_deleted: bool) -> Outlook {
    if is_deleted { Outlook::Final } else { Outlook::ByHand }
}
