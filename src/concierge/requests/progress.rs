//! Transitions of a request along its state machine. Pure.

use std::time::Duration;

use bigdecimal::BigDecimal;
use time::OffsetDateTime;

use super::quote::Timetable;
use super::state;
use super::state::{MACHINE, State, Trigger};
use crate::accounts::timing::Timing;
use crate::concierge::impossible::ImpossibleTransition;
use crate::concierge::machine::Named;
use crate::events::Cause;

/// The part of a request that transitions change.
#[derive(Debug, Clone)]
pub struct Progress {
    pub account_id: i64,
    pub id: i64,
    /// The payer.
    pub user_id: i64,
    /// Origin port of the money.
    pub port_code: String,
    pub state: State,
    pub state_since: Option<OffsetDateTime>,
    /// Due time of the next transition.
    pub due_at: Option<OffsetDateTime>,
    /// Cascade cursor: the id of the last output done, 0 at the start, `None` outside of a cascade.
    pub outputs_done_to: Option<i64>,
    pub quote_requested_at: Option<OffsetDateTime>,
    pub timetable: Option<Timetable>,
    pub quote_accepted_at: Option<OffsetDateTime>,
    pub cancellation_reason: Option<String>,
    /// The payer's total, in the port's currency.
    pub total_to_spend: Option<BigDecimal>,
    /// The refunded part of the total.
    pub money_returned: BigDecimal,
    /// Prices held by an estimate, as JSON.
    pub held_prices: Option<String>,
    /// Number of non-final outputs while the request works.
    pub outputs_open: i64,
    /// Cause of the next transition.
    pub cause: Cause,
    /// Events since the row was read, not yet recorded.
    pub told: Vec<PendingEvent>,
}

/// An event of a request, not yet recorded.
#[derive(Debug, Clone)]
pub struct PendingEvent {
    pub event_type: &'static str,
    pub at: OffsetDateTime,
    pub cause: Cause,
}

/// A trigger that the present state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotPossible {
    pub state: State,
    pub trigger: Trigger,
}

impl NotPossible {
    /// Returns the error for this request if no client asked for the trigger.
    pub fn of(self, progress: &Progress) -> ImpossibleTransition {
        ImpossibleTransition {
            resource: "request",
            account_id: progress.account_id,
            id: progress.id,
            state: self.state.name(),
            trigger: self.trigger.name(),
        }
    }
}

impl Progress {
    /// Returns the state after a trigger.
    ///
    /// # Errors
    /// [`NotPossible`] if the present state does not allow it.
    pub fn after(&self, trigger: Trigger) -> Result<State, NotPossible> {
        MACHINE.after(self.state, trigger).ok_or(NotPossible { state: self.state, trigger })
    }

    fn apply(&mut self, trigger: Trigger, at: OffsetDateTime) -> Result<(), NotPossible> {
        self.state = self.after(trigger)?;
        self.state_since = Some(at);
        self.due_at = None;
        self.outputs_done_to = None;
        self.record(self.state.event_type(), at);
        Ok(())
    }

    fn record(&mut self, event_type: &'static str, at: OffsetDateTime) {
        self.told.push(PendingEvent { event_type, at, cause: self.cause.clone() });
    }

    /// Applies the payer's request for a quote.
    ///
    /// # Errors
    /// [`NotPossible`] if the present state does not allow it.
    pub fn request_quote(
        &mut self,
        at: OffsetDateTime,
        delay: Duration,
        held_prices: Option<String>,
        timing: &Timing,
    ) -> Result<(), NotPossible> {
        self.apply(Trigger::RequestQuote, at)?;
        let timetable = Timetable::from(at, delay);
        self.quote_requested_at = Some(at);
        self.timetable = Some(timetable);
        self.held_prices = held_prices;
        self.outputs_done_to = Some(0);
        self.due_at = timing.unless_manual(timetable.eta);
        Ok(())
    }

