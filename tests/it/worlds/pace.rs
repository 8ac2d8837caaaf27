//! How long things take in an account, and whether they happen by themselves: `/_sandbox/settings`.

use std::time::Duration;

use concierge_sandbox::config::Approval;
use serde_json::{Value, json};

use super::OUTPUTS;
use crate::support::{Account, account, documented_output, sandbox, sandbox_with};

const SETTINGS: &str = "/_sandbox/settings";
const SECOND: Duration = Duration::from_secs(1);

/// A new user with an instruction, and the document of an output for it.
async fn output_for_new_user(account: &Account) -> (String, Value) {
    let user = account.create("/api/users", &json!({"data": {"type": "users"}})).await;
    let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {"bank": "x"}},
        "relationships": {"user": {"data": {"type": "users", "id": user}}}}});
    let instruction = account.create("/api/withdrawal_instructions", &instruction).await;
    let mut document = documented_output();
    document["data"]["relationships"]["user"]["data"]["id"] = json!(user);
    document["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(instruction);
    (user, document)
}

#[tokio::test]
async fn settings_are_the_servers_until_they_are_changed() {
    sandbox_with(|config| {
        config.check_delay = Duration::from_mins(90);
        config.approval = Approval::Manual;
    }, async |s| {
        let [account, other] = [s.account(json!({})).await, s.account(json!({})).await];
        let server = json!({"progression": "auto", "approval": "manual", "check_delay": "PT1H30M", "approval_delay": "PT1S",
            "quote_delay": "PT1S", "step_delay": "PT1S"});
        assert_eq!(account.get(SETTINGS).await.expect(200), server);
        let changed = account.patch(SETTINGS, &json!({"check_delay": "250ms", "approval": "auto"})).await.expect(200);
        let mut expected = server.clone();
        expected["check_delay"] = json!("PT0.25S");
        expected["approval"] = json!("auto");
        assert_eq!(changed, expected);
        // what isn't named stays as it is
        let changed = account.patch(SETTINGS, &json!({"step_delay": "P2D", "progression": "manual"})).await.expect(200);
        expected["step_delay"] = json!("PT48H");
        expected["progression"] = json!("manual");
        assert_eq!(changed, expected);
        assert_eq!(account.patch(SETTINGS, &json!({})).await.expect(200), expected);
        let read_only = Account::of(&s.url(""), &account.read_only_key);
        assert_eq!(read_only.get(SETTINGS).await.expect(200), expected);
        assert_eq!(account.get("/_sandbox/accounts/me").await.expect(200)["progression"], "manual");
        // null is what the server says
        let back = json!({"check_delay": null, "approval": null, "step_delay": null, "progression": null});
        assert_eq!(account.patch(SETTINGS, &back).await.expect(200), server);
        assert_eq!(other.get(SETTINGS).await.expect(200), server, "others are left alone");
        assert_eq!(s.get(SETTINGS).await.expect(200), server);
    })
    .await;
}

#[tokio::test]
async fn settings_that_can_not_be_are_refused() {
    account(async |s| {
        let account = s.account(json!({})).await;
        let before = account.get(SETTINGS).await.expect(200);
        for delay in ["", "soon", "1", "-1s", "-PT1S", "P1M", "P1Y", "1.5ms", "PT0.0001S", "P4000D", "1s ago"] {
            for name in ["check_delay", "approval_delay", "quote_delay", "step_delay"] {
                let answer = account.patch(SETTINGS, &json!({name: delay})).await;
                answer.assert_error(422, "attribute_invalid", &format!("/{name}"));
            }
        }
        for (name, value) in [
            ("check_delay", json!(1)),
            ("progression", json!("fast")),
            ("progression", json!(true)),
            ("approval", json!("Auto")),
            ("approval", json!({})),
        ] {
            let answer = account.patch(SETTINGS, &json!({name: value})).await;
            answer.assert_error(422, "attribute_invalid", &format!("/{name}"));
        }
        account.patch(SETTINGS, &json!({"speed": 2})).await.assert_error(422, "attribute_unknown", "/speed");
        account.patch(SETTINGS, &json!("auto")).await.assert_error(400, "document_invalid", "");
        let read_only = Account::of(&s.url(""), &account.read_only_key);
        let answer = read_only.patch(SETTINGS, &json!({"step_delay": "1s"})).await;
        answer.assert_error(401, "not_enough_permissions", "Authorization");
        // one fault, and nothing of it holds
        account.patch(SETTINGS, &json!({"step_delay": "5s", "check_delay": "never"})).await.expect(422);
        assert_eq!(account.get(SETTINGS).await.expect(200), before);
    })
    .await;
}

