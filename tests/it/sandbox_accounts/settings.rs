//! Delays, approval and progression of an account: `/_sandbox/settings`.

use std::time::Duration;

use concierge_sandbox::config::Approval;
use serde_json::{Value, json};

use super::OUTPUTS;
use crate::support::{Account, account, documented_output, sandbox, sandbox_with};

const SETTINGS: &str = "/_sandbox/settings";
const SECOND: Duration = Duration::from_secs(1);

/// Creates a user and its instruction; returns the user's id and the document of an output.
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
async fn settings_default_to_the_server_until_changed() {
    sandbox_with(|config| {
        config.check_delay = Duration::from_mins(90);
        config.approval = Approval::Manual;
    }, async |s| {
        let [account, other] = [s.account(json!({})).await, s.account(json!({})).await];
        let server = json!({"progression": "auto", "approval": "manual", "check_delay": "PT1H30M", "approval_delay": "PT1S",
            "quote_delay": "PT1S", "step_delay": "PT1S", "public_url": null});
        assert_eq!(account.get(SETTINGS).await.expect(200), server);
        let changed = account.patch(SETTINGS, &json!({"check_delay": "250ms", "approval": "auto"})).await.expect(200);
        let mut expected = server.clone();
        expected["check_delay"] = json!("PT0.25S");
        expected["approval"] = json!("auto");
        assert_eq!(changed, expected);
        // absent settings keep their values
        let changed = account.patch(SETTINGS, &json!({"step_delay": "P2D", "progression": "manual"})).await.expect(200);
        expected["step_delay"] = json!("PT48H");
        expected["progression"] = json!("manual");
        assert_eq!(changed, expected);
        assert_eq!(account.patch(SETTINGS, &json!({})).await.expect(200), expected);
        let read_only = Account::of(&s.url(""), &account.read_only_key);
        assert_eq!(read_only.get(SETTINGS).await.expect(200), expected);
        assert_eq!(account.get("/_sandbox/accounts/me").await.expect(200)["progression"], "manual");
        // null restores the server's value
        let back = json!({"check_delay": null, "approval": null, "step_delay": null, "progression": null});
        assert_eq!(account.patch(SETTINGS, &back).await.expect(200), server);
        assert_eq!(other.get(SETTINGS).await.expect(200), server, "settings of other accounts stay");
        assert_eq!(s.get(SETTINGS).await.expect(200), server);
    })
    .await;
}

#[tokio::test]
async fn settings_update_rejects_bad_values() {
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
        // one bad value makes the whole update fail
        account.patch(SETTINGS, &json!({"step_delay": "5s", "check_delay": "never"})).await.expect(422);
        assert_eq!(account.get(SETTINGS).await.expect(200), before);
    })
    .await;
}

