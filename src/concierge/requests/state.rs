//! States and transitions of requests. Pure.

use crate::concierge::machine::{Machine, Named, Transition};

/// State of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// In preparation; only a draft takes outputs.
    Draft,
    /// The payer waits for a price.
    QuoteRequested,
    /// The quote has a price; the payer may accept it.
    Quoted,
    /// The payer accepted and must provide the money.
    QuoteAccepted,
    /// The money was debited; the outputs are being paid.
    Working,
    /// Every output is final. Final.
    Finished,
    /// Nothing was paid. Final.
    Cancelled,
}

/// Triggers of a request's transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    RequestQuote,
    Quote,
    AcceptQuote,
    Fund,
    Finish,
    Cancel,
    Expire,
}

/// Names of all states, in the order of [`State`].
pub const NAMES: [&str; 7] =
    ["draft", "quote_requested", "quoted", "quote_accepted", "working", "finished", "cancelled"];

const fn arrow(from: State, trigger: Trigger, to: State) -> Transition<State, Trigger> {
    Transition { from, trigger, to }
}

/// All states and transitions (known from the guides).
pub static MACHINE: Machine<State, Trigger> = Machine {
    states: &[
        State::Draft,
        State::QuoteRequested,
        State::Quoted,
        State::QuoteAccepted,
        State::Working,
        State::Finished,
        State::Cancelled,
    ],
    transitions: &[
        arrow(State::Draft, Trigger::RequestQuote, State::QuoteRequested),
        arrow(State::QuoteRequested, Trigger::Quote, State::Quoted),
        arrow(State::Quoted, Trigger::AcceptQuote, State::QuoteAccepted),
        arrow(State::QuoteAccepted, Trigger::Fund, State::Working),
        arrow(State::Working, Trigger::Finish, State::Finished),
        arrow(State::Draft, Trigger::Cancel, State::Cancelled),
        arrow(State::QuoteRequested, Trigger::Cancel, State::Cancelled),
        arrow(State::Quoted, Trigger::Cancel, State::Cancelled),
        arrow(State::Draft, Trigger::Expire, State::Cancelled),
        arrow(State::Quoted, Trigger::Expire, State::Cancelled),
        arrow(State::QuoteAccepted, Trigger::Expire, State::Cancelled),
    ],
};

impl Named for State {
    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Named for Trigger {
    fn name(self) -> &'static str {
        match self {
            Self::RequestQuote => "request_quote",
            Self::Quote => "quote",
            Self::AcceptQuote => "accept_quote",
            Self::Fund => "fund",
            Self::Finish => "finish",
            Self::Cancel => "cancel",
            Self::Expire => "expire",
        }
    }
}

impl State {
    /// Returns the name for documents and the database.
    pub const fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// Returns true if outputs can be added.
    pub const fn takes_outputs(self) -> bool {
        matches!(self, Self::Draft)
    }

    /// Returns the type of the event for entering this state.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Draft => "concierge_request_draft",
            Self::QuoteRequested => "concierge_request_quote_requested",
            Self::Quoted => "concierge_request_quoted",
            Self::QuoteAccepted => "concierge_request_quote_accepted",
            Self::Working => "concierge_request_working",
            Self::Finished => "concierge_request_finished",
            Self::Cancelled => "concierge_request_cancelled",
        }
    }

    /// Returns the `cancellation_reason` of a request that expired in this state.
    pub const fn expiry(self) -> &'static str {
        match self {
            Self::Draft => CANCELLATION_REASONS[1],
            Self::QuoteRequested | Self::Quoted => CANCELLATION_REASONS[2],
            Self::QuoteAccepted | Self::Working | Self::Finished | Self::Cancelled => CANCELLATION_REASONS[3],
        }
    }
}

/// All values of `cancellation_reason`: by its payer, then those of [`State::expiry`].
pub const CANCELLATION_REASONS: [&str; 4] =
    ["cancelled_by_user", "draft_was_pruned", "quote_not_accepted", "payment_not_received"];
/// The `cancellation_reason` of a request cancelled by its payer.
pub const CANCELLED_BY_USER: &str = CANCELLATION_REASONS[0];
/// Type of the event for a receipt.
pub const RECEIPT_CREATED: &str = "concierge_request_receipt_created";
/// Type of the event for a credit note.
pub const CREDIT_NOTE_CREATED: &str = "concierge_request_credit_note_created";