#[tokio::test]
async fn an_account_goes_at_its_own_pace() {
    sandbox(async |s| {
        let [slow, other] = [s.account(json!({})).await, s.account(json!({})).await];
        let pace = json!({"check_delay": "10s", "approval_delay": "20s", "quote_delay": "30s", "step_delay": "40s"});
        slow.patch(SETTINGS, &pace).await.expect(200);
        for account in [&slow, &other] {
            let (_, document) = output_for_new_user(account).await;
            account.create(OUTPUTS, &document).await;
            account.create_output().await;
        }
        s.advance(9 * SECOND).await;
        assert_eq!(other.state_of("32324").await, "accepted");
        assert_eq!(slow.state_of("32324").await, "accepting");
        s.advance(SECOND).await;
        assert_eq!(slow.state_of("32324").await, "accepted");
        s.advance(9 * SECOND).await;
        assert_eq!(slow.state_of("32323").await, "accepting", "its payee is new");
        s.advance(SECOND).await;
        assert_eq!(slow.state_of("32323").await, "accepted");
        // a port that isn't quoted at once
        let mut dollars = documented_output();
        dollars["data"]["attributes"]["port_code"] = json!("us_usd");
        slow.create(OUTPUTS, &dollars).await;
        s.advance(10 * SECOND).await;
        slow.act("1010", "request_quote").await.expect(200);
        let request = "/api/concierge_requests/1010";
        s.advance(29 * SECOND).await;
        assert_eq!(slow.attribute(request, "state").await, "quote_requested");
        s.advance(SECOND).await;
        assert_eq!(slow.attribute(request, "state").await, "quoted");
        s.sql("update cash_wallets set balance = 1e9").await;
        slow.act("1010", "accept_quote").await.expect(200);
        s.advance(39 * SECOND).await;
        assert_eq!(slow.attribute(request, "state").await, "working");
        assert_eq!(slow.state_of("32324").await, "accepted");
        for state in ["working", "settling", "settled"] {
            s.advance(SECOND).await;
            assert_eq!(slow.state_of("32324").await, state);
            s.advance(39 * SECOND).await;
        }
    })
    .await;
}

/// A payout of each kind of thing that could go on by itself: a new payee, checks, a draft, a quote that is asked for, one that
/// is there, and one that was accepted.
async fn everything_waits(account: &Account) {
    account.patch(SETTINGS, &json!({"quote_delay": "PT1H"})).await.expect(200);
    let (_, document) = output_for_new_user(account).await;
    account.create(OUTPUTS, &document).await;
    account.create_output().await;
    for port in ["us_usd", "cl_clp", "cl_clp"] {
        let draft = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}});
        let request = account.create("/api/concierge_requests", &draft).await;
        let mut document = documented_output();
        document["data"]["attributes"]["port_code"] = json!(port);
        document["data"]["relationships"]["request"]["data"]["id"] = json!(request);
        account.create(OUTPUTS, &document).await;
    }
}

const STATES: &str = "/api/concierge_requests?sort=id&fields[concierge_requests]=state";

async fn states(account: &Account, path: &str) -> Vec<String> {
    let page = account.get(path).await.expect(200);
    let state = |resource: &Value| resource["attributes"]["state"].as_str().unwrap().to_owned();
    page["data"].as_array().unwrap().iter().map(state).collect()
}

