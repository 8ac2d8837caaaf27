//! Freeze, resume, advance, set and settle.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ADVANCE, CLOCK, DOWN, OK, draft_with_output, frozen_account, happened};
use crate::support::{Receiver, account, database, documented_output, sandbox, within};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn clock_freezes_and_resumes() {
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
        // both calls are idempotent
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
async fn clock_advance_runs_due_timers_before_it_returns() {
    account(async |s| {
        let account = frozen_account(s).await;
        let other = frozen_account(s).await;
        other.create_output().await;
        account.create_output().await;
        let advanced = account.advance_by("PT0.999S").await;
        assert_eq!(happened(&advanced), [""; 0]);
        assert_eq!(
            (&advanced["from"], &advanced["to"]),
            (&json!("2019-11-25T12:53:02.741Z"), &json!("2019-11-25T12:53:03.740Z"))
        );
        assert_eq!(account.state_of("32323").await, "accepting");
        let advanced = account.advance_by("1ms").await;
        assert_eq!(advanced["now"], "2019-11-25T12:53:03.741Z");
        assert_eq!((&advanced["frozen"], &advanced["more_happened"]), (&json!(true), &json!(false)));
        let event = json!([{"at": "2019-11-25T12:53:03.741Z",
            "event": {"id": "2", "event_type": "concierge_request_output_accepted"},
            "resource": {"type": "concierge_request_outputs", "id": "32323"}}]);
        assert_eq!(advanced["happened"], event);
        let advanced = account.post(ADVANCE, &json!({"to": "2019-12-25T12:53:03.741+00:00"})).await.expect(200);
        assert_eq!(advanced["now"], "2019-12-25T12:53:03.741Z");
        assert_eq!(happened(&advanced), ["12:53:02.741 request_cancelled", "12:53:02.741 request_output_cancelled"]);
        assert_eq!(advanced["happened"][0]["at"], "2019-12-25T12:53:02.741Z");
        // an advance by zero is valid
        assert_eq!(happened(&account.advance_by("PT0S").await), [""; 0]);
        assert_eq!(other.now().await, "2019-11-25T12:53:02.741Z", "the clock of the other account stays");
        assert_eq!(other.state_of("32323").await, "accepting");
    })
    .await;
}

#[tokio::test]
async fn running_clock_keeps_running_after_advance_and_set() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        account.create_output().await;
        let advanced = account.advance_by("P2D").await;
        assert_eq!((&advanced["frozen"], &advanced["ahead_seconds"]), (&json!(false), &json!(172_800.0)));
        assert_eq!(happened(&advanced), ["12:53:03.741 request_output_accepted"]);
        account.create_output().await;
        s.tell(SECOND).await;
        assert_eq!(account.now().await, "2019-11-27T12:53:03.741Z");
        assert_eq!(account.state_of("32324").await, "accepted");
        // `set` can freeze the clock as well
        let set = json!({"to": "2020-01-01T00:00:00Z", "frozen": true});
        let advanced = account.post("/_sandbox/clock/set", &set).await.expect(200);
        assert_eq!((&advanced["now"], &advanced["frozen"]), (&json!("2020-01-01T00:00:00.000Z"), &json!(true)));
        s.tell(SECOND).await;
        assert_eq!(account.now().await, "2020-01-01T00:00:00.000Z");
        let set = json!({"to": "2020-01-01T00:00:00Z", "frozen": false});
        account.post("/_sandbox/clock/set", &set).await.expect(200);
        s.tell(SECOND).await;
        assert_eq!(account.now().await, "2020-01-01T00:00:01.000Z");
        let set = json!({"to": "2020-01-01T00:00:02Z"});
        assert_eq!(
            account.post("/_sandbox/clock/set", &set).await.expect(200)["frozen"],
            false,
            "`frozen` stays as before"
        );
    })
    .await;
}

