//! Webhook handlers that call the API during an advance of the clock.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::{OK, frozen_account};
use crate::support::{Account, Receiver, account};

#[tokio::test(flavor = "multi_thread")]
async fn clock_stands_at_the_event_while_a_handler_calls_back() {
    account(async |s| {
        let account = frozen_account(s).await;
        let handler = Arc::new(Account::of(&s.url(""), &account.key));
        let observed: Arc<Mutex<Vec<(String, String, String)>>> = Arc::default();
        let log = Arc::clone(&observed);
        let receiver = Receiver::handling(move |mut stream, call| {
            let (handler, log) = (Arc::clone(&handler), Arc::clone(&log));
            async move {
                let event: Value = serde_json::from_slice(&call.body).unwrap();
                let text = |name: &str| event["data"]["attributes"][name].as_str().unwrap().to_owned();
                let (event_type, at) = (text("event_type"), text("created_at"));
                let now = handler.now().await;
                log.lock().push((event_type.clone(), at, now));
                match &*event_type {
                    "concierge_request_output_accepted" => {
                        handler.act("1010", "request_quote").await.expect(200);
                    }
                    "concierge_request_quoted" => {
                        handler.act("1010", "accept_quote").await.expect(200);
                    }
                    _ => {}
                }
                stream.write_all(OK.as_bytes()).await.ok();
            }
        })
        .await;
        account.listen(&receiver.url()).await;
        account.create_output().await;
        let advanced = account.advance_by("PT1H").await;
        assert_eq!(account.attribute("/api/concierge_requests/1010", "state").await, "finished");
        let observed = observed.lock().clone();
        assert_eq!(observed.len(), 11, "{observed:?}");
        for (event_type, at, now) in &observed {
            assert_eq!(at, now, "the clock stands during the delivery of {event_type}");
        }
        let at = |name: &str| observed.iter().find(|(event_type, ..)| event_type == name).unwrap().1.clone();
        assert_eq!(at("concierge_request_quoted"), "2019-11-25T12:53:03.741Z");
        assert_eq!(at("concierge_request_output_settled"), "2019-11-25T12:53:06.741Z");
        assert_eq!(advanced["now"], "2019-11-25T13:53:02.741Z");
        // the answer lists events caused by the handler, too
        let listed = super::happened(&advanced);
        assert!(listed.contains(&"12:53:03.741 request_quote_accepted".to_owned()), "{listed:?}");
        assert!(listed.contains(&"12:53:06.741 request_finished #1 200".to_owned()), "{listed:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handler_after_retries_acts_at_the_retry_time() {
    account(async |s| {
        let account = frozen_account(s).await;
        let handler = Arc::new(Account::of(&s.url(""), &account.key));
        // fails twice, with retries after 5 s and 5 min,
        // and accepts at the second retry: the quote expires after 10 min
        let attempts = Arc::new(Mutex::new(0));
        let receiver = Receiver::handling(move |mut stream, call| {
            let (handler, attempts) = (Arc::clone(&handler), Arc::clone(&attempts));
            async move {
                let event: Value = serde_json::from_slice(&call.body).unwrap();
                let mut answer = OK;
                if event["data"]["attributes"]["event_type"] == "concierge_request_quoted" {
                    let count = {
                        let mut attempts = attempts.lock();
                        *attempts += 1;
                        *attempts
                    };
                    if count == 3 {
                        handler.act("1010", "accept_quote").await.expect(200);
                    } else {
                        answer = super::DOWN;
                    }
                }
                stream.write_all(answer.as_bytes()).await.ok();
            }
        })
        .await;
        account.create_output().await;
        account.settle().await;
        account.listen(&receiver.url()).await;
        account.act("1010", "request_quote").await.expect(200);
        account.advance_by("P1D").await;
        let request = account.get("/api/concierge_requests/1010").await.expect(200)["data"]["attributes"].clone();
        assert_eq!(request["state"], "finished");
        let accepted = request["quote_accepted_at"].as_str().unwrap();
        assert!(("2019-11-25T12:57:30Z".."2019-11-25T12:59:00Z").contains(&accepted), "{accepted}");
        assert_eq!(account.get("/_sandbox/clock").await.expect(200)["next_due_at"], json!(null));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handler_gets_409_for_clock_calls_during_an_advance() {
    account(async |s| {
        let account = frozen_account(s).await;
        let handler = Arc::new(Account::of(&s.url(""), &account.key));
        let receiver = Receiver::handling(move |mut stream, call| {
            let handler = Arc::clone(&handler);
            async move {
                let event: Value = serde_json::from_slice(&call.body).unwrap();
                if event["data"]["attributes"]["event_type"] == "concierge_request_output_accepted" {
                    let (hour, nothing) = (json!({"by": "PT1H"}), json!({}));
                    let advanced = handler.post("/_sandbox/clock/advance", &hour).await;
                    advanced.assert_error(409, "clock_moved", "");
                    handler.post("/_sandbox/clock/freeze", &nothing).await.assert_error(409, "clock_moved", "");
                    let named = json!({"name": "amid"});
                    handler.post("/_sandbox/snapshots", &named).await.assert_error(409, "clock_moved", "");
                }
                stream.write_all(OK.as_bytes()).await.ok();
            }
        })
        .await;
        account.listen(&receiver.url()).await;
        account.create_output().await;
        let settled = account.settle().await;
        let expected = ["12:53:03.741 request_output_accepted", "12:53:03.741 request_output_accepted #1 200"];
        assert_eq!(super::happened(&settled), expected);
        assert_eq!(settled["now"], "2019-11-25T12:53:03.741Z");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handler_receives_events_in_order() {
    account(async |s| {
        let account = frozen_account(s).await;
        let mut receiver = Receiver::answering(OK).await;
        account.listen(&receiver.url()).await;
        for _ in 0..8 {
            account.create_output().await;
        }
        account.act("1010", "request_quote").await.expect(200);
        account.settle().await;
        account.act("1010", "accept_quote").await.expect(200);
        account.settle().await;
        let calls = receiver.calls();
        let ids: Vec<i64> = calls.iter().map(|call| call.header("webhook-id").unwrap().parse().unwrap()).collect();
        assert_eq!(ids, (1..=8 * 5 + 6).collect::<Vec<i64>>());
    })
    .await;
}