#[tokio::test]
async fn under_manual_progression_nothing_happens_by_itself() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        everything_waits(&account).await;
        account.patch(SETTINGS, &json!({"progression": "manual"})).await.expect(200);
        assert_eq!(account.get("/_sandbox/clock").await.expect(200)["next_due_at"], Value::Null);
        // what is made from now on waits like what was there
        let (user, document) = output_for_new_user(&account).await;
        account.create(OUTPUTS, &document).await;
        for request in ["1011", "1012", "1013"] {
            account.act(request, "request_quote").await.expect(200);
        }
        let events = account.events().await;
        let outputs = format!("{OUTPUTS}?sort=id");
        let before = (states(&account, STATES).await, states(&account, &outputs).await);
        assert_eq!(before.0, ["draft", "quote_requested", "quote_requested", "quote_requested"]);
        assert_eq!(before.1, ["accepting"; 6]);
        account.advance_by("PT8M").await;
        s.tell(Duration::from_mins(1)).await;
        assert_eq!((states(&account, STATES).await, states(&account, &outputs).await), before);
        assert_eq!(account.attribute(&format!("/api/users/{user}"), "compliance_state").await, "new");
        assert_eq!(account.events().await, events);
        // a call of the payer's has its effect, its outputs included
        account.act("1013", "cancel").await.expect(200);
        s.tell(SECOND).await;
        assert_eq!(account.state_of("32327").await, "cancelled");

        // and back: as if everything had just come to where it is
        account.patch(SETTINGS, &json!({"progression": "auto"})).await.expect(200);
        s.tell(SECOND).await;
        assert_eq!(
            states(&account, &outputs).await,
            ["accepted", "accepted", "accepted", "accepted", "cancelled", "accepted"],
            "checks and approvals go on from then"
        );
        assert_eq!(account.attribute(&format!("/api/users/{user}"), "compliance_state").await, "enabled");
        // the first of the quotes takes an hour, the last was cancelled
        assert_eq!(states(&account, STATES).await, ["draft", "quote_requested", "quoted", "cancelled"]);
        // deadlines that were over while nothing happened are over then
        account.patch(SETTINGS, &json!({"progression": "manual"})).await.expect(200);
        account.advance_by("P60D").await;
        assert_eq!(states(&account, STATES).await, ["draft", "quote_requested", "quoted", "cancelled"]);
        account.patch(SETTINGS, &json!({"progression": "auto"})).await.expect(200);
        s.tell(SECOND).await;
        for (request, reason) in
            [("1010", "draft_was_pruned"), ("1011", "quote_not_accepted"), ("1012", "quote_not_accepted")]
        {
            let path = format!("/api/concierge_requests/{request}");
            assert_eq!(account.attribute(&path, "cancellation_reason").await, reason);
        }
        let times: Vec<String> = account.events().await.into_iter().map(|event| event.3).collect();
        assert!(times.is_sorted(), "one after the other: {times:?}");
    })
    .await;
}

#[tokio::test]
async fn what_was_under_way_when_nothing_was_to_happen_any_more_stops() {
    sandbox(async |s| {
        for clock in [Value::Null, json!({"now": "2030-01-01T00:00:00Z"})] {
            let account = s.account(json!({ "clock": clock })).await;
            account.patch(SETTINGS, &json!({"progression": "manual"})).await.expect(200);
            // as a call leaves them that began before that
            super::fill(s.database(), account.row(s.database()).await, 10).await;
            s.tell(SECOND).await;
            account.advance_by("PT1H").await;
            assert_eq!(states(&account, OUTPUTS).await, ["accepting"; 10]);
            assert_eq!(account.get("/_sandbox/clock").await.expect(200)["next_due_at"], Value::Null);
            account.patch(SETTINGS, &json!({"progression": "auto"})).await.expect(200);
            account.settle().await;
            assert_eq!(states(&account, OUTPUTS).await, ["accepted"; 10]);
        }
    })
    .await;
}

#[tokio::test]
async fn what_goes_on_under_auto_goes_on_to_its_end() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        let (manual, auto) = (json!({"progression": "manual"}), json!({"progression": "auto"}));
        let request = "/api/concierge_requests/1010";
        account.create_output().await;
        // stopped and let go before each step of it
        let stop_and_go = async |before: &str| {
            account.patch(SETTINGS, &manual).await.expect(200);
            s.tell(Duration::from_mins(1)).await;
            assert_eq!(account.attribute(request, "state").await, before);
            account.patch(SETTINGS, &auto).await.expect(200);
        };
        stop_and_go("draft").await;
        assert_eq!(account.state_of("32323").await, "accepting");
        s.tell(SECOND).await;
        assert_eq!(account.state_of("32323").await, "accepted");
        account.patch(SETTINGS, &manual).await.expect(200);
        account.act("1010", "request_quote").await.expect(200);
        stop_and_go("quote_requested").await;
        s.tell(Duration::from_millis(1)).await;
        assert_eq!(account.attribute(request, "state").await, "quoted");
        account.patch(SETTINGS, &manual).await.expect(200);
        account.act("1010", "accept_quote").await.expect(200);
        stop_and_go("quote_accepted").await;
        s.tell(Duration::from_millis(1)).await;
        assert_eq!(account.attribute(request, "state").await, "working");
        for state in ["accepted", "working", "settling"] {
            assert_eq!(account.state_of("32323").await, state);
            stop_and_go("working").await;
            assert_eq!(account.state_of("32323").await, state);
            s.tell(SECOND).await;
        }
        assert_eq!(account.attribute(request, "state").await, "finished");
    })
    .await;
}