#[tokio::test]
async fn delays_apply_per_account() {
    sandbox(async |s| {
        let [slow, other] = [s.account(json!({})).await, s.account(json!({})).await];
        let delays = json!({"check_delay": "10s", "approval_delay": "20s", "quote_delay": "30s", "step_delay": "40s"});
        slow.patch(SETTINGS, &delays).await.expect(200);
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
        assert_eq!(slow.state_of("32323").await, "accepting", "its payee isn't approved yet");
        s.advance(SECOND).await;
        assert_eq!(slow.state_of("32323").await, "accepted");
        // a port with a delayed quote
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

/// Creates payouts with each kind of wait: new payee, checks, draft, and quotes requested, present and accepted.
async fn create_every_kind_of_wait(account: &Account) {
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
async fn manual_progression_stops_all_timers_until_auto() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        create_every_kind_of_wait(&account).await;
        account.patch(SETTINGS, &json!({"progression": "manual"})).await.expect(200);
        assert_eq!(account.get("/_sandbox/clock").await.expect(200)["next_due_at"], Value::Null);
        // new rows wait, too
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
        // a call of the payer takes effect, on the outputs as well
        account.act("1013", "cancel").await.expect(200);
        s.tell(SECOND).await;
        assert_eq!(account.state_of("32327").await, "cancelled");

        // back to auto: every delay starts now
        account.patch(SETTINGS, &json!({"progression": "auto"})).await.expect(200);
        s.tell(SECOND).await;
        assert_eq!(
            states(&account, &outputs).await,
            ["accepted", "accepted", "accepted", "accepted", "cancelled", "accepted"],
            "checks and approvals start at the switch"
        );
        assert_eq!(account.attribute(&format!("/api/users/{user}"), "compliance_state").await, "enabled");
        // the first of the quotes takes an hour, the last was cancelled
        assert_eq!(states(&account, STATES).await, ["draft", "quote_requested", "quoted", "cancelled"]);
        // deadlines missed under manual progression take effect under auto
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
        assert!(times.is_sorted(), "events are in order of time: {times:?}");
    })
    .await;
}

#[tokio::test]
async fn manual_progression_stops_timers_of_calls_in_flight() {
    sandbox(async |s| {
        for clock in [Value::Null, json!({"now": "2030-01-01T00:00:00Z"})] {
            let account = s.account(json!({ "clock": clock })).await;
            account.patch(SETTINGS, &json!({"progression": "manual"})).await.expect(200);
            // due rows, like a call leaves them that started before the switch
            super::add_outputs(s.database(), account.row(s.database()).await, 10).await;
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
async fn auto_progression_resumes_from_every_state() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        let (manual, auto) = (json!({"progression": "manual"}), json!({"progression": "auto"}));
        let request = "/api/concierge_requests/1010";
        account.create_output().await;
        // switches to manual and back before each step
        let switch_there_and_back = async |before: &str| {
            account.patch(SETTINGS, &manual).await.expect(200);
            s.tell(Duration::from_mins(1)).await;
            assert_eq!(account.attribute(request, "state").await, before);
            account.patch(SETTINGS, &auto).await.expect(200);
        };
        switch_there_and_back("draft").await;
        assert_eq!(account.state_of("32323").await, "accepting");
        s.tell(SECOND).await;
        assert_eq!(account.state_of("32323").await, "accepted");
        account.patch(SETTINGS, &manual).await.expect(200);
        account.act("1010", "request_quote").await.expect(200);
        switch_there_and_back("quote_requested").await;
        s.tell(Duration::from_millis(1)).await;
        assert_eq!(account.attribute(request, "state").await, "quoted");
        account.patch(SETTINGS, &manual).await.expect(200);
        account.act("1010", "accept_quote").await.expect(200);
        switch_there_and_back("quote_accepted").await;
        s.tell(Duration::from_millis(1)).await;
        assert_eq!(account.attribute(request, "state").await, "working");
        for state in ["accepted", "working", "settling"] {
            assert_eq!(account.state_of("32323").await, state);
            switch_there_and_back("working").await;
            assert_eq!(account.state_of("32323").await, state);
            s.tell(SECOND).await;
        }
        assert_eq!(account.attribute(request, "state").await, "finished");
    })
    .await;
}

#[tokio::test]
async fn accept_quote_works_after_expiry_under_manual_progression() {
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
async fn frozen_account_runs_due_timers_before_a_call_returns() {
    account(async |s| {
        let account = s.account(json!({"clock": {"now": "2030-01-01T00:00:00Z"}})).await;
        let none = json!({"check_delay": "0s", "approval_delay": "0s", "quote_delay": "0s", "step_delay": "0s"});
        account.patch(SETTINGS, &none).await.expect(200);
        let (user, document) = output_for_new_user(&account).await;
        assert_eq!(account.attribute(&format!("/api/users/{user}"), "compliance_state").await, "enabled");
        let output = account.create(OUTPUTS, &document).await;
        assert_eq!(account.state_of(&output).await, "accepted");
        let quoted = account.act("1010", "request_quote").await.expect(200);
        assert_eq!(quoted["data"]["attributes"]["state"], "quote_requested", "the answer shows the state at the call");
        let request = "/api/concierge_requests/1010";
        assert_eq!(account.attribute(request, "state").await, "quoted");
        account.act("1010", "accept_quote").await.expect(200);
        assert_eq!(account.attribute(request, "state").await, "finished");
        let events = account.events().await;
        assert!(events.iter().all(|event| event.3 == "2030-01-01T00:00:00.000Z"), "{events:?}");
        // the switch back to auto runs due timers, too
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
async fn progression_can_switch_during_other_work() {
    sandbox_with(
        |config| config.check_delay = Duration::ZERO,
        async |s| {
            let account = s.account(json!({})).await;
            let row = account.row(s.database()).await;
            super::add_outputs(s.database(), row, 1500).await;
            let switching = async {
                for number in 0..12 {
                    let progression = if number % 2 == 0 { "manual" } else { "auto" };
                    account.patch(SETTINGS, &json!({ "progression": progression })).await.expect(200);
                }
            };
            let creating = async {
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
            tokio::join!(switching, creating);
            s.tell(Duration::from_mins(1)).await;
            let accepting =
                "select count(*) from concierge_request_outputs where account_id = $1 and state = 'accepting'";
            assert_eq!(super::count(s.database(), accepting, row).await, 0);
        },
    )
    .await;
}

#[tokio::test]
async fn auto_progression_reaches_rows_created_during_the_switch() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        let row = account.row(s.database()).await;
        let user = json!({"data": {"type": "users"}});
        for _ in 0..5 {
            account.patch(SETTINGS, &json!({"progression": "manual"})).await.expect(200);
            let creating = (0..20).map(|_| account.create("/api/users", &user));
            let switching = async { account.patch(SETTINGS, &json!({"progression": "auto"})).await.expect(200) };
            tokio::join!(futures_util::future::join_all(creating), switching);
        }
        // a row without timer, like that of a call from before the switch
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
        super::wait_for_count(s.database(), waiting, row, 1).await;
        s.tell(Duration::from_hours(1)).await;
        let new = "select count(*) from users where account_id = $1 and compliance_state = 'new'";
        assert_eq!(super::count(s.database(), new, row).await, 0);
        assert_eq!(states(&account, OUTPUTS).await, ["accepted"]);
    })
    .await;
}
