//! Redelivery of single events, in every delivery state.

use concierge_sandbox::jsonapi::render::timestamp;
use reqwest::Method;
use serde_json::json;
use time::OffsetDateTime;

use super::{
    FAR, MASTER, OUTPUT, PATH, PAYEE, Silent, ids, payout, put, queued, redeliver, set_url, shown, sql_time, state,
};
use crate::support::{Account, account, documented_output, sandbox, send};

/// Returns the events of [`payout`]'s output, and puts the first ones into these delivery states.
async fn output_in(account: &Account, states: &[&str]) -> Vec<i64> {
    payout(account).await;
    let events = ids(account, &format!("filter[resource]={OUTPUT}")).await;
    for (event, state) in events.iter().zip(states) {
        put(account, *event, state).await;
    }
    events
}

#[tokio::test]
async fn unqueued_event_goes_to_the_current_url() {
    account(async |s| {
        let events = output_in(s, &[]).await;
        redeliver(s, events[0]).await.assert_error(409, "webhook_url_missing", "");
        let answer = redeliver(s, events[0]).await;
        assert!(answer.text.contains("PATCH /api/users/me"), "{answer:?}");
        // the payee's URL is of no use: the payee didn't make the output
        let silent = Silent::start().await;
        set_url(s, PAYEE, Some(&silent.url())).await;
        redeliver(s, events[0]).await.assert_error(409, "webhook_url_missing", "");
        assert_eq!(s.count("select count(*) from deliveries").await, 0);
        set_url(s, MASTER, Some(&silent.url())).await;
        let first = redeliver(s, events[0]).await.expect(202);
        assert_eq!(first["data"]["id"], events[0].to_string());
        assert_eq!(first["data"]["attributes"]["delivery_state"], "due");
        assert_eq!(first["included"][0]["attributes"]["state"], "accepting");
        // the next event waits for the first
        let second = redeliver(s, events[1]).await.expect(202);
        let attributes = &second["data"]["attributes"];
        assert_eq!((&attributes["delivery_state"], &attributes["next_attempt_at"]), (&json!("waiting"), &json!(null)));
        // an event of another resource doesn't wait
        let request = ids(s, "filter[type]=concierge_request_quoted").await[0];
        assert_eq!(redeliver(s, request).await.expect(202)["data"]["attributes"]["delivery_state"], "due");
        drop(silent);
    })
    .await;
}

#[tokio::test]
async fn maker_s_url_comes_before_the_master_s() {
    account(async |s| {
        let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {"a": 1}}}});
        for (path, document) in
            [("/api/withdrawal_instructions", instruction), ("/api/concierge_request_outputs", documented_output())]
        {
            let request = s.client.post(s.url(path)).header("Authorization", format!("{}{PAYEE}", s.key));
            send(request.header("Content-Type", "application/json").body(document.to_string())).await.expect(201);
        }
        s.create_output().await;
        let silent = Silent::start().await;
        set_url(s, MASTER, Some(&silent.url())).await;
        redeliver(s, 1).await.expect(202);
        assert_eq!(queued(s, 1).await.unwrap().3, 50505);
        s.sql("delete from deliveries").await;
        set_url(s, PAYEE, Some(&silent.url())).await;
        for (event, receiver) in [(1, 20202), (2, 20202), (3, 50505)] {
            redeliver(s, event).await.expect(202);
            assert_eq!(queued(s, event).await.unwrap().3, receiver, "event {event}");
        }
        drop(silent);
    })
    .await;
}

#[tokio::test]
async fn ended_delivery_is_queued_again_with_its_history() {
    for over in ["delivered", "given_up"] {
        sandbox(async |s| {
            let events = output_in(s, &[over, over]).await;
            redeliver(s, events[0]).await.assert_error(409, "webhook_url_missing", "");
            assert_eq!(state(s, events[0]).await, over);
            let silent = Silent::start().await;
            set_url(s, MASTER, Some(&silent.url())).await;
            let before = shown(s, events[0]).await;
            let document = redeliver(s, events[0]).await.expect(202);
            let after = &document["data"]["attributes"];
            let now = timestamp(s.clock.now());
            assert_eq!((&after["delivery_state"], &after["ended_at"]), (&json!("due"), &json!(null)));
            assert_eq!((&after["next_attempt_at"], &after["delivered"]), (&json!(now), &json!(false)));
            for kept in ["sent_at", "created_at", "event_type"] {
                assert_eq!(after[kept], before[kept], "{kept}");
            }
            assert_eq!(after["attempts"].as_array().unwrap()[..2], before["attempts"].as_array().unwrap()[..]);
            assert_eq!(queued(s, events[0]).await.unwrap().1, 0, "the retry schedule begins again");
            // the second event waits behind the first, and another call changes nothing
            for _ in 0..2 {
                assert_eq!(
                    redeliver(s, events[1]).await.expect(202)["data"]["attributes"]["delivery_state"],
                    "waiting"
                );
            }
            drop(silent);
        })
        .await;
    }
}

