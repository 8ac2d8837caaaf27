//! The outlook, computed from facts without a server.

use std::time::Duration;

use concierge_sandbox::clock::Clock;
use concierge_sandbox::concierge::outlook::{
    NextStep, Outlook, OutputFacts, RequestFacts, UserFacts, WaitReason, of_instruction, of_output, of_request, of_user,
};
use concierge_sandbox::concierge::outputs::scenario::{Decision, Scenario, ScenarioSource};
use concierge_sandbox::concierge::outputs::state as outputs;
use concierge_sandbox::concierge::requests::progress::Progress;
use concierge_sandbox::concierge::requests::state as requests;
use concierge_sandbox::concierge::users::state::ComplianceState;
use concierge_sandbox::events::Cause;
use time::OffsetDateTime;

use crate::support::START;

/// Returns the instant this many seconds after the start instant of all tests.
fn at(second: u64) -> OffsetDateTime {
    Clock::manual(OffsetDateTime::from_unix_timestamp_nanos(START).unwrap()).advance(Duration::from_secs(second))
}

/// Builds a request in a state, without a due time.
fn request(state: requests::State) -> RequestFacts {
    let progress = Progress {
        account_id: 1,
        id: 1010,
        user_id: 50505,
        port_code: "ar_ars".into(),
        state,
        state_since: Some(at(0)),
        due_at: None,
        outputs_done_to: None,
        quote_requested_at: None,
        timetable: None,
        quote_accepted_at: None,
        cancellation_reason: None,
        total_to_spend: Some(100.into()),
        money_returned: 0.into(),
        held_prices: None,
        outputs_open: 1,
        cause: Cause::TIMER,
        told: Vec::new(),
    };
    RequestFacts {
        progress,
        balance: 100.into(),
        money_due_at: None,
        last_output_at: None,
        outputs_due_at: None,
        outputs_accepting: 0,
    }
}

/// Builds an output due in ten seconds, of a working request, to an approved payee.
fn output(state: outputs::State, scenario: Scenario) -> OutputFacts {
    OutputFacts {
        state,
        due_at: Some(at(10)),
        attempts: 1,
        decision: Decision { scenario, source: ScenarioSource::Label },
        payee: UserFacts { id: 20202, state: ComplianceState::Enabled, due_at: None },
        request: request(requests::State::Working),
    }
}

fn due(trigger: &'static str, to: &'static str, second: u64) -> Outlook {
    Outlook::Due(NextStep { trigger, to, due_at: at(second) })
}

#[test]
fn outlook_of_an_accepting_output_depends_on_its_payee() {
    use ComplianceState::{Disabled, Enabled, New, Rejected};
    let accepting = |state, approved_at: Option<u64>, checked_at: Option<u64>, scenario| {
        let payee = UserFacts { id: 20202, state, due_at: approved_at.map(at) };
        let accepting = output(outputs::State::Accepting, scenario);
        of_output(&OutputFacts { payee, due_at: checked_at.map(at), attempts: 0, ..accepting })
    };
    let waiting = |trigger, to, approved_at: Option<u64>| Outlook::Waiting {
        trigger,
        to,
        waits_for: WaitReason::Approval { user_id: 20202, due_at: approved_at.map(at) },
        otherwise: None,
    };
    let (happy, rejected) = (Scenario::Settled, Scenario::Rejected);
    let (accept, reject) = (due("accept", "accepted", 10), due("reject", "rejected", 10));
    for (state, approved_at, checked_at, scenario, expected) in [
        (Enabled, None, Some(10), happy, accept.clone()),
        (Enabled, None, Some(10), rejected, reject.clone()),
        (Rejected, None, Some(10), happy, reject.clone()),
        (Disabled, None, Some(10), happy, reject.clone()),
        // approved before the checks, with them, after them, or never
        (New, Some(9), Some(10), happy, accept.clone()),
        (New, Some(10), Some(10), happy, accept),
        (New, Some(10), Some(10), rejected, reject),
        (New, Some(11), Some(10), happy, waiting("accept", "accepted", Some(11))),
        (New, Some(11), Some(10), rejected, waiting("reject", "rejected", Some(11))),
        (New, None, Some(10), happy, waiting("accept", "accepted", None)),
        // the checks have run and wait for the approval
        (New, Some(11), None, happy, waiting("accept", "accepted", Some(11))),
        (New, None, None, happy, waiting("accept", "accepted", None)),
        (Enabled, None, None, happy, Outlook::ByHand),
    ] {
        let found = accepting(state, approved_at, checked_at, scenario);
        assert_eq!(found, expected, "{state:?} {approved_at:?} {checked_at:?} {scenario:?}");
    }
}

