//! The order of deliveries.

use std::time::Duration;

use super::{DOWN, OK, about, body, id, listen, types};
use crate::payouts::{pay, thousand};
use crate::support::{Receiver, account};

#[tokio::test]
async fn undelivered_event_delays_no_other_resource() {
    account(async |s| {
        let mut receiver = Receiver::deciding(|call| {
            let resource = body(call)["data"]["relationships"]["resource"]["data"]["id"].clone();
            if resource == "32323" { DOWN.into() } else { OK.into() }
        })
        .await;
        listen(s, &receiver.url()).await;
        for _ in 0..3 {
            s.create_output().await;
        }
        s.tell(Duration::from_secs(1)).await;
        let calls = receiver.calls();
        assert_eq!(types(&about(&calls, "concierge_request_outputs", "32323")), ["concierge_request_output_accepting"]);
        for other in ["32324", "32325"] {
            let expected = ["concierge_request_output_accepting", "concierge_request_output_accepted"];
            assert_eq!(types(&about(&calls, "concierge_request_outputs", other)), expected);
        }
    })
    .await;
}

#[tokio::test]
async fn payout_events_arrive_once_and_in_order() {
    account(async |s| {
        let mut receiver = Receiver::answering(OK).await;
        listen(s, &receiver.url()).await;
        for label in ["", "sandbox:failed|settled", "sandbox:returned", "sandbox:rejected"] {
            for _ in 0..10 {
                pay(s, "1010", label, thousand()).await;
            }
        }
        s.advance(Duration::from_secs(1)).await;
        crate::payouts::set_to_work(s, "1010").await;
        s.tell(Duration::from_mins(1)).await;
        let calls = receiver.calls();
        let events = s.count("select count(*) from events").await;
        let mut ids: Vec<i64> = calls.iter().map(|call| id(call).parse().unwrap()).collect();
        // different resources don't wait for each other
        ids.sort_unstable();
        assert_eq!(ids, (1..=events).collect::<Vec<_>>(), "each once");
        let resources: Vec<(String, i64)> = sqlx::query_as("select distinct resource_type, resource_id from events")
            .fetch_all(s.database())
            .await
            .unwrap();
        assert_eq!(resources.len(), 81, "40 outputs, 40 instructions and the request");
        for (type_name, resource) in resources {
            let delivered: Vec<i64> =
                about(&calls, &type_name, &resource.to_string()).iter().map(|call| id(call).parse().unwrap()).collect();
            assert!(delivered.is_sorted(), "{type_name} {resource}: {delivered:?}");
        }
    })
    .await;
}
