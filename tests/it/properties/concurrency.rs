//! Limits on concurrent deliveries: each receiver gets its share, in a simulation of arbitrary receivers.

use std::collections::BTreeMap;
use std::time::Duration;

use concierge_sandbox::webhooks::concurrency::{ConcurrencyLimiter, ConcurrencyLimits, ReceiverKey};
use proptest::prelude::*;
use tokio::time::Instant;

use super::slow_cases;

/// The behaviour of a receiver and its events.
#[derive(Debug, Clone, Copy)]
struct Receiver {
    duration: Duration,
    is_accepting: bool,
    /// The number of its events; the first is due at `from`, the next ones `apart` after each other.
    events: u32,
    from: Duration,
    apart: Duration,
}

const HOUR: Duration = Duration::from_hours(1);
const TIMEOUT: Duration = Duration::from_secs(15);

/// A receiver that hangs, with many events.
const HANGING: Receiver =
    Receiver { duration: TIMEOUT, is_accepting: false, events: 1000, from: Duration::ZERO, apart: Duration::ZERO };
/// A receiver that answers at once, with an event every half second.
const HEALTHY: Receiver = Receiver {
    duration: Duration::from_millis(5),
    is_accepting: true,
    events: 200,
    from: Duration::from_secs(20),
    apart: Duration::from_millis(500),
};

/// The result of a simulation: the longest delay of each receiver, and the concurrency reached.
#[derive(Debug, Default)]
struct Observed {
    delays: BTreeMap<ReceiverKey, Duration>,
    in_flight_max: usize,
    per_receiver_max: usize,
    started: u32,
    left: usize,
}

fn key(number: usize) -> ReceiverKey {
    ReceiverKey { account_id: 1, user_id: i64::try_from(number).unwrap() }
}

/// Runs the limiter in small steps of time, with the claims of the SQL statement in each.
fn simulate(limits: ConcurrencyLimits, receivers: &[Receiver], time: Duration) -> Observed {
    const STEP: Duration = Duration::from_millis(5);
    let start = Instant::now();
    let mut limiter: ConcurrencyLimiter<(ReceiverKey, Duration)> = ConcurrencyLimiter::new(limits);
    // due times of each receiver, oldest first; failed attempts are not retried
    let due = |receiver: &Receiver| (0..receiver.events).map(|n| receiver.from + receiver.apart * n).collect();
    let mut due: Vec<std::collections::VecDeque<Duration>> = receivers.iter().map(due).collect();
    let mut in_flight: Vec<(Duration, ReceiverKey, Instant)> = Vec::new();
    let mut observed = Observed::default();
    let mut now = Duration::ZERO;
    while now < time {
        let instant = start + now;
        let (ended, still_running): (Vec<_>, Vec<_>) = in_flight.into_iter().partition(|(end, ..)| *end <= now);
        in_flight = still_running;
        for (_, key, started) in ended {
            limiter.finish(key, started, receivers[usize::try_from(key.user_id).unwrap()].is_accepting, instant);
        }
        // claims like the SQL statement
        let quotas: BTreeMap<ReceiverKey, (usize, usize)> =
            limiter.quotas(instant).into_iter().map(|quota| (quota.receiver, (quota.held, quota.more))).collect();
        let (mut known, mut others) = (Vec::new(), Vec::new());
        for (number, due) in due.iter().enumerate() {
            let key = key(number);
            let listed = quotas.get(&key).copied();
            let (held, quota) = listed.unwrap_or((0, 1));
            let ready = due.iter().take(quota).take_while(|due| **due <= now);
            let found = if listed.is_some() { &mut known } else { &mut others };
            found.extend(ready.enumerate().map(|(place, due)| (held + place + 1, *due, key)));
        }
        known.sort_unstable();
        others.sort_unstable();
        let total_quota = limiter.total_quota();
        let chosen = known
            .into_iter()
            .enumerate()
            .filter(|(n, (place, ..))| *n < total_quota || (*place == 1 && *n < limits.total));
        let mut chosen: Vec<_> = chosen.map(|(_, found)| found).collect();
        chosen.extend(others.into_iter().take(limiter.quota_for_unknown(instant)));
        for (_, since, key) in chosen {
            due[usize::try_from(key.user_id).unwrap()].pop_front();
            limiter.add(key, (key, since), false);
        }
        for (key, since) in limiter.start(instant) {
            let delay = observed.delays.entry(key).or_default();
            *delay = (*delay).max(now.saturating_sub(since));
            observed.started += 1;
            in_flight.push((now + receivers[usize::try_from(key.user_id).unwrap()].duration, key, instant));
        }
        for (key, since) in limiter.take_blocked(instant).into_iter().rev() {
            due[usize::try_from(key.user_id).unwrap()].push_front(since);
        }
        observed.in_flight_max = observed.in_flight_max.max(in_flight.len());
        for number in 0..receivers.len() {
            let key = key(number);
            let count = in_flight.iter().filter(|(_, known, _)| *known == key).count();
            observed.per_receiver_max = observed.per_receiver_max.max(count);
        }
        assert_eq!(limiter.held(), in_flight.len() + limiter.waiting().count());
        now += STEP;
    }
    observed.left = due.iter().map(|due| due.iter().filter(|since| **since <= time).count()).sum();
    observed
}

