//! Timelines: what happened, why, who was told, and what comes next.

use std::time::Duration;

use bigdecimal::BigDecimal;
use concierge_sandbox::clock::Clock;
use concierge_sandbox::concierge::outlook::{
    NextStep, Outlook, OutputFacts, RequestFacts, UserFacts, WaitReason, of_instruction, of_output, of_request, of_user,
};
use concierge_sandbox::concierge::outputs::scenario::{Decision, Scenario, ScenarioSource};
use concierge_sandbox::concierge::outputs::state as outputs;
use concierge_sandbox::concierge::requests::progress::Progress;
use concierge_sandbox::concierge::requests::state as requests;
use concierge_sandbox::concierge::users::state::ComplianceState;
use concierge_sandbox::config::Approval;
use concierge_sandbox::events::Cause;
use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::payouts::{draft, pay, set_to_work, thousand};
use crate::support::{Receiver, START, Sandbox, documented_output, send};

const SECOND: Duration = Duration::from_secs(1);
const OUTPUTS: &str = "concierge_request_outputs";
const REQUESTS: &str = "concierge_requests";

async fn timeline(sandbox: &Sandbox, type_name: &str, id: &str) -> Value {
    let answer = sandbox.get(&format!("/_sandbox/timeline/{type_name}/{id}")).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let timeline = answer.expect(200);
    assert_eq!(timeline["resource"], json!({"type": type_name, "id": id}));
    assert_eq!(timeline["left_off"], false);
    timeline
}

/// What comes next of something.
async fn next(sandbox: &Sandbox, type_name: &str, id: &str) -> Value {
    timeline(sandbox, type_name, id).await["next"].clone()
}

/// The way something went: from where, to where, by what.
fn way(timeline: &Value) -> Vec<(&str, &str, &str)> {
    let steps = timeline["transitions"].as_array().unwrap().iter();
    steps
        .map(|step| {
            let text = |member: &str| step[member].as_str().unwrap_or_default();
            (text("from"), text("to"), text("trigger"))
        })
        .collect()
}

