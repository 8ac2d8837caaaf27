//! The next step in a timeline.

use std::time::Duration;

use bigdecimal::BigDecimal;
use concierge_sandbox::config::Approval;
use serde_json::{Value, json};

use super::{OUTPUTS, REQUESTS, SECOND, timeline};
use crate::payouts::{pay, set_to_work, thousand};
use crate::support::{Account, account, documented_output, sandbox_with};

/// Reads the next step of a resource.
async fn next(account: &Account, type_name: &str, id: &str) -> Value {
    timeline(account, type_name, id).await["next"].clone()
}

#[tokio::test]
async fn next_step_happens_as_announced() {
    account(async |s| {
        // a foreign port has a delayed quote
        let output = pay(s, "1010", "sandbox:failed|settled", json!({"port_code": "us_usd", "amount": 1})).await;
        let pruned = json!({"trigger": "expire", "to": "cancelled", "due_at": "2019-12-25T12:53:02.741Z"});
        let asks = json!({"kind": "waiting", "trigger": "request_quote", "to": "quote_requested",
            "waits_for": {"what": "call", "action": "request_quote", "before": "2019-12-25T12:53:02.741Z"},
            "otherwise": pruned});
        assert_eq!(next(s, REQUESTS, "1010").await, asks);
        let due = |trigger: &str, to: &str, at: &str| json!({"kind": "due", "trigger": trigger, "to": to, "due_at": format!("2019-11-25T12:53:{at}Z")});
        assert_eq!(next(s, OUTPUTS, &output).await, due("accept", "accepted", "03.741"));
        s.advance(SECOND).await;
        let waits = async |state: &str| {
            let request = json!({"type": REQUESTS, "id": "1010"});
            let waits_for = json!({"what": "request", "resource": request, "state": state, "next": next(s, REQUESTS, "1010").await});
            let expected =
                json!({"kind": "waiting", "trigger": "work", "to": "working", "waits_for": waits_for, "otherwise": null});
            assert_eq!(next(s, OUTPUTS, &output).await, expected);
        };
        waits("draft").await;
        s.act("1010", "request_quote").await.expect(200);
        assert_eq!(next(s, REQUESTS, "1010").await, due("quote", "quoted", "04.741"));
        waits("quote_requested").await;
        s.advance(SECOND).await;
        let before = "2019-11-25T13:03:04.741Z";
        let accepts = json!({"kind": "waiting", "trigger": "accept_quote", "to": "quote_accepted",
            "waits_for": {"what": "call", "action": "accept_quote", "before": before},
            "otherwise": {"trigger": "expire", "to": "cancelled", "due_at": before}});
        assert_eq!(next(s, REQUESTS, "1010").await, accepts);
        waits("quoted").await;
        s.act("1010", "accept_quote").await.expect(200);
        s.tick().await;
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
            assert_eq!(next(s, OUTPUTS, &output).await, due(trigger, to, at));
            assert_eq!(next(s, REQUESTS, "1010").await, outputs(at));
            s.advance(SECOND).await;
            let shown = timeline(s, OUTPUTS, &output).await;
            let last = shown["transitions"].as_array().unwrap().last().unwrap();
            assert_eq!((&last["trigger"], &last["to"]), (&json!(trigger), &json!(to)));
            assert!(last["at"].as_str().unwrap().ends_with(&format!("{at}Z")), "{last}");
        }
        for (type_name, id) in [(OUTPUTS, output.as_str()), (REQUESTS, "1010")] {
            assert_eq!(next(s, type_name, id).await, json!({"kind": "final"}));
        }
    })
    .await;
}