const USUAL: ConcurrencyLimits = ConcurrencyLimits { total: 64, receiver: 8 };

#[test]
fn known_healthy_receiver_is_not_delayed_by_slow_ones() {
    let second = Duration::from_secs(1);
    // name, other receivers, and the longest delay allowed; the healthy one comes last,
    // so that the order of keys does not help it
    for (name, others, max_delay) in [
        ("nothing", vec![], second / 100),
        ("many hanging ones", vec![HANGING; 200], second),
        ("more than the quotas list", vec![HANGING; 300], second),
        (
            "busy, nearly slow ones",
            vec![Receiver { duration: second * 9 / 10, is_accepting: true, ..HANGING }; 8],
            second,
        ),
        ("slow ones", vec![Receiver { duration: 3 * second, is_accepting: true, ..HANGING }; 40], second),
        (
            "prompt ones",
            vec![Receiver { duration: second / 10, is_accepting: true, events: 5000, ..HANGING }; 20],
            second / 2,
        ),
        ("refusing ones", vec![Receiver { duration: second / 1000, ..HANGING }; 30], second),
    ] {
        let mut receivers = others;
        // the healthy receiver is known before the rest appear
        let healthy = Receiver { from: Duration::ZERO, ..HEALTHY };
        for other in &mut receivers {
            other.from = 10 * second;
        }
        receivers.push(healthy);
        let observed = simulate(USUAL, &receivers, 60 * second);
        let delay = observed.delays[&key(receivers.len() - 1)];
        assert!(delay <= max_delay, "beside {name} the healthy receiver waits {delay:?}");
    }
}

#[test]
fn unknown_receiver_is_not_delayed_by_hanging_ones() {
    let mut receivers = vec![HANGING; 30];
    receivers.push(HEALTHY);
    let observed = simulate(USUAL, &receivers, Duration::from_mins(1));
    assert!(observed.delays[&key(30)] <= Duration::from_secs(1), "{:?}", observed.delays);
}

#[test]
fn single_receiver_reaches_its_limit() {
    let busy = Receiver { duration: Duration::from_millis(20), is_accepting: true, events: 10_000, ..HANGING };
    let observed = simulate(USUAL, &[busy], Duration::from_secs(20));
    assert_eq!((observed.in_flight_max, observed.per_receiver_max), (8, 8));
    assert!(observed.started > 20 * 8 * 40, "the receiver must always have work: {}", observed.started);
    // a slow receiver that accepts its events reaches the limit too
    let slow = Receiver { duration: Duration::from_secs(2), ..busy };
    assert_eq!(simulate(USUAL, &[slow], Duration::from_mins(2)).in_flight_max, 8);
    // a hanging receiver gets one delivery at a time
    assert_eq!(simulate(USUAL, &[HANGING], Duration::from_mins(2)).in_flight_max, 1);
}

fn receiver() -> impl Strategy<Value = Receiver> {
    let duration = prop_oneof![3 => 1..100_u64, 1 => 100..3000_u64, 1 => Just(15_000)];
    let from = (0..5000_u64).prop_map(Duration::from_millis);
    (duration, any::<bool>(), 0..30_u32, from, 0..300_u64).prop_map(|(duration, is_accepting, events, from, apart)| {
        Receiver {
            duration: Duration::from_millis(duration),
            is_accepting,
            events,
            from,
            apart: Duration::from_millis(apart),
        }
    })
}

proptest! {
    #![proptest_config(slow_cases(25))]

    #[test]
    fn limits_hold_and_every_event_starts(
        (total, receiver) in (1..12_usize, 1..6_usize),
        receivers in prop::collection::vec(receiver(), 1..10),
    ) {
        let events: u32 = receivers.iter().map(|receiver| receiver.events).sum();
        let limits = ConcurrencyLimits { total, receiver };
        let observed = simulate(limits, &receivers, Duration::from_secs(30));
        prop_assert!(observed.in_flight_max <= total && observed.per_receiver_max <= receiver, "{:?}", observed);
        // in the long run every event starts, even beside hanging receivers
        let duration: Duration = receivers.iter().map(|one| one.duration * one.events).sum();
        if duration < HOUR / 30 {
            let observed = simulate(limits, &receivers, duration + Duration::from_secs(20));
            prop_assert_eq!((observed.started, observed.left), (events, 0));
        }
    }
}