#[tokio::test]
async fn it_says_what_happened_and_why_and_who_was_told() {
    let sandbox = Sandbox::start().await;
    let receiver = Receiver::deciding(|call| {
        let body = String::from_utf8_lossy(&call.body);
        let status = if body.contains("output_failed") { "500 Internal Server Error" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
    })
    .await;
    let document = json!({"data": {"type": "users", "attributes": {"webhook_url": receiver.url()}}});
    sandbox.patch("/api/users/me", &document).await.expect(200);
    let id = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
    let request = sandbox.request(Method::POST, "/api/concierge_request_outputs").header("X-Request-Id", id);
    let request = request.header("Sandbox-Outcome", "returned").header("Content-Type", "application/json");
    send(request.body(documented_output().to_string())).await.expect(201);
    sandbox.tell(SECOND).await;
    for action in ["request_quote", "accept_quote"] {
        sandbox.act("1010", action).await.expect(200);
        sandbox.tell(Duration::from_millis(1)).await;
    }
    for _ in 0..5 {
        sandbox.tell(SECOND).await;
    }
    let timeline = timeline(&sandbox, OUTPUTS, "32323").await;
    let members: Vec<&String> = timeline.as_object().unwrap().keys().collect();
    assert_eq!(members, ["resource", "state", "since", "transitions", "left_off", "scenario", "next"]);
    assert_eq!((&timeline["state"], &timeline["since"]), (&json!("returned"), &json!("2019-11-25T12:53:07.742Z")));
    assert_eq!(timeline["scenario"], json!({"name": "returned", "source": "header", "value": "returned"}));
    assert_eq!(timeline["next"], json!({"kind": "final"}));
    let event = |number: usize, state: &str| {
        let id = timeline["transitions"][number]["event"]["id"].clone();
        json!({"id": id, "type": format!("concierge_request_output_{state}")})
    };
    let sent = |at: &str| json!([{"state": "delivered", "next_attempt_at": null, "attempts": [{"at": at, "status": 200, "error": null}]}]);
    let timer = json!({"kind": "timer", "by": null});
    let asked = json!({"kind": "timer", "by": "header returned"});
    let [created, checked] = ["2019-11-25T12:53:02.741Z", "2019-11-25T12:53:03.741Z"];
    let [works, issued, failed, returned] = [4, 5, 6, 7].map(|second| format!("2019-11-25T12:53:0{second}.742Z"));
    let refused = json!([{"state": "due", "next_attempt_at": timeline["transitions"][4]["deliveries"][0]["next_attempt_at"],
        "attempts": [{"at": failed, "status": 500, "error": "answered 500"}]}]);
    let waits = json!([{"state": "waiting", "next_attempt_at": null, "attempts": []}]);
    assert!(refused[0]["next_attempt_at"].is_string());
    let expected = json!([
        {"at": created, "from": null, "to": "accepting", "trigger": "create", "cause": {"kind": "request", "by": id},
            "event": event(0, "accepting"), "deliveries": sent(created)},
        {"at": checked, "from": "accepting", "to": "accepted", "trigger": "accept", "cause": timer,
            "event": event(1, "accepted"), "deliveries": sent(checked)},
        {"at": works, "from": "accepted", "to": "working", "trigger": "work", "cause": timer,
            "event": event(2, "working"), "deliveries": sent(&works)},
        {"at": issued, "from": "working", "to": "settling", "trigger": "issue", "cause": timer,
            "event": event(3, "settling"), "deliveries": sent(&issued)},
        {"at": failed, "from": "settling", "to": "failed", "trigger": "fail", "cause": asked,
            "event": event(4, "failed"), "deliveries": refused},
        {"at": returned, "from": "failed", "to": "returned", "trigger": "return", "cause": asked,
            "event": event(5, "returned"), "deliveries": waits},
    ]);
    assert_eq!(timeline["transitions"], expected);
    // the events are those of the events' own documents
    for step in timeline["transitions"].as_array().unwrap() {
        let path = format!("/_sandbox/events/{}", step["event"]["id"].as_str().unwrap());
        let shown = sandbox.get(&path).await.expect(200)["data"]["attributes"].clone();
        assert_eq!((&shown["event_type"], &shown["created_at"]), (&step["event"]["type"], &step["at"]));
        assert_eq!(shown["delivery_state"], step["deliveries"][0]["state"]);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_request_goes_its_way() {
    let sandbox = Sandbox::start().await;
    sandbox.create_output().await;
    pay(&sandbox, "1010", "sandbox:rejected", thousand()).await;
    sandbox.advance(SECOND).await;
    set_to_work(&sandbox, "1010").await;
    sandbox.advance(Duration::from_mins(1)).await;
    let shown = timeline(&sandbox, REQUESTS, "1010").await;
    assert_eq!(shown.get("scenario"), None, "only a payment has one");
    let finished = ("finished", "finished", "");
    let expected = [
        ("draft", "quote_requested", "request_quote"),
        ("quote_requested", "quoted", "quote"),
        ("quoted", "quote_accepted", "accept_quote"),
        ("quote_accepted", "working", "fund"),
        ("working", "finished", "finish"),
        // the receipt and the credit note
        finished,
        finished,
    ];
    assert_eq!(way(&shown), expected);
    assert_eq!(shown["transitions"][3]["cause"], json!({"kind": "money", "by": null}));
    assert_eq!(shown["transitions"][3]["deliveries"], json!([]), "nobody has a webhook_url");
    assert_eq!((&shown["state"], &shown["since"]), (&json!("finished"), &shown["transitions"][4]["at"]));
    // of two arrows between the same states, the one that was gone along
    let (cancelled, left) = (draft(&sandbox, "ar_ars").await, draft(&sandbox, "ar_ars").await);
    sandbox.act(&cancelled, "cancel").await.expect(200);
    sandbox.advance(Duration::from_hours(30 * 24)).await;
    for (request, trigger) in [(cancelled, "cancel"), (left, "expire")] {
        let shown = timeline(&sandbox, REQUESTS, &request).await;
        assert_eq!(way(&shown), [("", "draft", "create"), ("draft", "cancelled", trigger)]);
        assert_eq!(shown["next"], json!({"kind": "final"}));
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn users_and_instructions_have_theirs() {
    let sandbox = Sandbox::start().await;
    let user = sandbox.create("/api/users", &json!({"data": {"type": "users"}})).await;
    let at = |second: u8| format!("2019-11-25T12:53:0{second}.741Z");
    let approval = json!({"kind": "due", "trigger": "enable", "to": "enabled", "due_at": at(3)});
    let shown = timeline(&sandbox, "users", &user).await;
    assert_eq!((&shown["state"], &shown["since"], &shown["next"]), (&json!("new"), &json!(at(2)), &approval));
    sandbox.advance(Duration::from_secs(5)).await;
    let shown = timeline(&sandbox, "users", &user).await;
    assert_eq!((&shown["state"], &shown["since"]), (&json!("enabled"), &json!(at(3))));
    assert_eq!(way(&shown), [("new", "enabled", "enable")]);
    assert_eq!(shown["next"], json!({"kind": "by_hand"}));
    // made up, so it is no part of its progress
    let made_up = json!({"event_type": "user_rejected", "resource": {"type": "users", "id": user}});
    sandbox.post("/_sandbox/events/trigger", &made_up).await.expect(201);
    assert_eq!(way(&timeline(&sandbox, "users", &user).await).len(), 1);

    let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {}}}});
    let instruction = sandbox.create("/api/withdrawal_instructions", &instruction).await;
    for (id, came) in [(instruction.as_str(), &[("", "created", "create")][..]), ("2121", &[])] {
        let shown = timeline(&sandbox, "withdrawal_instructions", id).await;
        assert_eq!((&shown["state"], &shown["next"]), (&json!("created"), &json!({"kind": "by_hand"})));
        assert_eq!(way(&shown), came);
        sandbox.advance(SECOND).await;
        assert_eq!(sandbox.delete(&format!("/api/withdrawal_instructions/{id}")).await.status, 204);
        let shown = timeline(&sandbox, "withdrawal_instructions", id).await;
        assert_eq!((&shown["state"], &shown["next"]), (&json!("destroyed"), &json!({"kind": "final"})));
        assert_eq!(way(&shown), [came, &[("created", "destroyed", "destroy")]].concat());
        assert_eq!(shown["since"], shown["transitions"].as_array().unwrap().last().unwrap()["at"]);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn what_comes_next_comes_as_it_says() {
    let sandbox = Sandbox::start().await;
    // abroad, so that the quote takes its time
    let output = pay(&sandbox, "1010", "sandbox:failed|settled", json!({"port_code": "us_usd", "amount": 1})).await;
    let pruned = json!({"trigger": "expire", "to": "cancelled", "due_at": "2019-12-25T12:53:02.741Z"});
    let asks = json!({"kind": "waiting", "trigger": "request_quote", "to": "quote_requested",
        "waits_for": {"what": "call", "action": "request_quote", "before": "2019-12-25T12:53:02.741Z"},
        "otherwise": pruned});
    assert_eq!(next(&sandbox, REQUESTS, "1010").await, asks);
    let due = |trigger: &str, to: &str, at: &str| json!({"kind": "due", "trigger": trigger, "to": to, "due_at": format!("2019-11-25T12:53:{at}Z")});
    assert_eq!(next(&sandbox, OUTPUTS, &output).await, due("accept", "accepted", "03.741"));
    sandbox.advance(SECOND).await;
    let waits = async |state: &str| {
        let request = json!({"type": REQUESTS, "id": "1010"});
        let waits_for = json!({"what": "request", "resource": request, "state": state, "next": next(&sandbox, REQUESTS, "1010").await});
        let expected =
            json!({"kind": "waiting", "trigger": "work", "to": "working", "waits_for": waits_for, "otherwise": null});
        assert_eq!(next(&sandbox, OUTPUTS, &output).await, expected);
    };
    waits("draft").await;
    sandbox.act("1010", "request_quote").await.expect(200);
    assert_eq!(next(&sandbox, REQUESTS, "1010").await, due("quote", "quoted", "04.741"));
    waits("quote_requested").await;
    sandbox.advance(SECOND).await;
    let before = "2019-11-25T13:03:04.741Z";
    let accepts = json!({"kind": "waiting", "trigger": "accept_quote", "to": "quote_accepted",
        "waits_for": {"what": "call", "action": "accept_quote", "before": before},
        "otherwise": {"trigger": "expire", "to": "cancelled", "due_at": before}});
    assert_eq!(next(&sandbox, REQUESTS, "1010").await, accepts);
    waits("quoted").await;
    sandbox.act("1010", "accept_quote").await.expect(200);
    sandbox.tick().await;
    let outputs = |at: &str| {
        let waits_for = json!({"what": "outputs", "open": 1, "next_due_at": format!("2019-11-25T12:53:{at}Z")});
        json!({"kind": "waiting", "trigger": "finish", "to": "finished", "waits_for": waits_for, "otherwise": null})
    };
    let steps = [
        ("work", "working", "05.741"),
        ("issue", "settling", "06.741"),
        ("fail", "failed", "07.741"),
        ("retry", "working", "08.741"),
        ("issue", "settling", "09.741"),
        ("settle", "settled", "10.741"),
    ];
    for (trigger, to, at) in steps {
        assert_eq!(next(&sandbox, OUTPUTS, &output).await, due(trigger, to, at));
        assert_eq!(next(&sandbox, REQUESTS, "1010").await, outputs(at));
        sandbox.advance(SECOND).await;
        let shown = timeline(&sandbox, OUTPUTS, &output).await;
        let last = shown["transitions"].as_array().unwrap().last().unwrap();
        assert_eq!((&last["trigger"], &last["to"]), (&json!(trigger), &json!(to)));
        assert!(last["at"].as_str().unwrap().ends_with(&format!("{at}Z")), "{last}");
    }
    for (type_name, id) in [(OUTPUTS, output.as_str()), (REQUESTS, "1010")] {
        assert_eq!(next(&sandbox, type_name, id).await, json!({"kind": "final"}));
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_payment_waits_for_its_payee() {
    for (approval, due_at) in [(Approval::Auto, json!("2019-11-25T12:54:02.741Z")), (Approval::Manual, Value::Null)] {
        let sandbox = Sandbox::start_with(|config| {
            config.approval = approval;
            config.approval_delay = Duration::from_mins(1);
        })
        .await;
        let payee = sandbox.create("/api/users", &json!({"data": {"type": "users"}})).await;
        let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {}},
            "relationships": {"user": {"data": {"type": "users", "id": payee}}}}});
        let instruction = sandbox.create("/api/withdrawal_instructions", &instruction).await;
        let mut document = documented_output();
        document["data"]["relationships"]["user"]["data"]["id"] = json!(payee);
        document["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(instruction);
        let output = sandbox.create("/api/concierge_request_outputs", &document).await;
        let waits_for = json!({"what": "approval", "resource": {"type": "users", "id": payee}, "due_at": due_at});
        let waits = json!({"kind": "waiting", "trigger": "accept", "to": "accepted", "waits_for": waits_for, "otherwise": null});
        // before its checks have found that out, and after
        assert_eq!(next(&sandbox, OUTPUTS, &output).await, waits);
        sandbox.advance(SECOND).await;
        assert_eq!(next(&sandbox, OUTPUTS, &output).await, waits);
        sandbox.advance(Duration::from_mins(1)).await;
        let is_accepted = sandbox.state_of(&output).await == "accepted";
        assert_eq!(is_accepted, due_at.is_string());
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn a_request_waits_for_money() {
    let sandbox = Sandbox::start().await;
    let output = sandbox.create_output().await;
    sandbox.sql("update cash_wallets set balance = 1.5 where currency = 'ars'").await;
    sandbox.advance(SECOND).await;
    for action in ["request_quote", "accept_quote"] {
        sandbox.act("1010", action).await.expect(200);
        sandbox.tick().await;
    }
    let needed = sandbox.attributes_of("1010").await["total_to_spend"].clone();
    let missing: BigDecimal = needed.to_string().parse::<BigDecimal>().unwrap() - "1.5".parse::<BigDecimal>().unwrap();
    let missing: Value = serde_json::from_str(&missing.normalized().to_plain_string()).unwrap();
    let before = "2019-11-26T01:03:03.741Z";
    let money = json!({"kind": "waiting", "trigger": "fund", "to": "working",
        "waits_for": {"what": "money", "resource": {"type": "users", "id": "50505"}, "currency": "ars",
            "needed": needed, "available": 1.5, "missing": missing, "before": before},
        "otherwise": {"trigger": "expire", "to": "cancelled", "due_at": before}});
    assert_eq!(next(&sandbox, REQUESTS, "1010").await, money);
    assert_eq!(next(&sandbox, OUTPUTS, &output).await["waits_for"]["next"], money);
    sandbox.stop().await;
}

#[tokio::test]
async fn what_is_stuck_says_so_and_what_waits_with_it_too() {
    let sandbox = Sandbox::start().await;
    let stuck = pay(&sandbox, "1010", "sandbox:stuck", thousand()).await;
    let other = pay(&sandbox, "1010", "sandbox:failed|settled", thousand()).await;
    sandbox.advance(SECOND).await;
    set_to_work(&sandbox, "1010").await;
    sandbox.advance(Duration::from_secs(3)).await;
    assert_eq!(next(&sandbox, OUTPUTS, &stuck).await, json!({"kind": "stuck"}));
    let waits = next(&sandbox, REQUESTS, "1010").await;
    assert_eq!((&waits["kind"], &waits["waits_for"]["open"]), (&json!("waiting"), &json!(2)));
    sandbox.advance(Duration::from_secs(3)).await;
    assert_eq!(sandbox.state_of(&other).await, "settled");
    assert_eq!(next(&sandbox, REQUESTS, "1010").await, json!({"kind": "stuck"}));
    let shown = timeline(&sandbox, OUTPUTS, &stuck).await;
    assert_eq!(shown["scenario"], json!({"name": "stuck", "source": "label", "value": "sandbox:stuck"}));
    let plain = sandbox
        .create("/api/concierge_requests", &json!({"data": {"type": REQUESTS, "attributes": {"port_code": "ar_ars"}}}))
        .await;
    let plain = pay(&sandbox, &plain, "savings", thousand()).await;
    let scenario = json!({"name": "settled", "source": "default", "value": null});
    assert_eq!(timeline(&sandbox, OUTPUTS, &plain).await["scenario"], scenario);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_last_thousand_transitions_are_shown() {
    let sandbox = Sandbox::start().await;
    sandbox
        .sql(
            "insert into events (account_id, id, event_type, resource_type, resource_id, created_at)
            select account_id, n, case n % 2 when 0 then 'user_enabled' else 'user_disabled' end, 'users', id, created_at
            from users, generate_series(1, 1001) n where id = 20202;
            update id_counters set next_id = 1002 where type = 'events'",
        )
        .await;
    let path = "/_sandbox/timeline/users/20202";
    let shown = sandbox.get(path).await.expect(200);
    assert_eq!((shown["transitions"].as_array().unwrap().len(), &shown["left_off"]), (1000, &json!(true)));
    assert_eq!(way(&shown)[0], ("disabled", "enabled", "enable"));
    assert_eq!(shown["transitions"][0]["event"]["id"], "2");
    assert_eq!(shown["transitions"][0]["cause"], Value::Null, "from before causes were kept");
    sandbox.sql("delete from events where id = 1001").await;
    let shown = sandbox.get(path).await.expect(200);
    assert_eq!((shown["transitions"].as_array().unwrap().len(), &shown["left_off"]), (1000, &json!(false)));
    // a fixture was approved before anything happened
    assert_eq!(way(&shown)[0], ("enabled", "disabled", "disable"));
    sandbox.stop().await;
}

#[tokio::test]
async fn what_has_no_timeline_is_not_found() {
    let sandbox = Sandbox::start().await;
    sandbox.second_account("another_key").await;
    sandbox.create_output().await;
    for id in ["777", "0", "-1", "x", "032323", "99999999999999999999999", "%20", "%ff"] {
        for type_name in [OUTPUTS, REQUESTS, "users", "withdrawal_instructions"] {
            let answer = sandbox.get(&format!("/_sandbox/timeline/{type_name}/{id}")).await;
            answer.assert_error(404, "resource_not_found", "");
        }
    }
    for type_name in ["outputs", "concierge_ports", "Users", "events", "%22", "%ff"] {
        let answer = sandbox.get(&format!("/_sandbox/timeline/{type_name}/32323")).await;
        answer.assert_error(404, "resource_not_found", "");
        let detail = answer.body["errors"][0]["detail"].as_str().unwrap().to_owned();
        for known in [OUTPUTS, REQUESTS, "users", "withdrawal_instructions"] {
            assert!(detail.contains(known), "{detail}");
        }
    }
    let path = format!("/_sandbox/timeline/{OUTPUTS}/32323");
    sandbox.get(&format!("{path}?page[size]=1")).await.assert_error(400, "parameter_unknown", "page[size]");
    let with_key = |key: &str, path: &str| send(sandbox.client.get(sandbox.url(path)).header("Authorization", key));
    with_key("another_key", &path).await.assert_error(404, "resource_not_found", "");
    with_key("your_read_only_api_key", &path).await.expect(200);
    with_key("your_api_key; user=20202", &path).await.expect(200);
    for path in [path.as_str(), "/_sandbox/timeline/x/1", "/_sandbox/timeline/users/1?x=1"] {
        with_key("nobody_s", path).await.assert_error(401, "invalid_api_key", "Authorization");
        send(sandbox.client.get(sandbox.url(path))).await.assert_error(401, "invalid_api_key", "Authorization");
    }
    assert_eq!(sandbox.post(&path, &json!({})).await.status, 405);
    sandbox.stop().await;
}

/// So many seconds after the clocks of all tests start.
fn at(second: u64) -> OffsetDateTime {
    Clock::manual(OffsetDateTime::from_unix_timestamp_nanos(START).unwrap()).advance(Duration::from_secs(second))
}

/// A request in a state, without a time.
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

/// An output in a state, due in ten seconds, of a working request, to somebody approved.
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
fn the_outlook_of_an_accepting_output_goes_by_its_payee() {
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
        // the checks have run, and wait
        (New, Some(11), None, happy, waiting("accept", "accepted", Some(11))),
        (New, None, None, happy, waiting("accept", "accepted", None)),
        (Enabled, None, None, happy, Outlook::ByHand),
    ] {
        let found = accepting(state, approved_at, checked_at, scenario);
        assert_eq!(found, expected, "{state:?} {approved_at:?} {checked_at:?} {scenario:?}");
    }
}

#[test]
fn the_outlook_of_a_payment_is_the_step_that_its_scenario_takes() {
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
    // its request takes it along
    let mut accepted = OutputFacts { due_at: None, ..output(Accepted, Scenario::Settled) };
    accepted.request.progress.due_at = Some(at(7));
    assert_eq!(of_output(&accepted), due("work", "working", 7));
    accepted.request.progress.state = requests::State::Cancelled;
    assert_eq!(of_output(&accepted), due("cancel", "cancelled", 7));
    // or it waits for that
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
fn the_outlook_of_a_request_is_what_it_waits_for() {
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
fn users_and_instructions_stay_as_they_are_but_for_a_new_user() {
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