#[tokio::test]
async fn next_step_of_an_output_waits_for_its_payee() {
    for (approval, due_at) in [(Approval::Auto, json!("2019-11-25T12:54:02.741Z")), (Approval::Manual, Value::Null)] {
        sandbox_with(|config| {
            config.approval = approval;
            config.approval_delay = Duration::from_mins(1);
        }, async |s| {
            let payee = s.create("/api/users", &json!({"data": {"type": "users"}})).await;
            let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {}},
                "relationships": {"user": {"data": {"type": "users", "id": payee}}}}});
            let instruction = s.create("/api/withdrawal_instructions", &instruction).await;
            let mut document = documented_output();
            document["data"]["relationships"]["user"]["data"]["id"] = json!(payee);
            document["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(instruction);
            let output = s.create("/api/concierge_request_outputs", &document).await;
            let waits_for = json!({"what": "approval", "resource": {"type": "users", "id": payee}, "due_at": due_at});
            let waits = json!({"kind": "waiting", "trigger": "accept", "to": "accepted", "waits_for": waits_for, "otherwise": null});
            // the same before and after the checks
            assert_eq!(next(s, OUTPUTS, &output).await, waits);
            s.advance(SECOND).await;
            assert_eq!(next(s, OUTPUTS, &output).await, waits);
            s.advance(Duration::from_mins(1)).await;
            let is_accepted = s.state_of(&output).await == "accepted";
            assert_eq!(is_accepted, due_at.is_string());
        })
        .await;
    }
}

#[tokio::test]
async fn next_step_of_a_request_waits_for_money() {
    account(async |s| {
        let output = s.create_output().await;
        s.sql("update cash_wallets set balance = 1.5 where currency = 'ars'").await;
        s.advance(SECOND).await;
        for action in ["request_quote", "accept_quote"] {
            s.act("1010", action).await.expect(200);
            s.tick().await;
        }
        let needed = s.attributes_of("1010").await["total_to_spend"].clone();
        let missing: BigDecimal =
            needed.to_string().parse::<BigDecimal>().unwrap() - "1.5".parse::<BigDecimal>().unwrap();
        let missing: Value = serde_json::from_str(&missing.normalized().to_plain_string()).unwrap();
        let before = "2019-11-26T01:03:03.741Z";
        let money = json!({"kind": "waiting", "trigger": "fund", "to": "working",
            "waits_for": {"what": "money", "resource": {"type": "users", "id": "50505"}, "currency": "ars",
                "needed": needed, "available": 1.5, "missing": missing, "before": before},
            "otherwise": {"trigger": "expire", "to": "cancelled", "due_at": before}});
        assert_eq!(next(s, REQUESTS, "1010").await, money);
        assert_eq!(next(s, OUTPUTS, &output).await["waits_for"]["next"], money);
    })
    .await;
}

#[tokio::test]
async fn next_step_of_a_stuck_output_and_its_request_is_stuck() {
    account(async |s| {
        let stuck = pay(s, "1010", "sandbox:stuck", thousand()).await;
        let other = pay(s, "1010", "sandbox:failed|settled", thousand()).await;
        s.advance(SECOND).await;
        set_to_work(s, "1010").await;
        s.advance(Duration::from_secs(3)).await;
        assert_eq!(next(s, OUTPUTS, &stuck).await, json!({"kind": "stuck"}));
        let waits = next(s, REQUESTS, "1010").await;
        assert_eq!((&waits["kind"], &waits["waits_for"]["open"]), (&json!("waiting"), &json!(2)));
        s.advance(Duration::from_secs(3)).await;
        assert_eq!(s.state_of(&other).await, "settled");
        assert_eq!(next(s, REQUESTS, "1010").await, json!({"kind": "stuck"}));
        let shown = timeline(s, OUTPUTS, &stuck).await;
        assert_eq!(shown["scenario"], json!({"name": "stuck", "source": "label", "value": "sandbox:stuck"}));
        let plain = s
            .create(
                "/api/concierge_requests",
                &json!({"data": {"type": REQUESTS, "attributes": {"port_code": "ar_ars"}}}),
            )
            .await;
        let plain = pay(s, &plain, "savings", thousand()).await;
        let scenario = json!({"name": "settled", "source": "default", "value": null});
        assert_eq!(timeline(s, OUTPUTS, &plain).await["scenario"], scenario);
    })
    .await;
}
