//! Standing still, running on, and being moved on.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ADVANCE, CLOCK, DOWN, OK, draft_with_output, happened, standing};
use crate::support::{Receiver, account, database, documented_output, sandbox, within};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_clock_stands_still_and_runs_on() {
    sandbox(async |s| {
        let [account, other] = [s.account(json!({})).await, s.account(json!({})).await];
        let running = json!({"now": "2019-11-25T12:53:02.741Z", "frozen": false, "ahead_seconds": 0.0,
            "next_due_at": "2019-12-25T12:53:02.741Z"});
        assert_eq!(account.get(CLOCK).await.expect(200), running);
        s.advance(SECOND).await;
        assert_eq!(account.now().await, "2019-11-25T12:53:03.741Z");
        let frozen = account.post("/_sandbox/clock/freeze", &json!({})).await.expect(200);
        assert_eq!((&frozen["now"], &frozen["frozen"]), (&json!("2019-11-25T12:53:03.741Z"), &json!(true)));
        for account in [&account, &other] {
            account.create_output().await;
        }
        s.tell(Duration::from_hours(1)).await;
        assert_eq!(account.state_of("32323").await, "accepting");
        assert_eq!(other.state_of("32323").await, "accepted");
        assert_eq!(account.get(CLOCK).await.expect(200)["next_due_at"], "2019-11-25T12:53:04.741Z");
        // twice is once
        assert_eq!(account.post("/_sandbox/clock/freeze", &json!({})).await.expect(200)["now"], frozen["now"]);
        for _ in 0..2 {
            let resumed = account.post("/_sandbox/clock/resume", &json!({})).await.expect(200);
            assert_eq!((&resumed["now"], &resumed["frozen"]), (&frozen["now"], &json!(false)));
            assert_eq!(resumed["ahead_seconds"], -3600.0);
        }
        s.tell(SECOND).await;
        assert_eq!(account.now().await, "2019-11-25T12:53:04.741Z");
        assert_eq!(account.state_of("32323").await, "accepted");
        assert_eq!(account.events().await[1].3, "2019-11-25T12:53:04.741Z");
        assert_eq!(other.now().await, "2019-11-25T13:53:04.741Z");
    })
    .await;
}

#[tokio::test]
async fn what_is_due_on_the_way_has_happened_when_the_call_returns() {
    account(async |s| {
        let account = standing(s).await;
        let other = standing(s).await;
        other.create_output().await;
        account.create_output().await;
        let moved = account.advance_by("PT0.999S").await;
        assert_eq!(happened(&moved), [""; 0]);
        assert_eq!(
            (&moved["from"], &moved["to"]),
            (&json!("2019-11-25T12:53:02.741Z"), &json!("2019-11-25T12:53:03.740Z"))
        );
        assert_eq!(account.state_of("32323").await, "accepting");
        let moved = account.advance_by("1ms").await;
        assert_eq!(moved["now"], "2019-11-25T12:53:03.741Z");
        assert_eq!((&moved["frozen"], &moved["more_happened"]), (&json!(true), &json!(false)));
        let event = json!([{"at": "2019-11-25T12:53:03.741Z",
            "event": {"id": "2", "event_type": "concierge_request_output_accepted"},
            "resource": {"type": "concierge_request_outputs", "id": "32323"}}]);
        assert_eq!(moved["happened"], event);
        let moved = account.post(ADVANCE, &json!({"to": "2019-12-25T12:53:03.741+00:00"})).await.expect(200);
        assert_eq!(moved["now"], "2019-12-25T12:53:03.741Z");
        assert_eq!(happened(&moved), ["12:53:02.741 request_cancelled", "12:53:02.741 request_output_cancelled"]);
        assert_eq!(moved["happened"][0]["at"], "2019-12-25T12:53:02.741Z");
        // nowhere is somewhere to go
        assert_eq!(happened(&account.advance_by("PT0S").await), [""; 0]);
        assert_eq!(other.now().await, "2019-11-25T12:53:02.741Z", "another's is left alone");
        assert_eq!(other.state_of("32323").await, "accepting");
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_runs_is_moved_on_and_runs_on() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        account.create_output().await;
        let moved = account.advance_by("P2D").await;
        assert_eq!((&moved["frozen"], &moved["ahead_seconds"]), (&json!(false), &json!(172_800.0)));
        assert_eq!(happened(&moved), ["12:53:03.741 request_output_accepted"]);
        account.create_output().await;
        s.tell(SECOND).await;
        assert_eq!(account.now().await, "2019-11-27T12:53:03.741Z");
        assert_eq!(account.state_of("32324").await, "accepted");
        // set says what it does then
        let set = json!({"to": "2020-01-01T00:00:00Z", "frozen": true});
        let moved = account.post("/_sandbox/clock/set", &set).await.expect(200);
        assert_eq!((&moved["now"], &moved["frozen"]), (&json!("2020-01-01T00:00:00.000Z"), &json!(true)));
        s.tell(SECOND).await;
        assert_eq!(account.now().await, "2020-01-01T00:00:00.000Z");
        let set = json!({"to": "2020-01-01T00:00:00Z", "frozen": false});
        account.post("/_sandbox/clock/set", &set).await.expect(200);
        s.tell(SECOND).await;
        assert_eq!(account.now().await, "2020-01-01T00:00:01.000Z");
        let set = json!({"to": "2020-01-01T00:00:02Z"});
        assert_eq!(account.post("/_sandbox/clock/set", &set).await.expect(200)["frozen"], false, "as it was");
    })
    .await;
}

