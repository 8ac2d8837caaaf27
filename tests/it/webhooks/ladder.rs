//! What was not received is tried again, and given up in the end.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::{Attempt, DOWN, OK, about, attempts, body, id, listen, told};
use crate::support::{Receiver, account, sandbox_with};

const SECOND: Duration = Duration::from_secs(1);
/// The default ladder, in seconds.
const LADDER: [i64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// A receiver to which the first calls with each event are too much.
async fn fails_first(times: usize) -> Receiver {
    let seen: Mutex<HashMap<String, usize>> = Mutex::default();
    Receiver::deciding(move |call| {
        let mut seen = seen.lock().unwrap();
        let seen = seen.entry(id(call)).or_default();
        *seen += 1;
        if *seen <= times { DOWN.into() } else { OK.into() }
    })
    .await
}

#[tokio::test]
async fn a_receiver_that_fails_three_times_gets_each_event_with_the_same_bytes_and_in_order() {
    account(async |s| {
        let mut receiver = fails_first(3).await;
        listen(s, &receiver.url()).await;
        let outputs = [s.create_output().await, s.create_output().await];
        // the checks have run, and what they came to waits
        s.tell(SECOND).await;
        s.tell(Duration::from_hours(4)).await;
        let calls = receiver.calls();
        for output in &outputs {
            let told = about(&calls, "concierge_request_outputs", output);
            let ids: Vec<String> = told.iter().map(id).collect();
            let events = [&ids[0], &ids[4]];
            assert_eq!(ids, [[events[0]; 4], [events[1]; 4]].concat().into_iter().cloned().collect::<Vec<_>>());
            assert!(events[0].parse::<i64>().unwrap() < events[1].parse::<i64>().unwrap());
            for tries in [&told[..4], &told[4..]] {
                assert!(tries.iter().all(|call| call.body == tries[0].body), "the same bytes");
                let made = attempts(s, &id(&tries[0])).await;
                let statuses: Vec<_> = made.iter().map(|attempt| attempt.status).collect();
                assert_eq!(statuses, [Some(500), Some(500), Some(500), Some(200)]);
                let errors: Vec<_> = made.iter().map(|attempt| attempt.error.as_deref()).collect();
                assert_eq!(errors, [Some("answered 500"), Some("answered 500"), Some("answered 500"), None]);
                let responses: Vec<_> = made.iter().map(|attempt| attempt.response.as_str()).collect();
                assert_eq!(responses, ["down", "down", "down", ""]);
                for (attempt, next) in made.iter().zip(&made[1..]) {
                    assert_eq!(attempt.next_at, Some(next.at));
                }
                assert_eq!(made[3].next_at, None);
                let sent_at = body(&tries[0])["data"]["attributes"]["sent_at"].clone();
                assert!(sent_at.as_str().unwrap().starts_with("2019-11-25T"), "{sent_at}");
            }
            // what waited is sent when what was before it has arrived
            let (first, second) = (attempts(s, events[0]).await, attempts(s, events[1]).await);
            assert_eq!(second[0].at, first[3].at);
        }
        assert_eq!(s.count("select count(*) from deliveries where state = 'delivered'").await, 4);
    })
    .await;
}

/// What is left of a ladder: the attempts at one event, of which none was received.
async fn climb(seed: u64, leaps: &[Duration]) -> Vec<Attempt> {
    sandbox_with(
        |config| config.webhook_seed = seed,
        async |s| {
            let receiver = Receiver::answering(DOWN).await;
            listen(s, &receiver.url()).await;
            s.create_output().await;
            s.tell(Duration::ZERO).await;
            for leap in leaps {
                s.tell(*leap).await;
            }
            let climbed = attempts(s, "1").await;
            let given_up = s.count("select count(*) from deliveries where state = 'given_up'").await;
            let followed = attempts(s, "2").await;
            if climbed.len() == LADDER.len() + 1 {
                assert_eq!(climbed.last().unwrap().next_at, None);
                assert_eq!(followed[0].at, climbed.last().unwrap().at, "what waited follows what was given up");
                assert!(given_up >= 1);
            } else {
                assert_eq!((given_up, followed), (0, Vec::new()));
            }
            climbed
        },
    )
    .await
}

#[tokio::test]
async fn a_leap_of_days_plays_the_whole_ladder() {
    let days = |count: u64| Duration::from_hours(24 * count);
    let climbed = climb(0, &[days(4)]).await;
    assert_eq!(climbed.len(), LADDER.len() + 1);
    assert_eq!(climbed[0].at, 0);
    let mut jitters = Vec::new();
    for (step, (attempt, next)) in LADDER.iter().zip(climbed.iter().zip(&climbed[1..])) {
        let jitter = next.at - attempt.at - step * 1000;
        assert!(jitter.abs() <= step * 100, "{jitter} ms of {step} s");
        jitters.push(jitter);
    }
    assert!(jitters.iter().any(|jitter| *jitter > 0) && jitters.iter().any(|jitter| *jitter < 0), "{jitters:?}");
    // step by step it is the same, the times included
    assert_eq!(climb(0, &[SECOND, days(1), Duration::from_mins(7), days(3)]).await, climbed);
    assert_ne!(climb(1, &[days(4)]).await, climbed, "another seed");
    assert!(climb(0, &[Duration::from_hours(1)]).await.len() == 4, "an hour: 5 s, 5 min and 30 min later");
}

#[tokio::test]
async fn a_receiver_may_ask_for_more_time_and_not_for_less() {
    for (header, at_least) in [("7200", 7_200_000), ("1", 0), ("soon", 0), ("0", 0)] {
        let answer = format!("HTTP/1.1 503 Busy\r\nretry-after: {header}\r\ncontent-length: 0\r\n\r\n");
        account(async |s| {
            let _receiver = told(s, &answer).await;
            s.create_output().await;
            s.tell(Duration::ZERO).await;
            let made = attempts(s, "1").await;
            let next = made[0].next_at.unwrap();
            if at_least > 0 {
                assert_eq!(next, at_least);
            } else {
                assert!((4500..=5500).contains(&next), "{header}: {next}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn another_ladder_is_a_setting() {
    sandbox_with(
        |config| config.webhook_retries = vec![10 * SECOND],
        async |s| {
            let receiver = Receiver::answering(DOWN).await;
            listen(s, &receiver.url()).await;
            s.create_output().await;
            s.tell(Duration::from_secs(11)).await;
            assert_eq!(attempts(s, "1").await.len(), 2);
        },
    )
    .await;
}
