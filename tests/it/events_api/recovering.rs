//! Recovery: queues every undelivered event, since an event or a time.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{FAR, MASTER, OUTPUT, PATH, PAYEE, Silent, ids, payout, post, put, queued, set_url, sql_time, state};
use crate::support::{Account, account, sandbox};

async fn recover(account: &Account, body: &Value) -> Value {
    post(account, "recover", body).await.expect(200)
}

/// Returns the delivery state of every event, by its id.
async fn states(account: &Account) -> BTreeMap<i64, String> {
    let mut states = BTreeMap::new();
    for id in ids(account, "").await {
        states.insert(id, state(account, id).await);
    }
    states
}

/// Returns the first event of each resource, which is the due one.
async fn firsts(account: &Account, since: i64) -> Vec<i64> {
    let sql = "select min(id) from events where id > $1 group by resource_type, resource_id order by 1";
    sqlx::query_scalar(sql).bind(since).fetch_all(account.database()).await.unwrap()
}

#[tokio::test]
async fn events_without_receiver_are_queued_in_order() {
    account(async |s| {
        payout(s).await;
        let all = ids(s, "").await;
        post(s, "recover", &json!({})).await.assert_error(409, "webhook_url_missing", "");
        assert_eq!(s.count("select count(*) from deliveries").await, 0);
        let silent = Silent::start().await;
        set_url(s, MASTER, Some(&silent.url())).await;
        assert_eq!(recover(s, &json!({})).await, json!({"recovered": all.len()}));
        let due = firsts(s, 0).await;
        assert!(due.len() > 2, "{due:?}");
        for (id, state) in states(s).await {
            assert_eq!(state, if due.contains(&id) { "due" } else { "waiting" }, "event {id}");
        }
        // queued events need no recovery and no URL
        assert_eq!(recover(s, &json!({})).await, json!({"recovered": 0}));
        drop(silent);
    })
    .await;
}

/// Marks every unqueued event as delivered.
async fn receive_the_rest(account: &Account) {
    let received = "insert into deliveries (account_id, event_id, receiver_id, resource_type, resource_id, state,
            sent_at, ended_at, tries, attempts)
        select account_id, id, 50505, resource_type, resource_id, 'delivered', created_at, created_at, 0, 0
        from events e where not exists (select from deliveries d where d.event_id = e.id)";
    account.sql(received).await;
}

#[tokio::test]
async fn only_undelivered_events_are_queued_again() {
    sandbox(async |s| {
        payout(s).await;
        let events = ids(s, &format!("filter[resource]={OUTPUT}")).await;
        for (event, state) in
            events.iter().zip(["delivered", "given_up", "due", "waiting", "waiting", "delivered", "given_up"])
        {
            put(s, *event, state).await;
        }
        receive_the_rest(s).await;
        let silent = Silent::start().await;
        set_url(s, MASTER, Some(&silent.url())).await;
        assert_eq!(recover(s, &json!({})).await, json!({"recovered": 3}));
        for (event, (state, tries)) in events.iter().zip([
            ("delivered", 2),
            ("waiting", 0), // behind the due event, though it happened before
            ("due", 0),
            ("waiting", 0),
            ("waiting", 0),
            ("delivered", 2),
            ("waiting", 0),
        ]) {
            let (found, found_tries, ..) = queued(s, *event).await.unwrap();
            assert_eq!((found.as_str(), found_tries), (state, tries), "event {event}");
        }
        let due_at = queued(s, events[2]).await.unwrap().4;
        assert!(due_at <= Some(s.clock.now()), "{due_at:?}");
    })
    .await;
}

#[tokio::test]
async fn leased_and_due_deliveries_stay_unchanged() {
    account(async |s| {
        payout(s).await;
        let events = ids(s, &format!("filter[resource]={OUTPUT}")).await;
        put(s, events[0], "due").await;
        let request = ids(s, "filter[resource]=concierge_requests/1010").await;
        put(s, request[0], "due").await;
        receive_the_rest(s).await;
        s.sql("update deliveries set leased_by = gen_random_uuid(), leased_until = 'infinity' where state = 'due'")
            .await;
        let due_now = "update deliveries set due_at = '2019-11-25T12:53:03Z' where event_id = (
                select min(event_id) from deliveries where state = 'due' and resource_type = 'concierge_requests')";
        s.sql(due_now).await;
        set_url(s, MASTER, Some("http://127.0.0.1:9/")).await;
        assert_eq!(recover(s, &json!({})).await, json!({"recovered": 0}));
        assert_eq!(queued(s, events[0]).await.unwrap(), ("due".into(), 2, 2, 50505, Some(sql_time(FAR))));
        assert_eq!(queued(s, request[0]).await.unwrap().1, 2);
    })
    .await;
}

