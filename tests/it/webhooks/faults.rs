//! Injected faults of webhook deliveries.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{OK, attempts, body, id, start_receiver, types};
use crate::support::{Account, Receiver, account, send};

const ACCEPTING: &str = "concierge_request_output_accepting";
const ACCEPTED: &str = "concierge_request_output_accepted";
const SECOND: Duration = Duration::from_secs(1);

/// Sets a fault, creates an output, and returns the receiver of its events.
async fn receiver_with_fault(account: &Account, fault: Value) -> Receiver {
    let receiver = start_receiver(account, OK).await;
    let faults = json!({"data": [fault] });
    send(account.request(Method::PUT, "/_sandbox/faults").json(&faults)).await.expect(200);
    account.create_output().await;
    receiver
}

async fn hits(account: &Account) -> Value {
    account.get("/_sandbox/faults").await.expect(200)["data"][0]["hits"].clone()
}

#[tokio::test]
async fn duplicate_fault_sends_an_event_twice() {
    account(async |s| {
        let mut receiver = receiver_with_fault(s, json!({"webhook": ACCEPTING, "duplicate": true})).await;
        s.tell(SECOND).await;
        let calls = receiver.calls();
        assert_eq!(types(&calls), [ACCEPTING, ACCEPTING, ACCEPTED]);
        assert_eq!((id(&calls[0]), &calls[0].body), (id(&calls[1]), &calls[1].body));
        assert_eq!(hits(s).await, 1);
    })
    .await;
}

#[tokio::test]
async fn dropped_event_counts_as_delivered() {
    account(async |s| {
        let mut receiver = receiver_with_fault(s, json!({"webhook": "*_accepting", "drop": true})).await;
        s.tell(SECOND).await;
        assert_eq!(types(&receiver.calls()), [ACCEPTED]);
        let event = s.get("/_sandbox/events/1").await.expect(200);
        assert_eq!(event["data"]["attributes"]["delivery_state"], "delivered");
        assert_eq!(event["data"]["attributes"]["attempts"][0]["response"], "not sent: a fault dropped it");
    })
    .await;
}

#[tokio::test]
async fn delayed_event_holds_back_later_events() {
    account(async |s| {
        let mut receiver = receiver_with_fault(s, json!({"webhook": ACCEPTING, "delay": "90s"})).await;
        s.tell(89 * SECOND).await;
        assert_eq!(types(&receiver.calls()), [""; 0]);
        s.tell(SECOND).await;
        let calls = receiver.calls();
        assert_eq!(types(&calls), [ACCEPTING, ACCEPTED]);
        assert_eq!(body(&calls[0])["data"]["attributes"]["sent_at"], "2019-11-25T12:54:32.741Z");
        // a delay is not an attempt
        assert_eq!(attempts(s, "1").await.len(), 1);
        assert_eq!(hits(s).await, 1);
    })
    .await;
}

#[tokio::test]
async fn reorder_fault_swaps_two_events() {
    account(async |s| {
        let mut receiver = receiver_with_fault(s, json!({"webhook": "*", "reorder": true})).await;
        s.tell(4 * SECOND).await;
        assert_eq!(types(&receiver.calls()), [""; 0]);
        s.tell(SECOND).await;
        assert_eq!(types(&receiver.calls()), [ACCEPTED, ACCEPTING]);
    })
    .await;
}

#[tokio::test]
async fn reordered_event_without_successor_is_only_late() {
    account(async |s| {
        let mut receiver = receiver_with_fault(s, json!({"webhook": ACCEPTED, "reorder": true, "times": 1})).await;
        s.tell(5 * SECOND).await;
        assert_eq!(types(&receiver.calls()), [ACCEPTING]);
        s.tell(SECOND).await;
        assert_eq!(types(&receiver.calls()), [ACCEPTED]);
    })
    .await;
}

#[tokio::test]
async fn bad_auth_fault_changes_the_auth_header() {
    account(async |s| {
        let mut receiver = receiver_with_fault(s, json!({"webhook": ACCEPTING, "bad_auth": true, "times": 1})).await;
        s.tell(SECOND).await;
        let calls = receiver.calls();
        let header = |place: usize, name| calls[place].header(name).unwrap();
        assert_ne!(header(0, "webhook-auth"), header(1, "webhook-auth"));
        assert_eq!(header(0, "webhook-auth").len(), 64);
    })
    .await;
}

#[tokio::test]
async fn faults_act_at_their_times_during_an_advance() {
    account(async |s| {
        let mut receiver = receiver_with_fault(s, json!({"webhook": ACCEPTING, "delay": "PT1H", "times": 1})).await;
        let advanced = s.post("/_sandbox/clock/advance", &json!({"by": "PT2H"})).await.expect(200);
        assert_eq!(types(&receiver.calls()), [ACCEPTING, ACCEPTED]);
        let tried =
            advanced["happened"].as_array().unwrap().iter().find(|happened| happened["attempt"].is_object()).unwrap();
        assert_eq!(tried["at"], "2019-11-25T13:53:02.741Z");
    })
    .await;
}