#[tokio::test]
async fn what_happened_is_told_in_order_attempts_included() {
    account(async |s| {
        let account = standing(s).await;
        let receiver = Receiver::deciding(|call| {
            let first = String::from_utf8_lossy(&call.body).contains(r#""id":"1""#);
            if first { DOWN.into() } else { OK.into() }
        })
        .await;
        account.listen(&receiver.url()).await;
        account.create_output().await;
        account.create_output().await;
        let moved = account.advance_by("PT10S").await;
        let told = happened(&moved);
        // of the first one, the acceptance waits; what was told where the clock stood is none of this
        let at_once = ["12:53:03.741 request_output_accepted"; 2];
        assert_eq!(told[..2], at_once);
        assert_eq!(told[2], "12:53:03.741 request_output_accepted #1 200");
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(told[3].ends_with("request_output_accepting #2 500"), "{told:?}");
        let retried = &moved["happened"][3];
        assert_eq!(retried["attempt"], json!({"number": 2, "status": 500, "error": "answered 500"}));
        assert_eq!(retried["event"]["id"], "1");
        let next = &account.get("/_sandbox/events/1").await.expect(200)["data"]["attributes"]["attempts"];
        assert_eq!(next[0]["next_attempt_at"], retried["at"], "at its own due time");
        assert_eq!(next[1]["at"], retried["at"]);
    })
    .await;
}

#[tokio::test]
async fn settling_takes_what_is_due_soon_and_no_deadline() {
    account(async |s| {
        let account = standing(s).await;
        let request = "/api/concierge_requests/1010";
        account.create_output().await;
        let settled = account.settle().await;
        assert_eq!(happened(&settled), ["12:53:03.741 request_output_accepted"]);
        assert_eq!(settled["now"], "2019-11-25T12:53:03.741Z", "no further than it has to");
        assert_eq!(happened(&account.settle().await), [""; 0]);
        account.act("1010", "request_quote").await.expect(200);
        account.settle().await;
        assert_eq!(account.attribute(request, "state").await, "quoted", "a quote doesn't expire of it");
        account.act("1010", "accept_quote").await.expect(200);
        let settled = account.settle().await;
        assert_eq!(settled["now"], "2019-11-25T12:53:06.741Z");
        assert_eq!(settled["next_due_at"], Value::Null);
        assert_eq!(account.attribute(request, "state").await, "finished");
        // more is done where more is asked for
        let (draft, _) = draft_with_output(&account, "cl_clp").await;
        account.act(&draft, "request_quote").await.expect(200);
        account.settle().await;
        let path = "/_sandbox/settle";
        account.post(path, &json!({"within": "PT9M"})).await.expect(200);
        assert_eq!(account.attribute(&format!("/api/concierge_requests/{draft}"), "state").await, "quoted");
        let settled = account.post(path, &json!({"within": "PT10M"})).await.expect(200);
        assert!(happened(&settled).contains(&"13:03:06.741 request_cancelled".to_owned()), "{settled}");
        for (body, code, pointer) in [
            (json!({"within": "soon"}), "attribute_invalid", "/within"),
            (json!({"within": "-PT1S"}), "attribute_invalid", "/within"),
            (json!({"until": "x"}), "attribute_unknown", "/until"),
        ] {
            account.post(path, &body).await.assert_error(422, code, pointer);
        }
    })
    .await;
}

#[tokio::test]
async fn a_running_account_settles_too() {
    account(async |s| {
        let account = s.account(json!({})).await;
        account.create_output().await;
        let settled = account.settle().await;
        assert_eq!((&settled["now"], &settled["frozen"]), (&json!("2019-11-25T12:53:03.741Z"), &json!(false)));
        assert_eq!(account.state_of("32323").await, "accepted");
    })
    .await;
}

#[tokio::test]
async fn a_thousand_things_are_listed() {
    sandbox(async |s| {
        let account = standing(s).await;
        let row = account.row(s.database()).await;
        let sql =
            "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id,
                port_code, amount, state, created_at, state_since, due_at)
            select $1, 100000 + n, 1010, 20202, 2121, 'cl_clp', 1, 'accepting', t, t, t + n * interval '1 ms'
            from generate_series(1, 1200) n, (select timestamptz '2019-11-25T12:53:02.741Z') at (t)";
        sqlx::query(sql).bind(row).execute(s.database()).await.unwrap();
        let moved = account.advance_by("PT1.1S").await;
        assert_eq!(moved["happened"].as_array().unwrap().len(), 1000);
        assert_eq!(moved["more_happened"], true);
        assert_eq!(moved["happened"][999]["at"], "2019-11-25T12:53:03.741Z", "the first of them");
        let moved = account.advance_by("PT1S").await;
        assert_eq!((moved["happened"].as_array().unwrap().len(), &moved["more_happened"]), (100, &json!(false)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_moves_at_the_same_time_each_counts() {
    account(async |s| {
        let account = standing(s).await;
        account.create_output().await;
        let (minute, second) = (json!({"by": "PT1M"}), json!({"by": "PT1S"}));
        let moves = [&second, &minute, &second, &minute, &second].map(|by| account.post(ADVANCE, by));
        let answers = within(futures_util::future::join_all(moves)).await;
        let mut walks: Vec<Value> = answers.into_iter().map(|answer| answer.expect(200)).collect();
        assert_eq!(account.now().await, "2019-11-25T12:55:05.741Z");
        // one after the other, each with what happened in it
        walks.sort_by_key(|walk| walk["to"].as_str().unwrap().to_owned());
        for pair in walks.windows(2) {
            assert_eq!(pair[0]["to"], pair[1]["from"]);
        }
        let told: Vec<String> = walks.iter().flat_map(happened).collect();
        assert_eq!(told, ["12:53:03.741 request_output_accepted"]);
    })
    .await;
}

#[tokio::test]
async fn a_move_whose_client_hangs_up_comes_to_its_end() {
    account(async |s| {
        let account = standing(s).await;
        let (mut receiver, go) = Receiver::gated().await;
        account.listen(&receiver.url()).await;
        account.create_output().await;
        let hour = json!({"by": "PT1H"});
        {
            let advance = account.post(ADVANCE, &hour);
            tokio::select! {
                answer = advance => panic!("{answer:?} before its event was received"),
                _ = receiver.call() => {}
            }
        }
        for _ in 0..2 {
            go.notify_one();
        }
        within(async { while account.now().await != "2019-11-25T13:53:02.741Z" {} }).await;
        assert_eq!(account.state_of("32323").await, "accepted");
    })
    .await;
}

#[tokio::test]
async fn what_is_due_when_a_clock_is_stopped_has_happened() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        for _ in 0..3 {
            for _ in 0..5 {
                account.create_output().await;
            }
            s.clock.advance(SECOND);
            account.post("/_sandbox/clock/freeze", &json!({})).await.expect(200);
            let page = account.get("/api/concierge_request_outputs?filter[state]=accepting").await.expect(200);
            assert_eq!(page["data"], json!([]));
            account.post("/_sandbox/clock/resume", &json!({})).await.expect(200);
        }
    })
    .await;
}

#[tokio::test]
async fn a_reset_ends_a_move() {
    account(async |s| {
        let account = standing(s).await;
        let mut receiver = Receiver::hanging().await;
        account.listen(&receiver.url()).await;
        account.create_output().await;
        let (hour, begun) = (json!({"by": "PT1H"}), json!({"clock": {"now": "2030-01-01T00:00:00Z"}}));
        let advance = account.post(ADVANCE, &hour);
        // one that waits for its turn meanwhile is one of the old world, too
        let later = account.post(ADVANCE, &hour);
        let reset = async {
            receiver.call().await;
            account.post("/_sandbox/reset", &begun).await.expect(204);
        };
        let (advanced, later, ()) = tokio::join!(advance, later, reset);
        advanced.assert_error(409, "clock_moved", "");
        later.assert_error(409, "clock_moved", "");
        assert_eq!(account.now().await, "2030-01-01T00:00:00.000Z");
        assert_eq!(account.post("/api/concierge_request_outputs", &documented_output()).await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn a_move_that_is_under_way_does_not_hold_up_the_end_of_the_server() {
    database(async |database| {
        let sandbox = database.server().await;
        let account = standing(&sandbox).await;
        let mut receiver = Receiver::hanging().await;
        account.listen(&receiver.url()).await;
        account.create_output().await;
        let hour = json!({"by": "PT1H"});
        let advancing = async { account.post(ADVANCE, &hour).await };
        let stopping = async {
            receiver.call().await;
            let begun = std::time::Instant::now();
            database.stop_now(sandbox).await;
            begun.elapsed()
        };
        let (answer, took) = tokio::join!(advancing, stopping);
        answer.assert_error(503, "unavailable", "");
        assert!(took < Duration::from_secs(8), "{took:?}");
    })
    .await;
}