#[tokio::test]
async fn a_quote_can_be_accepted_late_where_nothing_happens_by_itself() {
    account(async |s| {
        let account = s.account(json!({})).await;
        account.create_output().await;
        account.settle().await;
        account.act("1010", "request_quote").await.expect(200);
        account.settle().await;
        account.patch(SETTINGS, &json!({"progression": "manual"})).await.expect(200);
        account.advance_by("PT11M").await;
        account.act("1010", "accept_quote").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn of_an_account_that_stands_still_what_is_due_has_happened_when_a_call_returns() {
    account(async |s| {
        let account = s.account(json!({"clock": {"now": "2030-01-01T00:00:00Z"}})).await;
        let none = json!({"check_delay": "0s", "approval_delay": "0s", "quote_delay": "0s", "step_delay": "0s"});
        account.patch(SETTINGS, &none).await.expect(200);
        let (user, document) = output_for_new_user(&account).await;
        assert_eq!(account.attribute(&format!("/api/users/{user}"), "compliance_state").await, "enabled");
        let output = account.create(OUTPUTS, &document).await;
        assert_eq!(account.state_of(&output).await, "accepted");
        let quoted = account.act("1010", "request_quote").await.expect(200);
        assert_eq!(quoted["data"]["attributes"]["state"], "quote_requested", "as it was when it was asked for");
        let request = "/api/concierge_requests/1010";
        assert_eq!(account.attribute(request, "state").await, "quoted");
        account.act("1010", "accept_quote").await.expect(200);
        assert_eq!(account.attribute(request, "state").await, "finished");
        let events = account.events().await;
        assert!(events.iter().all(|event| event.3 == "2030-01-01T00:00:00.000Z"), "{events:?}");
        // what was stopped, too
        account.patch(SETTINGS, &json!({"progression": "manual"})).await.expect(200);
        let draft = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}});
        let draft = account.create("/api/concierge_requests", &draft).await;
        let mut document = documented_output();
        document["data"]["relationships"]["request"]["data"]["id"] = json!(draft);
        let output = account.create(OUTPUTS, &document).await;
        assert_eq!(account.state_of(&output).await, "accepting");
        account.patch(SETTINGS, &json!({"progression": "auto"})).await.expect(200);
        assert_eq!(account.state_of(&output).await, "accepted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_change_while_everything_moves() {
    sandbox_with(
        |config| config.check_delay = Duration::ZERO,
        async |s| {
            let account = s.account(json!({})).await;
            let row = account.row(s.database()).await;
            super::fill(s.database(), row, 1500).await;
            let switching = async {
                for number in 0..12 {
                    let progression = if number % 2 == 0 { "manual" } else { "auto" };
                    account.patch(SETTINGS, &json!({ "progression": progression })).await.expect(200);
                }
            };
            let making = async {
                for number in 0..12 {
                    let draft = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}});
                    let draft = account.create("/api/concierge_requests", &draft).await;
                    let mut document = documented_output();
                    document["data"]["relationships"]["request"]["data"]["id"] = json!(draft);
                    account.create(OUTPUTS, &document).await;
                    account.act(&draft, if number % 2 == 0 { "cancel" } else { "request_quote" }).await.expect(200);
                    s.clock.advance(Duration::from_millis(5));
                }
            };
            tokio::join!(switching, making);
            s.tell(Duration::from_mins(1)).await;
            let accepting =
                "select count(*) from concierge_request_outputs where account_id = $1 and state = 'accepting'";
            assert_eq!(super::count(s.database(), accepting, row).await, 0);
        },
    )
    .await;
}

#[tokio::test]
async fn what_is_made_while_things_begin_to_happen_happens_too() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        let row = account.row(s.database()).await;
        let user = json!({"data": {"type": "users"}});
        for _ in 0..5 {
            account.patch(SETTINGS, &json!({"progression": "manual"})).await.expect(200);
            let making = (0..20).map(|_| account.create("/api/users", &user));
            let switching = async { account.patch(SETTINGS, &json!({"progression": "auto"})).await.expect(200) };
            tokio::join!(futures_util::future::join_all(making), switching);
        }
        // one that was begun long before, and comes in only now
        account.create_output().await;
        sqlx::query("update concierge_request_outputs set due_at = null where account_id = $1")
            .bind(row)
            .execute(s.database())
            .await
            .unwrap();
        let waiting = "select (count(*) = 0)::int::bigint from (
                select from users where account_id = $1 and compliance_state = 'new' and due_at is null union all
                select from concierge_request_outputs where account_id = $1 and state = 'accepting' and due_at is null
            ) w";
        super::until(s.database(), waiting, row, 1).await;
        s.tell(Duration::from_hours(1)).await;
        let new = "select count(*) from users where account_id = $1 and compliance_state = 'new'";
        assert_eq!(super::count(s.database(), new, row).await, 0);
        assert_eq!(states(&account, OUTPUTS).await, ["accepted"]);
    })
    .await;
}
