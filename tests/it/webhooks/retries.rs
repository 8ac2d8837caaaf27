//! Failed deliveries: retried on a schedule, and given up in the end.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::{Attempt, DOWN, OK, about, attempts, body, id, listen, start_receiver};
use crate::support::{Receiver, account, sandbox_with};

const SECOND: Duration = Duration::from_secs(1);
/// The default retry schedule, in seconds.
const RETRY_SCHEDULE: [i64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// Starts a receiver that fails the first calls of each event.
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
async fn retries_repeat_the_same_bytes_in_order() {
    account(async |s| {
        let mut receiver = fails_first(3).await;
        listen(s, &receiver.url()).await;
        let outputs = [s.create_output().await, s.create_output().await];
        // the checks have run, and their events wait
        s.tell(SECOND).await;
        s.tell(Duration::from_hours(4)).await;
        let calls = receiver.calls();
        for output in &outputs {
            let delivered = about(&calls, "concierge_request_outputs", output);
            let ids: Vec<String> = delivered.iter().map(id).collect();
            let events = [&ids[0], &ids[4]];
            assert_eq!(ids, [[events[0]; 4], [events[1]; 4]].concat().into_iter().cloned().collect::<Vec<_>>());
            assert!(events[0].parse::<i64>().unwrap() < events[1].parse::<i64>().unwrap());
            for tries in [&delivered[..4], &delivered[4..]] {
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
            // the second event is sent as soon as the first has arrived
            let (first, second) = (attempts(s, events[0]).await, attempts(s, events[1]).await);
            assert_eq!(second[0].at, first[3].at);
        }
        assert_eq!(s.count("select count(*) from deliveries where state = 'delivered'").await, 4);
    })
    .await;
}

/// Returns the attempts to deliver one event to a failing receiver, after these clock advances.
async fn attempts_after(seed: u64, advances: &[Duration]) -> Vec<Attempt> {
    sandbox_with(
        |config| config.webhook_seed = seed,
        async |s| {
            let receiver = Receiver::answering(DOWN).await;
            listen(s, &receiver.url()).await;
            s.create_output().await;
            s.tell(Duration::ZERO).await;
            for advance in advances {
                s.tell(*advance).await;
            }
            let made = attempts(s, "1").await;
            let given_up = s.count("select count(*) from deliveries where state = 'given_up'").await;
            let followed = attempts(s, "2").await;
            if made.len() == RETRY_SCHEDULE.len() + 1 {
                assert_eq!(made.last().unwrap().next_at, None);
                assert_eq!(followed[0].at, made.last().unwrap().at, "the waiting event follows the given up one");
                assert!(given_up >= 1);
            } else {
                assert_eq!((given_up, followed), (0, Vec::new()));
            }
            made
        },
    )
    .await
}

#[tokio::test]
async fn advance_by_days_runs_the_whole_schedule() {
    let days = |count: u64| Duration::from_hours(24 * count);
    let made = attempts_after(0, &[days(4)]).await;
    assert_eq!(made.len(), RETRY_SCHEDULE.len() + 1);
    assert_eq!(made[0].at, 0);
    let mut jitters = Vec::new();
    for (step, (attempt, next)) in RETRY_SCHEDULE.iter().zip(made.iter().zip(&made[1..])) {
        let jitter = next.at - attempt.at - step * 1000;
        assert!(jitter.abs() <= step * 100, "{jitter} ms of {step} s");
        jitters.push(jitter);
    }
    assert!(jitters.iter().any(|jitter| *jitter > 0) && jitters.iter().any(|jitter| *jitter < 0), "{jitters:?}");
    // smaller advances give the same attempts at the same times
    assert_eq!(attempts_after(0, &[SECOND, days(1), Duration::from_mins(7), days(3)]).await, made);
    assert_ne!(attempts_after(1, &[days(4)]).await, made, "another seed");
    assert!(attempts_after(0, &[Duration::from_hours(1)]).await.len() == 4, "an hour: 5 s, 5 min and 30 min later");
}

#[tokio::test]
async fn retry_after_lengthens_but_never_shortens_the_wait() {
    for (header, at_least) in [("7200", 7_200_000), ("1", 0), ("soon", 0), ("0", 0)] {
        let answer = format!("HTTP/1.1 503 Busy\r\nretry-after: {header}\r\ncontent-length: 0\r\n\r\n");
        account(async |s| {
            let _receiver = start_receiver(s, &answer).await;
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
async fn retry_schedule_is_configurable() {
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
