//! Simulations of one step of an output, a request or a payee.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{OUTPUTS, REQUESTS, balance, event_types, manual, set_to_work, simulate, simulate_with, state};
use crate::support::{account, sandbox, send};

#[tokio::test]
async fn every_step_of_a_payout_can_be_simulated() {
    account(async |s| {
        manual(s).await;
        let output = s.create_output().await;
        let step = async |verb: &str| state(simulate(s, OUTPUTS, &output, verb).await);
        assert_eq!(step("accept").await, "accepted");
        s.act("1010", "request_quote").await.expect(200);
        assert_eq!(state(simulate(s, REQUESTS, "1010", "quote").await), "quoted");
        s.act("1010", "accept_quote").await.expect(200);
        assert_eq!(state(simulate(s, REQUESTS, "1010", "fund").await), "working");
        s.tick().await;
        for (verb, to) in [
            ("work", "working"),
            ("issue", "settling"),
            ("fail", "failed"),
            ("retry", "working"),
            ("issue", "settling"),
            ("settle", "settled"),
        ] {
            assert_eq!(step(verb).await, to);
        }
        let request = s.attributes_of("1010").await;
        assert_eq!(request["state"], "finished");
        assert!(request["receipt_url"].is_string());
        let states = ["accepting", "accepted", "working", "settling", "failed", "working", "settling", "settled"];
        assert_eq!(
            event_types(s, &format!("{OUTPUTS}/{output}")).await,
            states.map(|state| format!("concierge_request_output_{state}"))
        );
        // all steps before the tick share one instant, and all after it another
        assert_eq!(s.count("select count(distinct created_at) from events").await, 2);
    })
    .await;
}