#[tokio::test]
async fn clock_advance_lists_events_and_attempts_in_order() {
    account(async |s| {
        let account = frozen_account(s).await;
        let receiver = Receiver::deciding(|call| {
            let first = String::from_utf8_lossy(&call.body).contains(r#""id":"1""#);
            if first { DOWN.into() } else { OK.into() }
        })
        .await;
        account.listen(&receiver.url()).await;
        account.create_output().await;
        account.create_output().await;
        let advanced = account.advance_by("PT10S").await;
        let events = happened(&advanced);
        // the second event of output 1 waits for its first;
        // deliveries from before the advance aren't listed
        let at_once = ["12:53:03.741 request_output_accepted"; 2];
        assert_eq!(events[..2], at_once);
        assert_eq!(events[2], "12:53:03.741 request_output_accepted #1 200");
        assert_eq!(events.len(), 4, "{events:?}");
        assert!(events[3].ends_with("request_output_accepting #2 500"), "{events:?}");
        let retried = &advanced["happened"][3];
        assert_eq!(retried["attempt"], json!({"number": 2, "status": 500, "error": "answered 500"}));
        assert_eq!(retried["event"]["id"], "1");
        let next = &account.get("/_sandbox/events/1").await.expect(200)["data"]["attributes"]["attempts"];
        assert_eq!(next[0]["next_attempt_at"], retried["at"], "retried at its due time");
        assert_eq!(next[1]["at"], retried["at"]);
    })
    .await;
}

#[tokio::test]
async fn settle_runs_near_timers_but_no_deadline() {
    account(async |s| {
        let account = frozen_account(s).await;
        let request = "/api/concierge_requests/1010";
        account.create_output().await;
        let settled = account.settle().await;
        assert_eq!(happened(&settled), ["12:53:03.741 request_output_accepted"]);
        assert_eq!(settled["now"], "2019-11-25T12:53:03.741Z", "advances no further than the last near timer");
        assert_eq!(happened(&account.settle().await), [""; 0]);
        account.act("1010", "request_quote").await.expect(200);
        account.settle().await;
        assert_eq!(account.attribute(request, "state").await, "quoted", "settle lets no quote expire");
        account.act("1010", "accept_quote").await.expect(200);
        let settled = account.settle().await;
        assert_eq!(settled["now"], "2019-11-25T12:53:06.741Z");
        assert_eq!(settled["next_due_at"], Value::Null);
        assert_eq!(account.attribute(request, "state").await, "finished");
        // a longer `within` reaches the deadline
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
async fn settle_works_with_a_running_clock() {
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
async fn clock_advance_lists_the_first_thousand_events() {
    sandbox(async |s| {
        let account = frozen_account(s).await;
        let row = account.row(s.database()).await;
        let sql =
            "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id,
                port_code, amount, state, created_at, state_since, due_at)
            select $1, 100000 + n, 1010, 20202, 2121, 'cl_clp', 1, 'accepting', t, t, t + n * interval '1 ms'
            from generate_series(1, 1200) n, (select timestamptz '2019-11-25T12:53:02.741Z') at (t)";
        sqlx::query(sql).bind(row).execute(s.database()).await.unwrap();
        let advanced = account.advance_by("PT1.1S").await;
        assert_eq!(advanced["happened"].as_array().unwrap().len(), 1000);
        assert_eq!(advanced["more_happened"], true);
        assert_eq!(advanced["happened"][999]["at"], "2019-11-25T12:53:03.741Z", "the first thousand events");
        let advanced = account.advance_by("PT1S").await;
        assert_eq!((advanced["happened"].as_array().unwrap().len(), &advanced["more_happened"]), (100, &json!(false)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_advances_add_up() {
    account(async |s| {
        let account = frozen_account(s).await;
        account.create_output().await;
        let (minute, second) = (json!({"by": "PT1M"}), json!({"by": "PT1S"}));
        let calls = [&second, &minute, &second, &minute, &second].map(|by| account.post(ADVANCE, by));
        let answers = within(futures_util::future::join_all(calls)).await;
        let mut advances: Vec<Value> = answers.into_iter().map(|answer| answer.expect(200)).collect();
        assert_eq!(account.now().await, "2019-11-25T12:55:05.741Z");
        // advances run in sequence; each lists its own events
        advances.sort_by_key(|advance| advance["to"].as_str().unwrap().to_owned());
        for pair in advances.windows(2) {
            assert_eq!(pair[0]["to"], pair[1]["from"]);
        }
        let events: Vec<String> = advances.iter().flat_map(happened).collect();
        assert_eq!(events, ["12:53:03.741 request_output_accepted"]);
    })
    .await;
}

#[tokio::test]
async fn clock_advance_completes_after_the_client_hangs_up() {
    account(async |s| {
        let account = frozen_account(s).await;
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
async fn freeze_runs_timers_that_are_already_due() {
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
async fn reset_aborts_a_clock_advance() {
    account(async |s| {
        let account = frozen_account(s).await;
        let mut receiver = Receiver::hanging().await;
        account.listen(&receiver.url()).await;
        account.create_output().await;
        let (hour, clock) = (json!({"by": "PT1H"}), json!({"clock": {"now": "2030-01-01T00:00:00Z"}}));
        let advance = account.post(ADVANCE, &hour);
        // a queued advance belongs to the old account state, too
        let later = account.post(ADVANCE, &hour);
        let reset = async {
            receiver.call().await;
            account.post("/_sandbox/reset", &clock).await.expect(204);
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
async fn server_stops_during_a_clock_advance() {
    database(async |database| {
        let sandbox = database.server().await;
        let account = frozen_account(&sandbox).await;
        let mut receiver = Receiver::hanging().await;
        account.listen(&receiver.url()).await;
        account.create_output().await;
        let hour = json!({"by": "PT1H"});
        let advancing = async { account.post(ADVANCE, &hour).await };
        let stopping = async {
            receiver.call().await;
            let started = std::time::Instant::now();
            database.stop_now(sandbox).await;
            started.elapsed()
        };
        let (answer, took) = tokio::join!(advancing, stopping);
        answer.assert_error(503, "unavailable", "");
        assert!(took < Duration::from_secs(8), "{took:?}");
    })
    .await;
}