#[test]
fn outlook_of_an_output_follows_its_scenario_and_request() {
    use outputs::State::{Accepted, Failed, Settling, Working};
    for (state, scenario, expected) in [
        (Accepted, Scenario::Settled, due("work", "working", 10)),
        (Working, Scenario::Settled, due("issue", "settling", 10)),
        (Working, Scenario::Cancelled, due("cancel", "cancelled", 10)),
        (Settling, Scenario::Settled, due("settle", "settled", 10)),
        (Settling, Scenario::Failed, due("fail", "failed", 10)),
        (Settling, Scenario::Stuck, Outlook::Stuck),
        (Failed, Scenario::Failed, due("retry", "working", 10)),
        (Failed, Scenario::Returned, due("return", "returned", 10)),
    ] {
        assert_eq!(of_output(&output(state, scenario)), expected, "{state:?} {scenario:?}");
        let held = OutputFacts { due_at: None, ..output(state, scenario) };
        if expected != Outlook::Stuck {
            assert_eq!(of_output(&held), Outlook::ByHand, "{state:?} {scenario:?} without a time");
        }
    }
    for state in outputs::MACHINE.states.iter().filter(|state| outputs::MACHINE.is_final(**state)) {
        assert_eq!(of_output(&output(*state, Scenario::Stuck)), Outlook::Final);
    }
    // the request cascades to its outputs
    let mut accepted = OutputFacts { due_at: None, ..output(Accepted, Scenario::Settled) };
    accepted.request.progress.due_at = Some(at(7));
    assert_eq!(of_output(&accepted), due("work", "working", 7));
    accepted.request.progress.state = requests::State::Cancelled;
    assert_eq!(of_output(&accepted), due("cancel", "cancelled", 7));
    // without a cascade, the output waits for the request
    accepted.request = request(requests::State::Quoted);
    let waits_for = WaitReason::Request {
        id: 1010,
        state: requests::State::Quoted,
        outlook: Box::new(of_request(&accepted.request)),
    };
    let expected = Outlook::Waiting { trigger: "work", to: "working", waits_for, otherwise: None };
    assert_eq!(of_output(&accepted), expected);
}

#[test]
fn outlook_of_a_request_names_its_wait() {
    use requests::State::{Cancelled, Draft, Finished, QuoteAccepted, QuoteRequested, Quoted, Working};
    let with = |state: requests::State, change: &dyn Fn(&mut RequestFacts)| {
        let mut request = request(state);
        request.progress.due_at = Some(at(10));
        change(&mut request);
        of_request(&request)
    };
    let expire = |second| Some(NextStep { trigger: "expire", to: "cancelled", due_at: at(second) });
    let call = |action: &'static str, to, second| {
        let waits_for = WaitReason::Call { action, before: Some(at(second)) };
        Outlook::Waiting { trigger: action, to, waits_for, otherwise: expire(second) }
    };
    assert_eq!(with(Draft, &|_| ()), call("request_quote", "quote_requested", 10));
    let month = 30 * 24 * 60 * 60;
    let filled = with(Draft, &|request| request.last_output_at = Some(at(5)));
    assert_eq!(filled, call("request_quote", "quote_requested", month + 5));
    assert_eq!(with(QuoteRequested, &|_| ()), due("quote", "quoted", 10));
    assert_eq!(with(Quoted, &|_| ()), call("accept_quote", "quote_accepted", 10));
    let money = |balance: i32, looked_at: Option<u64>| {
        with(QuoteAccepted, &|request| {
            request.balance = balance.into();
            request.money_due_at = looked_at.map(at);
            request.progress.quote_accepted_at = Some(at(3));
        })
    };
    let missing = |balance: i32| Outlook::Waiting {
        trigger: "fund",
        to: "working",
        waits_for: WaitReason::Money {
            user_id: 50505,
            currency: "ars".into(),
            needed: 100.into(),
            available: balance.into(),
            before: Some(at(10)),
        },
        otherwise: expire(10),
    };
    assert_eq!(money(100, Some(1)), due("fund", "working", 3));
    assert_eq!(money(100, Some(4)), due("fund", "working", 4));
    assert_eq!(money(99, Some(4)), missing(99));
    assert_eq!(money(0, None), missing(0));
    let outputs = |next: Option<u64>| Outlook::Waiting {
        trigger: "finish",
        to: "finished",
        waits_for: WaitReason::Outputs { open: 1, next_due_at: next.map(at) },
        otherwise: None,
    };
    let working = |due_at: Option<u64>, outputs_due_at: Option<u64>, outputs_accepting| {
        with(Working, &|request| {
            request.progress.due_at = due_at.map(at);
            request.outputs_due_at = outputs_due_at.map(at);
            request.outputs_accepting = outputs_accepting;
        })
    };
    assert_eq!(working(Some(4), Some(5), 0), outputs(Some(4)));
    assert_eq!(working(None, Some(5), 1), outputs(Some(5)));
    assert_eq!(working(None, None, 1), outputs(None));
    assert_eq!(working(None, None, 0), Outlook::Stuck);
    assert_eq!(with(Working, &|request| request.progress.outputs_open = 0), due("finish", "finished", 10));
    for state in [Finished, Cancelled] {
        assert_eq!(with(state, &|_| ()), Outlook::Final, "{}", state.name());
    }
}

#[test]
fn outlook_of_users_and_instructions_is_due_only_for_new_users() {
    use ComplianceState::{Disabled, Enabled, New, Rejected};
    for (state, due_at, expected) in [
        (New, Some(at(1)), due("enable", "enabled", 1)),
        (New, None, Outlook::ByHand),
        (Enabled, None, Outlook::ByHand),
        (Disabled, None, Outlook::ByHand),
        (Rejected, None, Outlook::ByHand),
    ] {
        assert_eq!(of_user(&UserFacts { id: 1, state, due_at }), expected);
    }
    assert_eq!((of_instruction(false), of_instruction(true)), (Outlook::ByHand, Outlook::Final));
}