#[tokio::test]
async fn final_state_decides_the_refund_of_an_output() {
    for (path, ends, is_refunded) in [
        (vec!["reject"], "rejected", true),
        (vec!["accept", "cancel"], "cancelled", true),
        (vec!["accept", "work", "cancel"], "cancelled", true),
        (vec!["accept", "work", "issue", "fail", "return"], "returned", true),
        (vec!["accept", "work", "issue", "settle"], "settled", false),
    ] {
        account(async |s| {
            manual(s).await;
            let output = s.create_output().await;
            set_to_work(s).await;
            let spent = balance(s, "ars").await;
            assert_ne!(spent, json!(1_000_000));
            for verb in path {
                simulate(s, OUTPUTS, &output, verb).await.expect(200);
            }
            assert_eq!(s.state_of(&output).await, ends);
            let request = s.attributes_of("1010").await;
            assert_eq!(request["state"], "finished", "{ends}");
            assert_eq!(request["credit_note_url"].is_string(), is_refunded, "{ends}");
            assert_eq!(balance(s, "ars").await != spent, is_refunded, "{ends}");
            if ends != "returned" && is_refunded {
                assert_eq!(balance(s, "ars").await, json!(1_000_000), "{ends}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn impossible_step_is_409_with_the_possible_ones() {
    account(async |s| {
        manual(s).await;
        let output = s.create_output().await;
        let refused = simulate(s, OUTPUTS, &output, "settle").await;
        refused.assert_error(409, "action_not_possible", "");
        let detail = refused.body["errors"][0]["detail"].as_str().unwrap();
        assert_eq!(
            detail,
            "output 32323 is accepting; `settle` is not possible in this state (possible: accept, reject, cancel)"
        );
        simulate(s, OUTPUTS, &output, "accept").await.expect(200);
        // a transition of the machine, but impossible until the request is working
        let refused = simulate(s, OUTPUTS, &output, "work").await;
        refused.assert_error(409, "action_not_possible", "");
        assert!(refused.text.contains("request 1010 is draft"), "{refused:?}");
        let refused = simulate(s, REQUESTS, "1010", "fund").await;
        refused.assert_error(409, "action_not_possible", "");
        assert!(
            refused
                .text
                .contains("request 1010 is draft; `fund` is not possible in this state (possible: request_quote")
        );
        set_to_work(s).await;
        simulate(s, REQUESTS, "1010", "finish").await.assert_error(409, "action_not_possible", "");
        simulate(s, "users", "20202", "enable").await.assert_error(409, "action_not_possible", "");
        let to = json!({"state": "settled"});
        let refused = simulate_with(s, OUTPUTS, &output, "transition", &to).await;
        refused.assert_error(409, "action_not_possible", "");
        assert!(refused.text.contains("`settled` is 3 transitions away (work, issue, settle)"), "{refused:?}");
        let already = json!({"state": "accepted", "through": true});
        simulate_with(s, OUTPUTS, &output, "transition", &already).await.assert_error(409, "action_not_possible", "");
        let back = json!({"state": "rejected", "through": true});
        simulate_with(s, OUTPUTS, &output, "transition", &back).await.assert_error(409, "action_not_possible", "");
        assert_eq!(s.state_of(&output).await, "accepted");
    })
    .await;
}

#[tokio::test]
async fn simulation_rejects_unknown_targets_and_bodies() {
    account(async |s| {
        for (resource, id, verb, code) in [
            (OUTPUTS, "1", "accept", "resource_not_found"),
            (OUTPUTS, "x", "transition", "attribute_missing"),
            (OUTPUTS, "32323", "approve", "route_unknown"),
            (REQUESTS, "99", "quote", "resource_not_found"),
            (REQUESTS, "1010", "settle", "route_unknown"),
            ("users", "99", "enable", "resource_not_found"),
            ("users", "20202", "transition", "route_unknown"),
            ("ports", "cl_clp", "enable", "route_unknown"),
        ] {
            let answer = simulate(s, resource, id, verb).await;
            assert_eq!(answer.errors()[0].1, code, "{resource}/{id}/{verb}");
        }
        let output = s.create_output().await;
        for (verb, body, pointer) in [
            ("accept", json!({"reason": "x"}), "/reason"),
            ("reject", json!({"reason": 7}), "/reason"),
            ("reject", json!({"why": "x"}), "/why"),
            ("transition", json!({"state": "paid"}), "/state"),
            ("transition", json!({"state": "settled", "through": "yes"}), "/through"),
        ] {
            let answer = simulate_with(s, OUTPUTS, &output, verb, &body).await;
            assert_eq!((answer.status, answer.errors()[0].2.as_str()), (422, pointer), "{body}");
        }
        let reader = s.client.post(s.url(&format!("/_sandbox/simulations/{OUTPUTS}/{output}/accept")));
        send(reader.header("Authorization", &s.read_only_key)).await.assert_error(
            401,
            "not_enough_permissions",
            "Authorization",
        );
        assert_eq!(s.state_of(&output).await, "accepting");
    })
    .await;
}

#[tokio::test]
async fn simulated_reason_is_shown() {
    account(async |s| {
        manual(s).await;
        let (first, second) = (s.create_output().await, s.create_output().await);
        let reason = json!({"reason": "the account is closed"});
        let rejected = simulate_with(s, OUTPUTS, &first, "reject", &reason).await.expect(200);
        assert_eq!(rejected["data"]["attributes"]["rejection_reason"], "the account is closed");
        let to = json!({"state": "settling", "through": true});
        simulate_with(s, OUTPUTS, &second, "transition", &to).await.expect(200);
        let failed = simulate_with(s, OUTPUTS, &second, "fail", &reason).await.expect(200);
        assert_eq!(failed["data"]["attributes"]["failure_reason"], "the account is closed");
    })
    .await;
}

#[tokio::test]
async fn decision_about_a_payee_runs_its_waiting_checks() {
    for (verb, compliance, ends) in
        [("enable", "enabled", "accepted"), ("disable", "disabled", "rejected"), ("reject", "rejected", "rejected")]
    {
        account(async |s| {
            s.patch("/_sandbox/settings", &json!({"approval": "manual"})).await.expect(200);
            let payee = s.create("/api/users", &json!({"data": {"type": "users"}})).await;
            let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {}},
                "relationships": {"user": {"data": {"type": "users", "id": payee}}}}});
            let instruction = s.create("/api/withdrawal_instructions", &instruction).await;
            let mut output = crate::support::documented_output();
            output["data"]["relationships"]["user"]["data"]["id"] = payee.clone().into();
            output["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = instruction.into();
            let output = s.create("/api/concierge_request_outputs", &output).await;
            s.advance(Duration::from_mins(1)).await;
            assert_eq!(s.state_of(&output).await, "accepting");
            let decided = simulate(s, "users", &payee, verb).await.expect(200);
            assert_eq!(decided["data"]["attributes"]["compliance_state"], compliance);
            assert_eq!(event_types(s, &format!("users/{payee}")).await, [format!("user_{compliance}")]);
            s.tick().await;
            assert_eq!(s.state_of(&output).await, ends);
        })
        .await;
    }
}

#[tokio::test]
async fn simulation_cannot_reach_another_account() {
    sandbox(async |s| {
        s.second_account("another_key").await;
        let output = s.create_output().await;
        let path = s.url(&format!("/_sandbox/simulations/{OUTPUTS}/{output}/accept"));
        let foreign = send(s.client.post(path).header("Authorization", "another_key")).await;
        foreign.assert_error(404, "resource_not_found", "");
        assert_eq!(s.state_of(&output).await, "accepting");
    })
    .await;
}

#[tokio::test]
async fn simulation_overrides_the_outcome_header() {
    account(async |s| {
        let create = s.request(Method::POST, "/api/concierge_request_outputs").header("Sandbox-Outcome", "rejected");
        let create =
            create.header("Content-Type", "application/json").body(crate::support::documented_output().to_string());
        let output = send(create).await.expect(201)["data"]["id"].as_str().unwrap().to_owned();
        assert_eq!(state(simulate(s, OUTPUTS, &output, "accept").await), "accepted");
        s.advance(Duration::from_mins(1)).await;
        assert_eq!(s.state_of(&output).await, "accepted");
    })
    .await;
}
