//! Moves of a clock while other clients go on calling.

use std::convert::Infallible;
use std::sync::Arc;

use reqwest::Method;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{ADVANCE, OK, frozen_account};
use crate::support::{Account, Receiver, account, send};

/// Creates outputs without end: the next one for each permit.
async fn call(account: &Account, told: &Semaphore) -> Infallible {
    loop {
        told.acquire().await.unwrap().forget();
        account.create_output().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn advance_and_settle_end_under_steady_calls() {
    account(async |s| {
        let account = frozen_account(s).await;
        // two outputs are under way: each delivery of a new one lets the next one be made
        let told = Arc::new(Semaphore::new(2));
        let tell = Arc::clone(&told);
        let receiver = Receiver::deciding(move |call| {
            if String::from_utf8_lossy(&call.body).contains("concierge_request_output_accepting") {
                tell.add_permits(1);
            }
            OK.to_owned()
        })
        .await;
        account.listen(&receiver.url()).await;
        let moves = async {
            for (path, body) in [(ADVANCE, json!({"by": "10s"})), ("/_sandbox/settle", json!({"within": "1s"}))] {
                // the calls go on
                drop(told.acquire().await.unwrap());
                send(account.request(Method::POST, path).json(&body)).await.expect(200);
            }
        };
        tokio::select! {
            never = call(&account, &told) => match never {},
            () = moves => {}
        }
        // nothing is left behind once the calls have ended
        account.settle().await;
        let open = account.get("/api/concierge_request_outputs?filter[state]=accepting").await.expect(200);
        assert_eq!(open["data"], json!([]));
        let events = account.get("/_sandbox/events?page[size]=1000").await.expect(200);
        let events = events["data"].as_array().unwrap();
        assert!(events.iter().all(|event| event["attributes"]["delivered"] == true));
    })
    .await;
}
