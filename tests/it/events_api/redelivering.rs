use concierge_sandbox::jsonapi::render::timestamp;
use reqwest::Method;
use serde_json::json;
use time::OffsetDateTime;

use super::{
    FAR, MASTER, OUTPUT, PATH, PAYEE, Silent, ids, payout, put, queued, redeliver, set_url, shown, sql_time, state,
};
use crate::support::{Sandbox, documented_output, send};

/// The events of the output, of which the first are put into these states.
async fn output_in(states: &[&str]) -> (Sandbox, Vec<i64>) {
    let sandbox = payout().await;
    let told = ids(&sandbox, &format!("filter[resource]={OUTPUT}")).await;
    for (event, state) in told.iter().zip(states) {
        put(&sandbox, *event, state).await;
    }
    (sandbox, told)
}

#[tokio::test]
async fn one_that_was_never_queued_goes_to_whoever_has_a_url_now() {
    let (sandbox, told) = output_in(&[]).await;
    redeliver(&sandbox, told[0]).await.assert_error(409, "webhook_url_missing", "");
    let answer = redeliver(&sandbox, told[0]).await;
    assert!(answer.text.contains("PATCH /api/users/me"), "{answer:?}");
    // the payee's is of no use: it didn't make the output
    let silent = Silent::start().await;
    set_url(&sandbox, PAYEE, Some(&silent.url())).await;
    redeliver(&sandbox, told[0]).await.assert_error(409, "webhook_url_missing", "");
    assert_eq!(sandbox.count("select count(*) from deliveries").await, 0);
    set_url(&sandbox, MASTER, Some(&silent.url())).await;
    let first = redeliver(&sandbox, told[0]).await.expect(202);
    assert_eq!(first["data"]["id"], told[0].to_string());
    assert_eq!(first["data"]["attributes"]["delivery_state"], "due");
    assert_eq!(first["included"][0]["attributes"]["state"], "accepting");
    // the next one waits for it
    let second = redeliver(&sandbox, told[1]).await.expect(202);
    let attributes = &second["data"]["attributes"];
    assert_eq!((&attributes["delivery_state"], &attributes["next_attempt_at"]), (&json!("waiting"), &json!(null)));
    // what is of something else doesn't
    let request = ids(&sandbox, "filter[type]=concierge_request_quoted").await[0];
    assert_eq!(redeliver(&sandbox, request).await.expect(202)["data"]["attributes"]["delivery_state"], "due");
    drop(silent);
    sandbox.stop().await;
}

#[tokio::test]
async fn its_maker_s_url_comes_before_the_master_s() {
    let sandbox = Sandbox::start().await;
    let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {"a": 1}}}});
    for (path, document) in
        [("/api/withdrawal_instructions", instruction), ("/api/concierge_request_outputs", documented_output())]
    {
        let request = sandbox.client.post(sandbox.url(path)).header("Authorization", PAYEE);
        send(request.header("Content-Type", "application/json").body(document.to_string())).await.expect(201);
    }
    sandbox.create_output().await;
    let silent = Silent::start().await;
    set_url(&sandbox, MASTER, Some(&silent.url())).await;
    redeliver(&sandbox, 1).await.expect(202);
    assert_eq!(queued(&sandbox, 1).await.unwrap().3, 50505);
    sandbox.sql("delete from deliveries").await;
    set_url(&sandbox, PAYEE, Some(&silent.url())).await;
    for (event, receiver) in [(1, 20202), (2, 20202), (3, 50505)] {
        redeliver(&sandbox, event).await.expect(202);
        assert_eq!(queued(&sandbox, event).await.unwrap().3, receiver, "event {event}");
    }
    drop(silent);
    sandbox.stop().await;
}

