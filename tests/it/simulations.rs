//! What a test has happen: `/_sandbox/simulations`.

use std::time::Duration;

use concierge_sandbox::config::Config;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Account, Answer, account, sandbox, sandbox_with, send};

const OUTPUTS: &str = "concierge_request_outputs";
const REQUESTS: &str = "concierge_requests";

/// From now on nothing happens by itself.
async fn manual(account: &Account) {
    account.patch("/_sandbox/settings", &json!({"progression": "manual"})).await.expect(200);
}

async fn simulate(account: &Account, resource: &str, id: &str, verb: &str) -> Answer {
    send(account.request(Method::POST, &format!("/_sandbox/simulations/{resource}/{id}/{verb}"))).await
}

async fn simulate_with(account: &Account, resource: &str, id: &str, verb: &str, body: &Value) -> Answer {
    account.post(&format!("/_sandbox/simulations/{resource}/{id}/{verb}"), body).await
}

/// The state that an answer shows.
#[track_caller]
fn state(answer: Answer) -> String {
    answer.expect(200)["data"]["attributes"]["state"].as_str().unwrap().to_owned()
}

/// Takes request 1010 to where its outputs are paid.
async fn set_to_work(account: &Account) {
    let to = json!({"state": "working", "through": true});
    assert_eq!(state(simulate_with(account, REQUESTS, "1010", "transition", &to).await), "working");
}

/// The event types told of a resource, the first first.
async fn told(account: &Account, resource: &str) -> Vec<String> {
    let events = account.get(&format!("/_sandbox/events?filter[resource]={resource}")).await.expect(200);
    let events = events["data"].as_array().unwrap();
    events.iter().map(|event| event["attributes"]["event_type"].as_str().unwrap().to_owned()).collect()
}

async fn balance(account: &Account, currency: &str) -> Value {
    let wallet = account.get(&format!("/api/cash_wallets/{currency}")).await.expect(200);
    wallet["data"]["attributes"]["balance"].clone()
}

#[tokio::test]
async fn every_step_of_a_payout_can_be_taken_by_hand() {
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
            told(s, &format!("{OUTPUTS}/{output}")).await,
            states.map(|state| format!("concierge_request_output_{state}"))
        );
        // each at once, on either side of the tick
        assert_eq!(s.count("select count(distinct created_at) from events").await, 2);
    })
    .await;
}

