//! Outlooks: a resource's next transition, or the condition it waits for. Pure: each depends only on the given facts.

use bigdecimal::BigDecimal;
use time::OffsetDateTime;

use crate::concierge::machine::Named;
use crate::concierge::outputs::scenario::Decision;
use crate::concierge::outputs::state as outputs;
use crate::concierge::outputs::state::{CheckResult, check};
use crate::concierge::ports;
use crate::concierge::requests::progress::Progress;
use crate::concierge::requests::quote::prune_at;
use crate::concierge::requests::state as requests;
use crate::concierge::users::state::ComplianceState;

/// The next transition of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlook {
    /// An automatic transition at a known time.
    Due(Step),
    /// A transition with a condition.
    Waiting {
        /// Trigger of the transition.
        trigger: &'static str,
        to: &'static str,
        waits_for: Wait,
        /// The transition made instead if the condition is not met in time.
        otherwise: Option<Step>,
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
pub struct Step {
    pub trigger: &'static str,
    pub to: &'static str,
    pub due_at: OffsetDateTime,
}

/// Condition of a transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Approval of the payee, due at `due_at`; `None` if it is not automatic.
    Approval { user_id: i64, due_at: Option<OffsetDateTime> },
    /// State `working` of the request.
    Request { id: i64, state: requests::State, outlook: Box<Outlook> },
    /// Money in the payer's wallet.
    Money { user_id: i64, currency: String, needed: BigDecimal, available: BigDecimal, before: Option<OffsetDateTime> },
    /// An API call by the payer.
    Call { action: &'static str, before: Option<OffsetDateTime> },
    /// A final state of the `open` outputs. The next one moves at `next_due_at`, if that is known.
    Outputs { open: i64, next_due_at: Option<OffsetDateTime> },
}

/// Facts about an output.
#[derive(Debug, Clone)]
pub struct Output {
    pub state: outputs::State,
    pub due_at: Option<OffsetDateTime>,
    pub attempts: i32,
    pub decision: Decision,
    pub payee: User,
    pub request: Request,
}

/// Facts about a user.
#[derive(Debug, Clone, Copy)]
pub struct User {
    pub id: i64,
    pub state: ComplianceState,
    /// Time of the approval.
    pub due_at: Option<OffsetDateTime>,
}

/// Facts about a request.
#[derive(Debug, Clone)]
pub struct Request {
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
pub fn of_output(output: &Output) -> Outlook {
    if outputs::MACHINE.is_final(output.state) {
        return Outlook::Final;
    }
    let progress = &output.request.progress;
    if progress.state == requests::State::Cancelled {
        // the request's cascade cancels the output
        return due(output.state, outputs::Trigger::Cancel, progress.due_at);
    }
    match (output.state, output.due_at) {
        (outputs::State::Accepting, _) => of_checks(output),
        (outputs::State::Accepted, None) if progress.state == requests::State::Working => {
            due(output.state, outputs::Trigger::Work, progress.due_at)
        }
        (outputs::State::Accepted, None) => Outlook::Waiting {
            trigger: outputs::Trigger::Work.name(),
            to: outputs::State::Working.name(),
            waits_for: Wait::Request {
                id: progress.id,
                state: progress.state,
                outlook: Box::new(of_request(&output.request)),
            },
            otherwise: None,
        },
        (_, due_at) => match outputs::next(output.state, output.decision.scenario, output.attempts) {
            Some(trigger) => due(output.state, trigger, due_at),
            None => Outlook::Stuck,
        },
    }
}

/// Returns the outlook of an unchecked output.
fn of_checks(output: &Output) -> Outlook {
    let User { id: user_id, state: payee, due_at } = output.payee;
    // an approval due at the same time comes first
    let is_approved_first =
        due_at.zip(output.due_at).is_some_and(|(approved_at, checked_at)| approved_at <= checked_at);
    let approved = payee.approved().unwrap_or(payee);
    let decide = |payee| match check(payee, output.decision) {
        CheckResult::Accepted => Some(outputs::Trigger::Accept),
        CheckResult::Rejected { .. } => Some(outputs::Trigger::Reject),
        CheckResult::Deferred => None,
    };
    if let Some(trigger) = decide(if is_approved_first { approved } else { payee }) {
        return due(output.state, trigger, output.due_at);
    }
    let trigger = decide(approved);
    let Some((trigger, to)) =
        trigger.and_then(|trigger| Some((trigger, outputs::MACHINE.after(output.state, trigger)?)))
    else {
        return Outlook::ByHand;
    };
    let waits_for = Wait::Approval { user_id, due_at };
    Outlook::Waiting { trigger: trigger.name(), to: to.name(), waits_for, otherwise: None }
}

/// Returns an automatic transition of an output. Without a due time, a client must trigger it.
fn due(from: outputs::State, trigger: outputs::Trigger, due_at: Option<OffsetDateTime>) -> Outlook {
    match outputs::MACHINE.after(from, trigger).zip(due_at) {
        Some((to, due_at)) => Outlook::Due(Step { trigger: trigger.name(), to: to.name(), due_at }),
        None => Outlook::ByHand,
    }
}

/// Returns the outlook of a request.
pub fn of_request(request: &Request) -> Outlook {
    let progress = &request.progress;
    let step = |trigger: requests::Trigger, due_at: Option<OffsetDateTime>| {
        let to = requests::MACHINE.after(progress.state, trigger)?;
        Some(Step { trigger: trigger.name(), to: to.name(), due_at: due_at? })
    };
    let due = |trigger, due_at| step(trigger, due_at).map_or(Outlook::ByHand, Outlook::Due);
    let waiting = |trigger: requests::Trigger, waits_for, expires_at| {
        let Some(to) = requests::MACHINE.after(progress.state, trigger) else { return Outlook::ByHand };
        let otherwise = step(requests::Trigger::Expire, expires_at);
        Outlook::Waiting { trigger: trigger.name(), to: to.name(), waits_for, otherwise }
    };
    let call =
        |trigger: requests::Trigger, before| waiting(trigger, Wait::Call { action: trigger.name(), before }, before);
    match progress.state {
        requests::State::Draft => {
            // each new output postpones the expiry
            let pruned_at = progress.due_at.max(request.last_output_at.map(prune_at));
            call(requests::Trigger::RequestQuote, pruned_at)
        }
        requests::State::QuoteRequested => due(requests::Trigger::Quote, progress.due_at),
        requests::State::Quoted => call(requests::Trigger::AcceptQuote, progress.due_at),
        requests::State::QuoteAccepted => {
            let needed = progress.total_to_spend.clone().unwrap_or_default();
            let given_at =
                request.money_due_at.map(|at| progress.quote_accepted_at.map_or(at, |accepted| accepted.max(at)));
            if given_at.is_some() && request.balance >= needed {
                return due(requests::Trigger::Fund, given_at);
            }
            let currency = ports::currency(&progress.port_code).to_owned();
            let (user_id, available, before) = (progress.user_id, request.balance.clone(), progress.due_at);
            let money = Wait::Money { user_id, currency, needed, available, before };
            waiting(requests::Trigger::Fund, money, before)
        }
        requests::State::Working if progress.outputs_open == 0 => due(requests::Trigger::Finish, progress.due_at),
        requests::State::Working => {
            let next_due_at = [progress.due_at, request.outputs_due_at].into_iter().flatten().min();
            if next_due_at.is_none() && request.outputs_accepting == 0 {
                return Outlook::Stuck;
            }
            waiting(requests::Trigger::Finish, Wait::Outputs { open: progress.outputs_open, next_due_at }, None)
        }
        requests::State::Finished | requests::State::Cancelled => Outlook::Final,
    }
}

/// Returns the outlook of a user.
pub fn of_user(user: &User) -> Outlook {
    match user.state.approved().zip(user.due_at) {
        Some((to, due_at)) => Outlook::Due(Step { trigger: to.verb(), to: to.name(), due_at }),
        None => Outlook::ByHand,
    }
}

/// Returns the outlook of a withdrawal instruction.
pub const fn of_instruction(is_deleted: bool) -> Outlook {
    if is_deleted { Outlook::Final } else { Outlook::ByHand }
}
