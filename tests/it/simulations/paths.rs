//! Simulations of several steps in one call, with the related requests and outputs.

use concierge_sandbox::config::Config;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{OUTPUTS, REQUESTS, add_many, event_types, manual, set_to_work, simulate, simulate_with, state};
use crate::support::{account, sandbox_with};

#[tokio::test]
async fn path_visits_every_state_and_moves_the_request() {
    account(async |s| {
        manual(s).await;
        let output = s.create_output().await;
        let to = json!({"state": "returned", "through": true});
        assert_eq!(state(simulate_with(s, OUTPUTS, &output, "transition", &to).await), "returned");
        let states = ["accepting", "accepted", "working", "settling", "failed", "returned"];
        assert_eq!(
            event_types(s, &format!("{OUTPUTS}/{output}")).await,
            states.map(|state| format!("concierge_request_output_{state}"))
        );
        let states = [
            "quote_requested",
            "quoted",
            "quote_accepted",
            "working",
            "finished",
            "receipt_created",
            "credit_note_created",
        ];
        assert_eq!(
            event_types(s, &format!("{REQUESTS}/1010")).await,
            states.map(|state| format!("concierge_request_{state}"))
        );
        let timeline = s.get(&format!("/_sandbox/timeline/{OUTPUTS}/{output}")).await.expect(200);
        for transition in &timeline["transitions"].as_array().unwrap()[1..] {
            assert_eq!(transition["cause"]["kind"], "simulation", "{transition}");
        }
    })
    .await;
}

#[tokio::test]
async fn request_transition_settles_its_outputs() {
    account(async |s| {
        manual(s).await;
        for _ in 0..3 {
            s.create_output().await;
        }
        let to = json!({"state": "finished", "through": true});
        assert_eq!(state(simulate_with(s, REQUESTS, "1010", "transition", &to).await), "finished");
        let request = s.attributes_of("1010").await;
        assert_eq!((&request["outputs_settled"], &request["credit_note_url"]), (&json!(3), &Value::Null));
    })
    .await;
}

#[tokio::test]
async fn simulation_moves_many_outputs_before_it_returns() {
    account(async |s| {
        manual(s).await;
        add_many(s).await;
        s.act("1010", "request_quote").await.expect(200);
        assert_eq!(state(simulate(s, REQUESTS, "1010", "quote").await), "quoted");
        assert_eq!(s.count("select count(*) from concierge_request_outputs where budget is null").await, 0);
        assert_eq!(state(simulate(s, REQUESTS, "1010", "expire").await), "cancelled");
        let left = "select count(*) from concierge_request_outputs where state <> 'cancelled'";
        assert_eq!(s.count(left).await, 0);
        assert_eq!(s.attributes_of("1010").await["cancellation_reason"], "quote_not_accepted");
    })
    .await;
}

#[tokio::test]
async fn simulation_settles_many_outputs_before_it_returns() {
    account(async |s| {
        manual(s).await;
        add_many(s).await;
        set_to_work(s).await;
        // three outputs have already left `accepted`
        for (output, verbs) in [("40001", &["work"][..]), ("40002", &["work", "issue", "fail"]), ("40003", &["cancel"])]
        {
            for verb in verbs {
                simulate(s, OUTPUTS, output, verb).await.expect(200);
            }
        }
        let to = json!({"state": "finished", "through": true});
        assert_eq!(state(simulate_with(s, REQUESTS, "1010", "transition", &to).await), "finished");
        let request = s.attributes_of("1010").await;
        assert_eq!((&request["outputs_settled"], &request["outputs_cancelled"]), (&json!(2500), &json!(1)));
        let path = ["working", "settling", "failed", "working", "settling", "settled"];
        let failed_once = event_types(s, &format!("{OUTPUTS}/40002")).await;
        assert_eq!(failed_once[1..], path.map(|state| format!("concierge_request_output_{state}")));
        // the event of the request comes after the events of its outputs
        let last = "select max(id) from events where resource_type = 'concierge_request_outputs'";
        let finished = "select id from events where event_type = 'concierge_request_finished'";
        assert!(s.count(finished).await > s.count(last).await);
    })
    .await;
}

#[tokio::test]
async fn simulation_succeeds_beside_automatic_steps() {
    let at_once =
        |config: &mut Config| (config.quote_delay, config.step_delay, config.check_delay) = Default::default();
    sandbox_with(at_once, async |s| {
        let mut outputs = Vec::new();
        for _ in 0..20 {
            outputs.push(s.create_output().await);
        }
        let to = json!({"state": "settled", "through": true});
        let calls = outputs.iter().map(|output| simulate_with(s, OUTPUTS, output, "transition", &to));
        for answer in join_all(calls).await {
            // an output may have settled before its call
            if answer.status != 200 {
                answer.assert_error(409, "action_not_possible", "");
            }
        }
        assert_eq!(s.count("select count(*) from concierge_request_outputs where state <> 'settled'").await, 0);
        let request = s.attributes_of("1010").await;
        assert_eq!((&request["state"], &request["outputs_settled"]), (&json!("finished"), &json!(20)));
    })
    .await;
}

#[tokio::test]
async fn simulation_during_clock_advance_keeps_event_order() {
    account(async |s| {
        add_many(s).await;
        set_to_work(s).await;
        s.post("/_sandbox/clock/freeze", &json!({})).await.expect(200);
        let (to, minute) = (json!({"state": "finished", "through": true}), json!({"by": "PT1M"}));
        let finishing = simulate_with(s, REQUESTS, "1010", "transition", &to);
        let (finished, advanced) = tokio::join!(finishing, s.post("/_sandbox/clock/advance", &minute));
        assert_eq!(state(finished), "finished");
        advanced.expect(200);
        let back = "select count(*) from (
                select created_at, lag(created_at) over (order by id) as before from events
            ) e where created_at < before";
        assert_eq!(s.count(back).await, 0);
    })
    .await;
}
