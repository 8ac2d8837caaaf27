//! Whatever receivers do, each gets its share of deliveries and no more.

use std::collections::BTreeMap;
use std::time::Duration;

use concierge_sandbox::webhooks::concurrency::{ConcurrencyLimiter, ConcurrencyLimits, ReceiverKey};
use proptest::prelude::*;
use tokio::time::Instant;

use super::cases;

/// How a receiver takes its events.
#[derive(Debug, Clone, Copy)]
struct Receiver {
    takes: Duration,
    receives: bool,
    /// What there is for it: so many events, the first then, the others so far apart.
    events: u32,
    from: Duration,
    apart: Duration,
}

const HOUR: Duration = Duration::from_hours(1);
const TIMEOUT: Duration = Duration::from_secs(15);

/// One that hangs, with many events.
const HANGING: Receiver =
    Receiver { takes: TIMEOUT, receives: false, events: 1000, from: Duration::ZERO, apart: Duration::ZERO };
/// One that answers at once, and has an event every half a second.
const HEALTHY: Receiver = Receiver {
    takes: Duration::from_millis(5),
    receives: true,
    events: 200,
    from: Duration::from_secs(20),
    apart: Duration::from_millis(500),
};

/// What came of a world of receivers: the longest that an event of each waited to be begun, and what was at once.
#[derive(Debug, Default)]
struct Seen {
    delays: BTreeMap<ReceiverKey, Duration>,
    at_once: usize,
    at_once_of_one: usize,
    begun: u32,
    left: usize,
}

fn key(number: usize) -> ReceiverKey {
    ReceiverKey { account_id: 1, user_id: i64::try_from(number).unwrap() }
}

/// Lets time pass, in steps, with what a statement would claim in each of them.
fn simulate(limits: ConcurrencyLimits, receivers: &[Receiver], time: Duration) -> Seen {
    const STEP: Duration = Duration::from_millis(5);
    let start = Instant::now();
    let mut limiter: ConcurrencyLimiter<(ReceiverKey, Duration)> = ConcurrencyLimiter::new(limits);
    // when what is due of each became due, the first first; attempts that failed aren't tried again
    let due = |receiver: &Receiver| (0..receiver.events).map(|n| receiver.from + receiver.apart * n).collect();
    let mut due: Vec<std::collections::VecDeque<Duration>> = receivers.iter().map(due).collect();
    let mut under_way: Vec<(Duration, ReceiverKey, Instant)> = Vec::new();
    let mut seen = Seen::default();
    let mut now = Duration::ZERO;
    while now < time {
        let instant = start + now;
        let (ended, goes_on): (Vec<_>, Vec<_>) = under_way.into_iter().partition(|(end, ..)| *end <= now);
        under_way = goes_on;
        for (_, key, begun) in ended {
            limiter.finish(key, begun, receivers[usize::try_from(key.user_id).unwrap()].receives, instant);
        }
        // as the statement claims
        let quotas: BTreeMap<ReceiverKey, (usize, usize)> =
            limiter.quotas(instant).into_iter().map(|quota| (quota.receiver, (quota.held, quota.more))).collect();
        let (mut known, mut others) = (Vec::new(), Vec::new());
        for (number, due) in due.iter().enumerate() {
            let key = key(number);
            let told = quotas.get(&key).copied();
            let (held, room) = told.unwrap_or((0, 1));
            let ready = due.iter().take(room).take_while(|due| **due <= now);
            let found = if told.is_some() { &mut known } else { &mut others };
            found.extend(ready.enumerate().map(|(place, due)| (held + place + 1, *due, key)));
        }
        known.sort_unstable();
        others.sort_unstable();
        let room = limiter.total_quota();
        let chosen =
            known.into_iter().enumerate().filter(|(n, (place, ..))| *n < room || (*place == 1 && *n < limits.total));
        let mut chosen: Vec<_> = chosen.map(|(_, found)| found).collect();
        chosen.extend(others.into_iter().take(limiter.quota_for_unknown(instant)));
        for (_, since, key) in chosen {
            due[usize::try_from(key.user_id).unwrap()].pop_front();
            limiter.add(key, (key, since), false);
        }
        for (key, since) in limiter.start(instant) {
            let delay = seen.delays.entry(key).or_default();
            *delay = (*delay).max(now.saturating_sub(since));
            seen.begun += 1;
            under_way.push((now + receivers[usize::try_from(key.user_id).unwrap()].takes, key, instant));
        }
        for (key, since) in limiter.take_blocked(instant).into_iter().rev() {
            due[usize::try_from(key.user_id).unwrap()].push_front(since);
        }
        seen.at_once = seen.at_once.max(under_way.len());
        for number in 0..receivers.len() {
            let key = key(number);
            let its = under_way.iter().filter(|(_, known, _)| *known == key).count();
            seen.at_once_of_one = seen.at_once_of_one.max(its);
        }
        assert_eq!(limiter.held(), under_way.len() + limiter.waiting().count());
        now += STEP;
    }
    seen.left = due.iter().map(|due| due.iter().filter(|since| **since <= time).count()).sum();
    seen
}