#[tokio::test]
async fn since_accepts_an_event_or_a_time() {
    account(async |s| {
        payout(s).await;
        let all = ids(s, "").await;
        let silent = Silent::start().await;
        set_url(s, MASTER, Some(&silent.url())).await;
        let last = all[all.len() - 1];
        assert_eq!(recover(s, &json!({"since": last.to_string()})).await, json!({"recovered": 0}));
        assert_eq!(recover(s, &json!({"since": FAR})).await, json!({"recovered": 0}));
        assert_eq!(s.count("select count(*) from deliveries").await, 0);
        // ids may be numbers
        let since = all[all.len() - 3];
        assert_eq!(recover(s, &json!({"since": since})).await, json!({"recovered": 2}));
        assert_eq!(s.count("select min(event_id) from deliveries").await, since + 1);
        let at = "2019-11-25T12:53:05Z";
        let after = ids(s, &format!("filter[since]={at}")).await;
        assert!(after.len() > 2 && after.len() < all.len(), "{after:?}");
        assert_eq!(recover(s, &json!({"since": at})).await, json!({"recovered": after.len() - 2}));
        let queued: Vec<i64> =
            sqlx::query_scalar("select event_id from deliveries order by 1").fetch_all(s.database()).await.unwrap();
        assert_eq!(queued, after);
        assert_eq!(recover(s, &json!({"since": null})).await, json!({"recovered": all.len() - after.len()}));
        drop(silent);
    })
    .await;
}

#[tokio::test]
async fn events_without_url_are_skipped() {
    account(async |s| {
        payout(s).await;
        let silent = Silent::start().await;
        // the master made everything
        set_url(s, PAYEE, Some(&silent.url())).await;
        post(s, "recover", &json!({})).await.assert_error(409, "webhook_url_missing", "");
        s.sql("update events set made_by = 20202 where event_type = 'concierge_request_quoted'").await;
        assert_eq!(recover(s, &json!({})).await, json!({"recovered": 1}));
        assert_eq!(s.count("select receiver_id from deliveries").await, 20202);
        drop(silent);
    })
    .await;
}

#[tokio::test]
async fn several_batches_are_queued() {
    account(async |s| {
        payout(s).await;
        let count = ids(s, "").await.len();
        s
            .sql(
                "insert into events (account_id, id, event_type, resource_type, resource_id, created_at, resource, is_made_up)
                select account_id, id + n * 100, event_type, resource_type, resource_id + n / 5, created_at, resource, true
                from events, generate_series(1, 150) as n",
            )
            .await;
        let silent = Silent::start().await;
        set_url(s, MASTER, Some(&silent.url())).await;
        assert!(count * 151 > 2000);
        assert_eq!(recover(s, &json!({})).await, json!({"recovered": count * 151}));
        let wrong = "select count(*) from (
                select state, row_number() over (partition by resource_type, resource_id order by event_id) as turn
                from deliveries
            ) d where (state = 'due') <> (turn = 1)";
        assert_eq!(s.count(wrong).await, 0, "the first of each resource is due, the rest wait");
        drop(silent);
    })
    .await;
}

#[tokio::test]
async fn invalid_bodies_are_rejected() {
    account(async |s| {
        payout(s).await;
        let silent = Silent::start().await;
        set_url(s, MASTER, Some(&silent.url())).await;
        for since in
            [json!(""), json!("x"), json!("2019-11-25"), json!(-1), json!(1.5), json!(true), json!([1]), json!({})]
        {
            post(s, "recover", &json!({"since": since})).await.assert_error(422, "attribute_invalid", "/since");
        }
        for body in [json!([]), json!("x"), json!(null), json!(5)] {
            post(s, "recover", &body).await.assert_error(400, "document_invalid", "");
        }
        s.post_text(&format!("{PATH}/recover"), "{").await.assert_error(400, "json_invalid", "");
        let answer = s.post_text(&format!("{PATH}/recover?fields[events]=id"), "").await;
        answer.assert_error(400, "parameter_unknown", "fields[events]");
        assert_eq!(s.count("select count(*) from deliveries").await, 0);
        let all = ids(s, "").await.len();
        let answer = s.post_text(&format!("{PATH}/recover"), "").await;
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.expect(200), json!({"recovered": all}));
        drop(silent);
    })
    .await;
}