    /// Applies the quote; every output has its price.
    ///
    /// # Errors
    /// [`NotPossible`] if the present state does not allow it.
    pub fn quote(
        &mut self,
        total_to_spend: BigDecimal,
        at: OffsetDateTime,
        timing: &Timing,
    ) -> Result<(), NotPossible> {
        self.apply(Trigger::Quote, at)?;
        self.total_to_spend = Some(total_to_spend);
        // under manual timing a quote may come after its deadline; it then expires at once
        self.due_at = self.timetable.and_then(|timetable| timing.unless_manual(timetable.accept_quote_before.max(at)));
        Ok(())
    }

    /// Applies the payer's acceptance.
    /// It is not possible after the deadline, except under manual timing.
    ///
    /// # Errors
    /// [`NotPossible`] if the present state does not allow it.
    pub fn accept_quote(&mut self, at: OffsetDateTime, timing: &Timing) -> Result<(), NotPossible> {
        let is_late = self.timetable.is_some_and(|timetable| timetable.accept_quote_before <= at);
        if is_late && !timing.is_manual {
            return Err(NotPossible { state: self.state, trigger: Trigger::AcceptQuote });
        }
        self.apply(Trigger::AcceptQuote, at)?;
        self.quote_accepted_at = Some(at);
        self.due_at = self.timetable.and_then(|timetable| timing.unless_manual(timetable.provision_funds_before));
        Ok(())
    }

    /// Starts the work after the money was debited; outputs start after `delay`.
    /// `outputs_open` is the number of non-final outputs, `returned` the refund for rejected ones.
    ///
    /// # Errors
    /// [`NotPossible`] if the present state does not allow it.
    pub fn fund(
        &mut self,
        at: OffsetDateTime,
        delay: Duration,
        outputs_open: i64,
        returned: BigDecimal,
    ) -> Result<(), NotPossible> {
        self.apply(Trigger::Fund, at)?;
        self.outputs_open = outputs_open;
        self.money_returned = returned;
        self.start_cascade(at + delay);
        Ok(())
    }

    /// Counts outputs that became final, the last one at `at`, and their refunds.
    /// Finishes the request after the last.
    ///
    /// # Errors
    /// [`NotPossible`] if the request is not working.
    pub fn close_outputs(&mut self, closed: i64, returned: &BigDecimal, at: OffsetDateTime) -> Result<(), NotPossible> {
        // only a request that can finish has outputs to count
        self.after(Trigger::Finish)?;
        self.outputs_open -= closed;
        self.money_returned += returned;
        if self.outputs_open == 0 { self.finish(at) } else { Ok(()) }
    }

    /// Finishes the request after its last output.
    /// There is a receipt, and a credit note if money was refunded.
    ///
    /// # Errors
    /// [`NotPossible`] if the present state does not allow it.
    pub fn finish(&mut self, at: OffsetDateTime) -> Result<(), NotPossible> {
        self.apply(Trigger::Finish, at)?;
        self.record(state::RECEIPT_CREATED, at);
        if self.has_credit_note() {
            self.record(state::CREDIT_NOTE_CREATED, at);
        }
        Ok(())
    }

    /// Cancels the request for the payer.
    ///
    /// # Errors
    /// [`NotPossible`] if the present state does not allow it.
    pub fn cancel(&mut self, at: OffsetDateTime) -> Result<(), NotPossible> {
        self.apply(Trigger::Cancel, at)?;
        self.cancellation_reason = Some(state::CANCELLED_BY_USER.to_owned());
        self.start_cascade(at);
        Ok(())
    }

    /// Cancels the request after its deadline.
    ///
    /// # Errors
    /// [`NotPossible`] if the present state does not allow it.
    pub fn expire(&mut self, at: OffsetDateTime) -> Result<(), NotPossible> {
        let reason = self.state.expiry();
        self.apply(Trigger::Expire, at)?;
        self.cancellation_reason = Some(reason.to_owned());
        self.start_cascade(at);
        Ok(())
    }

    /// Returns true if the request is finished and money was refunded.
    pub fn has_credit_note(&self) -> bool {
        self.state == State::Finished && self.money_returned > BigDecimal::default()
    }

    fn start_cascade(&mut self, from: OffsetDateTime) {
        self.due_at = Some(from);
        self.outputs_done_to = Some(0);
    }

    /// Ends the cascade to the outputs.
    pub fn end_cascade(&mut self) {
        self.due_at = None;
        self.outputs_done_to = None;
    }
}