#[tokio::test]
async fn an_output_that_ends_gives_back_what_it_should() {
    for (way, ends, is_returned) in [
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
            for verb in way {
                simulate(s, OUTPUTS, &output, verb).await.expect(200);
            }
            assert_eq!(s.state_of(&output).await, ends);
            let request = s.attributes_of("1010").await;
            assert_eq!(request["state"], "finished", "{ends}");
            assert_eq!(request["credit_note_url"].is_string(), is_returned, "{ends}");
            assert_eq!(balance(s, "ars").await != spent, is_returned, "{ends}");
            if ends != "returned" && is_returned {
                assert_eq!(balance(s, "ars").await, json!(1_000_000), "{ends}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_step_that_is_not_possible_says_what_is() {
    account(async |s| {
        manual(s).await;
        let output = s.create_output().await;
        let refused = simulate(s, OUTPUTS, &output, "settle").await;
        refused.assert_error(409, "action_not_possible", "");
        let detail = refused.body["errors"][0]["detail"].as_str().unwrap();
        assert_eq!(detail, "output 32323 is accepting; settle is not possible then, but accept, reject, cancel");
        simulate(s, OUTPUTS, &output, "accept").await.expect(200);
        // an arrow, but not for an output whose request doesn't work
        let refused = simulate(s, OUTPUTS, &output, "work").await;
        refused.assert_error(409, "action_not_possible", "");
        assert!(refused.text.contains("request 1010 is draft"), "{refused:?}");
        let refused = simulate(s, REQUESTS, "1010", "fund").await;
        refused.assert_error(409, "action_not_possible", "");
        assert!(refused.text.contains("request 1010 is draft; fund is not possible then, but request_quote"));
        set_to_work(s).await;
        simulate(s, REQUESTS, "1010", "finish").await.assert_error(409, "action_not_possible", "");
        simulate(s, "users", "20202", "enable").await.assert_error(409, "action_not_possible", "");
        let to = json!({"state": "settled"});
        let refused = simulate_with(s, OUTPUTS, &output, "transition", &to).await;
        refused.assert_error(409, "action_not_possible", "");
        assert!(refused.text.contains("the way to settled is work, issue, settle"), "{refused:?}");
        let already = json!({"state": "accepted", "through": true});
        simulate_with(s, OUTPUTS, &output, "transition", &already).await.assert_error(409, "action_not_possible", "");
        let back = json!({"state": "rejected", "through": true});
        simulate_with(s, OUTPUTS, &output, "transition", &back).await.assert_error(409, "action_not_possible", "");
        assert_eq!(s.state_of(&output).await, "accepted");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_404_and_a_body_that_says_nothing_known_422() {
    sandbox(async |s| {
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
        send(reader.header("Authorization", "your_read_only_api_key")).await.assert_error(
            401,
            "not_enough_permissions",
            "Authorization",
        );
        assert_eq!(s.state_of(&output).await, "accepting");
    })
    .await;
}

#[tokio::test]
async fn a_reason_is_shown() {
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
async fn a_way_through_has_every_state_between_and_takes_the_request_along() {
    account(async |s| {
        manual(s).await;
        let output = s.create_output().await;
        let to = json!({"state": "returned", "through": true});
        assert_eq!(state(simulate_with(s, OUTPUTS, &output, "transition", &to).await), "returned");
        let states = ["accepting", "accepted", "working", "settling", "failed", "returned"];
        assert_eq!(
            told(s, &format!("{OUTPUTS}/{output}")).await,
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
            told(s, &format!("{REQUESTS}/1010")).await,
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
async fn a_request_is_taken_to_its_end_with_its_outputs() {
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

/// Adds many accepted outputs to request 1010, as copies of its first one.
async fn add_many(account: &Account) {
    let output = account.create_output().await;
    assert_eq!(output, "32323");
    account
        .sql(
            "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id, port_code,
                amount, state, created_at, state_since)
            select account_id, 40000 + n, request_id, user_id, withdrawal_instruction_id, port_code, 1, 'accepted', created_at,
                created_at
            from concierge_request_outputs, generate_series(1, 2500) n;
            insert into events (account_id, id, event_type, resource_type, resource_id, created_at, cause)
            select account_id, row_number() over () + 1, 'concierge_request_output_accepted', 'concierge_request_outputs', id,
                created_at, 'request'
            from concierge_request_outputs where id > 40000;
            update id_counters set next_id = 2502 where type = 'events'",
        )
        .await;
}

#[tokio::test]
async fn many_outputs_go_along_before_the_call_returns() {
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
async fn many_outputs_are_settled_before_the_call_returns() {
    account(async |s| {
        manual(s).await;
        add_many(s).await;
        set_to_work(s).await;
        // some are elsewhere by then
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
        let way = ["working", "settling", "failed", "working", "settling", "settled"];
        let failed_once = told(s, &format!("{OUTPUTS}/40002")).await;
        assert_eq!(failed_once[1..], way.map(|state| format!("concierge_request_output_{state}")));
        // its end is told behind theirs
        let last = "select max(id) from events where resource_type = 'concierge_request_outputs'";
        let finished = "select id from events where event_type = 'concierge_request_finished'";
        assert!(s.count(finished).await > s.count(last).await);
    })
    .await;
}

#[tokio::test]
async fn what_goes_on_by_itself_meanwhile_is_no_hindrance() {
    let at_once =
        |config: &mut Config| (config.quote_delay, config.step_delay, config.check_delay) = Default::default();
    sandbox_with(at_once, async |s| {
        let mut outputs = Vec::new();
        for _ in 0..20 {
            outputs.push(s.create_output().await);
        }
        let to = json!({"state": "settled", "through": true});
        let ways = outputs.iter().map(|output| simulate_with(s, OUTPUTS, output, "transition", &to));
        for answer in join_all(ways).await {
            // one that came there before its call is there already
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
async fn a_quote_has_the_prices_it_is_given() {
    account(async |s| {
        manual(s).await;
        let output = s.create_output().await;
        s.act("1010", "request_quote").await.expect(200);
        for prices in [json!({"cl_xxx": {}}), json!({"cl_clp": {"per_usd": 0, "fee": 0, "cost": 0}}), json!([])] {
            let refused = simulate_with(s, REQUESTS, "1010", "quote", &json!({"prices": prices})).await;
            refused.assert_error(422, "attribute_invalid", "/prices");
        }
        let one_to_one = json!({"per_usd": 1, "fee": 0, "cost": 0});
        let prices = json!({"prices": {"cl_clp": one_to_one, "ar_ars": one_to_one}});
        let quoted = simulate_with(s, REQUESTS, "1010", "quote", &prices).await.expect(200);
        assert_eq!(quoted["data"]["attributes"]["total_to_spend"], 1000);
        let shown = s.get(&format!("/api/concierge_request_outputs/{output}")).await.expect(200);
        assert_eq!(shown["data"]["attributes"]["budget"], 1000);
    })
    .await;
}

#[tokio::test]
async fn a_quote_that_others_began_begins_anew_with_the_prices_it_is_given() {
    account(async |s| {
        manual(s).await;
        add_many(s).await;
        s.act("1010", "request_quote").await.expect(200);
        // as a server leaves it that is killed meanwhile
        s.sql("update concierge_requests set outputs_done_to = 41000 where id = 1010").await;
        let one_to_one = json!({"per_usd": 1, "fee": 0, "cost": 0});
        let prices = json!({"prices": {"cl_clp": one_to_one, "ar_ars": one_to_one}});
        let quoted = simulate_with(s, REQUESTS, "1010", "quote", &prices).await.expect(200);
        assert_eq!(quoted["data"]["attributes"]["total_to_spend"], 3500);
    })
    .await;
}

#[tokio::test]
async fn what_is_done_while_time_goes_on_is_done_in_its_order() {
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

#[tokio::test]
async fn money_comes_and_goes() {
    account(async |s| {
        let money = |currency: &str, amount: Value| json!({"currency": currency, "amount": amount});
        simulate_with(s, "users", "50505", "debit", &money("ARS", json!(999_999.5))).await.expect(200);
        assert_eq!(balance(s, "ars").await, json!(0.5));
        let refused = simulate_with(s, "users", "50505", "debit", &money("ars", json!(1))).await;
        refused.assert_error(409, "funds_missing", "/amount");
        simulate_with(s, "users", "50505", "debit", &money("eur", json!(1))).await.assert_error(
            409,
            "funds_missing",
            "/amount",
        );
        for (body, pointer) in [
            (money("xyz", json!(1)), "/currency"),
            (money("ars", json!(0)), "/amount"),
            (money("ars", json!("much")), "/amount"),
        ] {
            let refused = simulate_with(s, "users", "50505", "credit", &body).await;
            assert_eq!((refused.status, refused.errors()[0].2.as_str()), (422, pointer), "{body}");
        }
        // who waits for it goes on at once
        s.create_output().await;
        s.act("1010", "request_quote").await.expect(200);
        s.advance(Duration::from_secs(2)).await;
        s.act("1010", "accept_quote").await.expect(200);
        s.tick().await;
        assert_eq!(s.attributes_of("1010").await["state"], "quote_accepted");
        simulate_with(s, "users", "50505", "credit", &money("ars", json!("1000"))).await.expect(200);
        s.tick().await;
        assert_eq!(s.attributes_of("1010").await["state"], "working");
    })
    .await;
}

#[tokio::test]
async fn who_funds_a_request_provides_what_is_missing() {
    account(async |s| {
        manual(s).await;
        s.create_output().await;
        s.sql("update cash_wallets set balance = 80 where currency = 'ars'").await;
        let to = json!({"state": "quote_accepted", "through": true});
        simulate_with(s, REQUESTS, "1010", "transition", &to).await.expect(200);
        assert_eq!(state(simulate(s, REQUESTS, "1010", "fund").await), "working");
        assert_eq!(balance(s, "ars").await, json!(0));
    })
    .await;
}

#[tokio::test]
async fn a_decision_about_a_payee_runs_the_checks_that_waited() {
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
            assert_eq!(told(s, &format!("users/{payee}")).await, [format!("user_{compliance}")]);
            s.tick().await;
            assert_eq!(s.state_of(&output).await, ends);
        })
        .await;
    }
}

#[tokio::test]
async fn another_account_is_out_of_reach() {
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
async fn a_simulation_comes_before_whatever_else_decides() {
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
