//! What happens to a request, each step by an arrow of its state machine. Pure.

use std::time::Duration;

use bigdecimal::BigDecimal;
use time::OffsetDateTime;

use super::quote::Timetable;
use super::state::{self, MACHINE, State, Trigger};
use crate::accounts::pace::Pace;
use crate::events::Cause;

/// The part of a request that its life changes.
#[derive(Debug, Clone)]
pub struct Life {
    pub account_id: i64,
    pub id: i64,
    /// The payer.
    pub user_id: i64,
    /// Where the money comes from.
    pub port_code: String,
    pub state: State,
    pub state_since: Option<OffsetDateTime>,
    /// When it moves on by itself.
    pub due_at: Option<OffsetDateTime>,
    /// Where it takes its outputs along: the last one that was done, 0 for none.
    pub outputs_done_to: Option<i64>,
    pub quote_requested_at: Option<OffsetDateTime>,
    pub timetable: Option<Timetable>,
    pub quote_accepted_at: Option<OffsetDateTime>,
    pub cancellation_reason: Option<String>,
    /// What the payer pays, in the port's currency.
    pub total_to_spend: Option<BigDecimal>,
    /// What came back of it.
    pub money_returned: BigDecimal,
    /// The prices an estimate promised, as JSON.
    pub held_prices: Option<String>,
    /// While it works: how many of its outputs are not final.
    pub outputs_open: i64,
    /// What sets off whatever happens to it next.
    pub cause: Cause,
    /// What happened since it was read.
    pub told: Vec<Told>,
}

/// Something that happened to a request.
#[derive(Debug, Clone)]
pub struct Told {
    pub event_type: &'static str,
    pub at: OffsetDateTime,
    pub cause: Cause,
}

/// A trigger that can't happen in the present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotPossible {
    pub state: State,
    pub trigger: Trigger,
}

impl Life {
    /// Where a trigger would lead.
    ///
    /// # Errors
    /// Where it can't happen in the present state.
    pub fn after(&self, trigger: Trigger) -> Result<State, NotPossible> {
        MACHINE.after(self.state, trigger).ok_or(NotPossible { state: self.state, trigger })
    }

    fn go(&mut self, trigger: Trigger, at: OffsetDateTime) -> Result<(), NotPossible> {
        self.state = self.after(trigger)?;
        self.state_since = Some(at);
        self.due_at = None;
        self.outputs_done_to = None;
        self.tell(self.state.event_type(), at);
        Ok(())
    }

    fn tell(&mut self, event_type: &'static str, at: OffsetDateTime) {
        self.told.push(Told { event_type, at, cause: self.cause.clone() });
    }

    /// The payer asks for a quote.
    ///
    /// # Errors
    /// Where that isn't possible.
    pub fn request_quote(
        &mut self,
        at: OffsetDateTime,
        delay: Duration,
        held_prices: Option<String>,
        pace: &Pace,
    ) -> Result<(), NotPossible> {
        self.go(Trigger::RequestQuote, at)?;
        let timetable = Timetable::from(at, delay);
        self.quote_requested_at = Some(at);
        self.timetable = Some(timetable);
        self.held_prices = held_prices;
        self.outputs_done_to = Some(0);
        self.due_at = pace.by_itself(timetable.eta);
        Ok(())
    }

    /// The quote is there; every output has its price.
    ///
    /// # Errors
    /// Where that isn't possible.
    pub fn quote(&mut self, total_to_spend: BigDecimal, at: OffsetDateTime, pace: &Pace) -> Result<(), NotPossible> {
        self.go(Trigger::Quote, at)?;
        self.total_to_spend = Some(total_to_spend);
        // a quote that comes when it is too late already, because nothing happened by itself, expires then
        self.due_at = self.timetable.and_then(|timetable| pace.by_itself(timetable.accept_quote_before.max(at)));
        Ok(())
    }

    /// The payer accepts the quote. It isn't possible any more once its time is over.
    ///
    /// # Errors
    /// Where that isn't possible.
    pub fn accept_quote(&mut self, at: OffsetDateTime, pace: &Pace) -> Result<(), NotPossible> {
        let is_late = self.timetable.is_some_and(|timetable| timetable.accept_quote_before <= at);
        if is_late && !pace.is_manual {
            return Err(NotPossible { state: self.state, trigger: Trigger::AcceptQuote });
        }
        self.go(Trigger::AcceptQuote, at)?;
        self.quote_accepted_at = Some(at);
        self.due_at = self.timetable.and_then(|timetable| pace.by_itself(timetable.provision_funds_before));
        Ok(())
    }

    /// The money was taken. `outputs_open` of the outputs are not final, those that were rejected have been paid
    /// back; the others start after `delay`.
    ///
    /// # Errors
    /// Where that isn't possible.
    pub fn fund(
        &mut self,
        at: OffsetDateTime,
        delay: Duration,
        outputs_open: i64,
        returned: BigDecimal,
    ) -> Result<(), NotPossible> {
        self.go(Trigger::Fund, at)?;
        self.outputs_open = outputs_open;
        self.money_returned = returned;
        self.take_outputs_along(at + delay);
        Ok(())
    }

    /// Outputs became final, the last of them at that time, and money came back.
    ///
    /// # Errors
    /// Where the request doesn't work.
    pub fn close_outputs(&mut self, closed: i64, returned: &BigDecimal, at: OffsetDateTime) -> Result<(), NotPossible> {
        self.outputs_open -= closed;
        self.money_returned += returned;
        if self.outputs_open == 0 { self.finish(at) } else { Ok(()) }
    }

    /// Every output is final: there is a receipt, and a credit note where money came back.
    ///
    /// # Errors
    /// Where that isn't possible.
    pub fn finish(&mut self, at: OffsetDateTime) -> Result<(), NotPossible> {
        self.go(Trigger::Finish, at)?;
        self.tell(state::RECEIPT_CREATED, at);
        if self.has_credit_note() {
            self.tell(state::CREDIT_NOTE_CREATED, at);
        }
        Ok(())
    }

    /// The payer cancels it.
    ///
    /// # Errors
    /// Where that isn't possible.
    pub fn cancel(&mut self, at: OffsetDateTime) -> Result<(), NotPossible> {
        self.go(Trigger::Cancel, at)?;
        self.cancellation_reason = Some(state::CANCELLED_BY_USER.to_owned());
        self.take_outputs_along(at);
        Ok(())
    }

    /// The payer let its time run out.
    ///
    /// # Errors
    /// Where that isn't possible.
    pub fn expire(&mut self, at: OffsetDateTime) -> Result<(), NotPossible> {
        let reason = self.state.expiry();
        self.go(Trigger::Expire, at)?;
        self.cancellation_reason = Some(reason.to_owned());
        self.take_outputs_along(at);
        Ok(())
    }

    /// Whether money came back, once it is finished.
    pub fn has_credit_note(&self) -> bool {
        self.state == State::Finished && self.money_returned > BigDecimal::default()
    }

    fn take_outputs_along(&mut self, from: OffsetDateTime) {
        self.due_at = Some(from);
        self.outputs_done_to = Some(0);
    }

    /// All outputs have been taken along.
    pub fn took_outputs_along(&mut self) {
        self.due_at = None;
        self.outputs_done_to = None;
    }
}