#[tokio::test]
async fn one_that_is_over_is_queued_again_with_its_history() {
    for over in ["delivered", "given_up"] {
        let (sandbox, told) = output_in(&[over, over]).await;
        redeliver(&sandbox, told[0]).await.assert_error(409, "webhook_url_missing", "");
        assert_eq!(state(&sandbox, told[0]).await, over);
        let silent = Silent::start().await;
        set_url(&sandbox, MASTER, Some(&silent.url())).await;
        let before = shown(&sandbox, told[0]).await;
        let document = redeliver(&sandbox, told[0]).await.expect(202);
        let after = &document["data"]["attributes"];
        let now = timestamp(sandbox.clock.now());
        assert_eq!((&after["delivery_state"], &after["ended_at"]), (&json!("due"), &json!(null)));
        assert_eq!((&after["next_attempt_at"], &after["delivered"]), (&json!(now), &json!(false)));
        for kept in ["sent_at", "created_at", "event_type"] {
            assert_eq!(after[kept], before[kept], "{kept}");
        }
        assert_eq!(after["attempts"].as_array().unwrap()[..2], before["attempts"].as_array().unwrap()[..]);
        assert_eq!(queued(&sandbox, told[0]).await.unwrap().1, 0, "it begins at the foot of the ladder");
        // the second waits behind it, and a third time changes nothing
        for _ in 0..2 {
            assert_eq!(
                redeliver(&sandbox, told[1]).await.expect(202)["data"]["attributes"]["delivery_state"],
                "waiting"
            );
        }
        drop(silent);
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn one_that_is_due_later_is_due_now() {
    let (sandbox, told) = output_in(&["delivered", "due", "waiting", "given_up"]).await;
    // nobody has a URL any more
    redeliver(&sandbox, told[1]).await.assert_error(409, "webhook_url_missing", "");
    assert_eq!(queued(&sandbox, told[1]).await.unwrap(), ("due".into(), 2, 2, 50505, Some(sql_time(FAR))));
    let silent = Silent::start().await;
    set_url(&sandbox, MASTER, Some(&silent.url())).await;
    // behind one that is due, what is queued waits, and what waits stays as it is
    assert_eq!(redeliver(&sandbox, told[3]).await.expect(202)["data"]["attributes"]["delivery_state"], "waiting");
    let waiting = queued(&sandbox, told[2]).await;
    redeliver(&sandbox, told[2]).await.expect(202);
    assert_eq!(queued(&sandbox, told[2]).await, waiting);
    let document = redeliver(&sandbox, told[1]).await.expect(202);
    let attributes = &document["data"]["attributes"];
    assert_eq!(attributes["delivery_state"], "due");
    let (state, tries, _, receiver, due_at) = queued(&sandbox, told[1]).await.unwrap();
    assert_eq!((state.as_str(), tries, receiver), ("due", 0, 50505));
    assert!(due_at <= Some(sandbox.clock.now()), "{due_at:?}");
    drop(silent);
    sandbox.stop().await;
}

#[tokio::test]
async fn one_that_has_been_due_for_long_is_not_put_off() {
    let (sandbox, told) = output_in(&["due"]).await;
    let silent = Silent::start().await;
    set_url(&sandbox, MASTER, Some(&silent.url())).await;
    sandbox.sql("update deliveries set due_at = '2019-11-25T12:53:05Z'").await;
    redeliver(&sandbox, told[0]).await.expect(202);
    let (state, tries, .., due_at) = queued(&sandbox, told[0]).await.unwrap();
    assert_eq!((state.as_str(), tries), ("due", 0));
    assert_eq!(due_at, Some(sql_time("2019-11-25T12:53:05Z")));
    drop(silent);
    sandbox.stop().await;
}

#[tokio::test]
async fn one_that_is_just_being_sent_stays_as_it_is() {
    let (sandbox, told) = output_in(&["due"]).await;
    sandbox.sql("update deliveries set leased_by = gen_random_uuid(), leased_until = 'infinity'").await;
    let before = queued(&sandbox, told[0]).await;
    // nor does it matter who has a URL
    for url in [None, Some("http://127.0.0.1:9/")] {
        set_url(&sandbox, MASTER, url).await;
        let attributes = redeliver(&sandbox, told[0]).await.expect(202)["data"]["attributes"].clone();
        assert_eq!(attributes["next_attempt_at"], "2100-01-01T00:00:00.000Z");
        assert_eq!(queued(&sandbox, told[0]).await, before);
    }
    // a lease that ran out is no longer anybody's
    sandbox.sql("update deliveries set leased_until = '2000-01-01'").await;
    let silent = Silent::start().await;
    set_url(&sandbox, MASTER, Some(&silent.url())).await;
    redeliver(&sandbox, told[0]).await.expect(202);
    let due_at: Option<OffsetDateTime> = queued(&sandbox, told[0]).await.unwrap().4;
    assert!(due_at <= Some(sandbox.clock.now()), "{due_at:?}");
    drop(silent);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_body_has_no_effect_and_parameters_are_those_of_an_event() {
    let (sandbox, told) = output_in(&["due"]).await;
    let silent = Silent::start().await;
    set_url(&sandbox, MASTER, Some(&silent.url())).await;
    let path = format!("{PATH}/{}/redeliver", told[0]);
    for body in ["", "{}", "not JSON", r#"{"data":{"type":"x","id":"777"}}"#] {
        sandbox.post_text(&path, body).await.expect(202);
        send(sandbox.request(Method::POST, &format!("{path}/"))).await.expect(202);
    }
    let picked = sandbox.post_text(&format!("{path}?fields[events]=event_type"), "").await.expect(202);
    assert_eq!(picked["data"]["attributes"], json!({"event_type": "concierge_request_output_accepting"}));
    sandbox.post_text(&format!("{path}?filter[since]=1"), "").await.assert_error(
        400,
        "parameter_unknown",
        "filter[since]",
    );
    drop(silent);
    sandbox.stop().await;
}