#[tokio::test]
async fn later_delivery_becomes_due_now() {
    sandbox(async |s| {
        let events = output_in(s, &["delivered", "due", "waiting", "given_up"]).await;
        // no user has a URL any more
        redeliver(s, events[1]).await.assert_error(409, "webhook_url_missing", "");
        assert_eq!(queued(s, events[1]).await.unwrap(), ("due".into(), 2, 2, 50505, Some(sql_time(FAR))));
        let silent = Silent::start().await;
        set_url(s, MASTER, Some(&silent.url())).await;
        // behind a due event a queued one waits, and a waiting one stays as it is
        assert_eq!(redeliver(s, events[3]).await.expect(202)["data"]["attributes"]["delivery_state"], "waiting");
        let waiting = queued(s, events[2]).await;
        redeliver(s, events[2]).await.expect(202);
        assert_eq!(queued(s, events[2]).await, waiting);
        let document = redeliver(s, events[1]).await.expect(202);
        let attributes = &document["data"]["attributes"];
        assert_eq!(attributes["delivery_state"], "due");
        let (state, tries, _, receiver, due_at) = queued(s, events[1]).await.unwrap();
        assert_eq!((state.as_str(), tries, receiver), ("due", 0, 50505));
        assert!(due_at <= Some(s.clock.now()), "{due_at:?}");
        drop(silent);
    })
    .await;
}

#[tokio::test]
async fn overdue_delivery_is_not_postponed() {
    account(async |s| {
        let events = output_in(s, &["due"]).await;
        let silent = Silent::start().await;
        set_url(s, MASTER, Some(&silent.url())).await;
        s.sql("update deliveries set due_at = '2019-11-25T12:53:05Z'").await;
        redeliver(s, events[0]).await.expect(202);
        let (state, tries, .., due_at) = queued(s, events[0]).await.unwrap();
        assert_eq!((state.as_str(), tries), ("due", 0));
        assert_eq!(due_at, Some(sql_time("2019-11-25T12:53:05Z")));
        drop(silent);
    })
    .await;
}

#[tokio::test]
async fn delivery_in_progress_stays_unchanged() {
    sandbox(async |s| {
        let events = output_in(s, &["due"]).await;
        s.sql("update deliveries set leased_by = gen_random_uuid(), leased_until = 'infinity'").await;
        let before = queued(s, events[0]).await;
        // with or without a URL
        for url in [None, Some("http://127.0.0.1:9/")] {
            set_url(s, MASTER, url).await;
            let attributes = redeliver(s, events[0]).await.expect(202)["data"]["attributes"].clone();
            assert_eq!(attributes["next_attempt_at"], "2100-01-01T00:00:00.000Z");
            assert_eq!(queued(s, events[0]).await, before);
        }
        // an expired lease belongs to no server
        s.sql("update deliveries set leased_until = '2000-01-01'").await;
        let silent = Silent::start().await;
        set_url(s, MASTER, Some(&silent.url())).await;
        redeliver(s, events[0]).await.expect(202);
        let due_at: Option<OffsetDateTime> = queued(s, events[0]).await.unwrap().4;
        assert!(due_at <= Some(s.clock.now()), "{due_at:?}");
        drop(silent);
    })
    .await;
}

#[tokio::test]
async fn body_is_ignored_and_fieldsets_apply() {
    account(async |s| {
        let events = output_in(s, &["due"]).await;
        let silent = Silent::start().await;
        set_url(s, MASTER, Some(&silent.url())).await;
        let path = format!("{PATH}/{}/redeliver", events[0]);
        for body in ["", "{}", "not JSON", r#"{"data":{"type":"x","id":"777"}}"#] {
            s.post_text(&path, body).await.expect(202);
            send(s.request(Method::POST, &format!("{path}/"))).await.expect(202);
        }
        let picked = s.post_text(&format!("{path}?fields[events]=event_type"), "").await.expect(202);
        assert_eq!(picked["data"]["attributes"], json!({"event_type": "concierge_request_output_accepting"}));
        s.post_text(&format!("{path}?filter[since]=1"), "").await.assert_error(
            400,
            "parameter_unknown",
            "filter[since]",
        );
        drop(silent);
    })
    .await;
}