const USUAL: ConcurrencyLimits = ConcurrencyLimits { total: 64, receiver: 8 };

#[test]
fn known_healthy_receiver_is_not_delayed_by_slow_ones() {
    let second = Duration::from_secs(1);
    // what there is beside it, and how long its events may wait; it is the last, so that no order of keys helps it
    for (name, others, patience) in [
        ("nothing", vec![], second / 100),
        ("many that hang", vec![HANGING; 200], second),
        ("more than may be told of", vec![HANGING; 300], second),
        (
            "busy ones that are nearly slow",
            vec![Receiver { takes: second * 9 / 10, receives: true, ..HANGING }; 8],
            second,
        ),
        ("slow ones", vec![Receiver { takes: 3 * second, receives: true, ..HANGING }; 40], second),
        ("prompt ones", vec![Receiver { takes: second / 10, receives: true, events: 5000, ..HANGING }; 20], second / 2),
        ("ones that refuse", vec![Receiver { takes: second / 1000, ..HANGING }; 30], second),
    ] {
        let mut receivers = others;
        // it was known before they came
        let healthy = Receiver { from: Duration::ZERO, ..HEALTHY };
        for other in &mut receivers {
            other.from = 10 * second;
        }
        receivers.push(healthy);
        let seen = simulate(USUAL, &receivers, 60 * second);
        let delay = seen.delays[&key(receivers.len() - 1)];
        assert!(delay <= patience, "beside {name} it waits {delay:?}");
    }
}

#[test]
fn unknown_receiver_is_not_delayed_by_hanging_ones() {
    let mut receivers = vec![HANGING; 30];
    receivers.push(HEALTHY);
    let seen = simulate(USUAL, &receivers, Duration::from_mins(1));
    assert!(seen.delays[&key(30)] <= Duration::from_secs(1), "{:?}", seen.delays);
}

#[test]
fn single_receiver_reaches_its_limit() {
    let busy = Receiver { takes: Duration::from_millis(20), receives: true, events: 10_000, ..HANGING };
    let seen = simulate(USUAL, &[busy], Duration::from_secs(20));
    assert_eq!((seen.at_once, seen.at_once_of_one), (8, 8));
    assert!(seen.begun > 20 * 8 * 40, "never without work: {}", seen.begun);
    // one that takes its time but takes them, too
    let slow = Receiver { takes: Duration::from_secs(2), ..busy };
    assert_eq!(simulate(USUAL, &[slow], Duration::from_mins(2)).at_once, 8);
    // one that doesn't, one by one
    assert_eq!(simulate(USUAL, &[HANGING], Duration::from_mins(2)).at_once, 1);
}

fn receiver() -> impl Strategy<Value = Receiver> {
    let takes = prop_oneof![3 => 1..100_u64, 1 => 100..3000_u64, 1 => Just(15_000)];
    let from = (0..5000_u64).prop_map(Duration::from_millis);
    (takes, any::<bool>(), 0..30_u32, from, 0..300_u64).prop_map(|(takes, receives, events, from, apart)| Receiver {
        takes: Duration::from_millis(takes),
        receives,
        events,
        from,
        apart: Duration::from_millis(apart),
    })
}

proptest! {
    #![proptest_config(cases(25))]

    #[test]
    fn limits_hold_and_every_event_starts(
        (total, receiver) in (1..12_usize, 1..6_usize),
        receivers in prop::collection::vec(receiver(), 1..10),
    ) {
        let events: u32 = receivers.iter().map(|receiver| receiver.events).sum();
        let limits = ConcurrencyLimits { total, receiver };
        let seen = simulate(limits, &receivers, Duration::from_secs(30));
        prop_assert!(seen.at_once <= total && seen.at_once_of_one <= receiver, "{:?}", seen);
        // in the long run nothing is left, whoever hangs
        let takes: Duration = receivers.iter().map(|one| one.takes * one.events).sum();
        if takes < HOUR / 30 {
            let seen = simulate(limits, &receivers, takes + Duration::from_secs(20));
            prop_assert_eq!((seen.begun, seen.left), (events, 0));
        }
    }
}
