//! Sample resources for synthetic events: the resources of the documented exchange, in the state of the event.

use std::time::Duration;

use bigdecimal::BigDecimal;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::accounts::reserved::{FIRST_OUTPUT, MASTER_USER};
use crate::concierge::event_types::{EventSubject, EventType};
use crate::concierge::fixtures::{INSTRUCTION_BODY, PAYEE};
use crate::concierge::outputs::state::{FAILURE, NAMES, State as OutputState};
use crate::concierge::requests::progress::Progress;
use crate::concierge::requests::quote::Timetable;
use crate::concierge::requests::state::{CANCELLED_BY_USER, CREDIT_NOTE_CREATED, State as RequestState};
use crate::concierge::users::state::ComplianceState;
use crate::concierge::{outputs, requests, users, withdrawal_instructions};
use crate::events::Cause;
use crate::jsonapi::render::Resource;

/// Id of the sample output. No account ever has it: events of a real output must not share a queue with the sample.
const OUTPUT: i64 = FIRST_OUTPUT - 1;
/// Documented id.
const REQUEST: i64 = 1010;
/// Documented id.
const INSTRUCTION: i64 = 2121;
/// Token in the receipt URL of a sample request. The URL answers 404.
const RECEIPT: &str = "5ada3b1e5ada3b1e5ada3b1e5ada3b1e5ada3b1e5ada3b1e5ada3b1e5ada3b1e";
/// Budget of the documented output, in hundred-millionths of an ars.
const BUDGET: i64 = 8_173_547_373;
const DECIMALS: i64 = 8;

/// Returns a sample resource for an event at that instant. For an output, also returns its failed payment attempts.
pub fn sample(event_type: &EventType, at: OffsetDateTime) -> (Resource, Option<i32>) {
    match event_type.subject {
        EventSubject::Output(state) => {
            let attempts = match state {
                OutputState::Settling | OutputState::Settled | OutputState::Failed | OutputState::Returned => 1,
                OutputState::Accepting
                | OutputState::Accepted
                | OutputState::Rejected
                | OutputState::Working
                | OutputState::Cancelled => 0,
            };
            (outputs::document::render(&output(state)), Some(state.failures(attempts)))
        }
        EventSubject::Request(state) => {
            let has_credit_note = event_type.name == CREDIT_NOTE_CREATED;
            (requests::document::render(&request(state, has_credit_note, at)), None)
        }
        EventSubject::User(state) => (users::document::render(&user(state)), None),
        EventSubject::WithdrawalInstruction => (withdrawal_instructions::document::render(&instruction()), None),
    }
}

fn budget() -> BigDecimal {
    BigDecimal::new(BUDGET.into(), DECIMALS)
}

fn output(state: OutputState) -> outputs::Output {
    let is_quoted = match state {
        OutputState::Accepting | OutputState::Accepted | OutputState::Rejected | OutputState::Cancelled => false,
        OutputState::Working
        | OutputState::Settling
        | OutputState::Settled
        | OutputState::Failed
        | OutputState::Returned => true,
    };
    let has_failed = matches!(state, OutputState::Failed | OutputState::Returned);
    outputs::Output {
        id: OUTPUT,
        request_id: REQUEST,
        user_id: PAYEE,
        withdrawal_instruction_id: INSTRUCTION,
        port_code: "cl_clp".to_owned(),
        amount: Some(1000.into()),
        budget: is_quoted.then(budget),
        state,
        rejection_reason: (state == OutputState::Rejected).then(|| "the payee was rejected".to_owned()),
        failure_reason: has_failed.then(|| FAILURE.to_owned()),
    }
}

/// Returns a request with the one sample output.
fn request(state: RequestState, has_credit_note: bool, at: OffsetDateTime) -> requests::ConciergeRequest {
    let (is_priced, is_accepted, output) = match state {
        RequestState::Draft | RequestState::QuoteRequested => (false, false, OutputState::Accepted),
        RequestState::Quoted => (true, false, OutputState::Accepted),
        RequestState::QuoteAccepted => (true, true, OutputState::Accepted),
        RequestState::Working => (true, true, OutputState::Working),
        RequestState::Finished if has_credit_note => (true, true, OutputState::Rejected),
        RequestState::Finished => (true, true, OutputState::Settled),
        RequestState::Cancelled => (true, false, OutputState::Cancelled),
    };
    let is_asked = state != RequestState::Draft;
    let progress = Progress {
        account_id: 0,
        id: REQUEST,
        user_id: MASTER_USER,
        port_code: "ar_ars".to_owned(),
        state,
        state_since: Some(at),
        due_at: None,
        outputs_done_to: None,
        quote_requested_at: is_asked.then_some(at),
        timetable: is_asked.then(|| Timetable::from(at, Duration::ZERO)),
        quote_accepted_at: is_accepted.then_some(at),
        cancellation_reason: (state == RequestState::Cancelled).then(|| CANCELLED_BY_USER.to_owned()),
        total_to_spend: is_priced.then(budget),
        money_returned: if has_credit_note { budget() } else { BigDecimal::default() },
        held_prices: None,
        outputs_open: 0,
        cause: Cause::TIMER,
        told: Vec::new(),
    };
    requests::ConciergeRequest {
        progress,
        external_id: None,
        payment_authorization_code: None,
        receipt_token: (state == RequestState::Finished).then(|| RECEIPT.to_owned()),
        outputs: vec![OUTPUT],
        counts: NAMES.iter().map(|name| i64::from(*name == output.name())).collect(),
        funds_available: 1_000_000.into(),
        made_by: None,
    }
}

fn user(state: ComplianceState) -> users::User {
    let email = Some("person3@example.com".to_owned());
    users::User {
        id: PAYEE,
        name: email.clone(),
        email,
        kyc_accepted: matches!(state, ComplianceState::Enabled | ComplianceState::Disabled),
        otp_enabled: true,
        do_not_email: false,
        trezor_login_enabled: false,
        compliance_state: state,
        webhook_url: None,
    }
}

fn instruction() -> withdrawal_instructions::WithdrawalInstruction {
    withdrawal_instructions::WithdrawalInstruction {
        id: INSTRUCTION,
        user_id: PAYEE,
        label: None,
        schema: "bitex".to_owned(),
        body: Some(RawValue::from_string(INSTRUCTION_BODY.to_owned()).unwrap_or_default()),
        payment_method_type: None,
    }
}
