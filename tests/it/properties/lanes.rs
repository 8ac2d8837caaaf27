//! Whatever receivers do, each gets its share of deliveries and no more.

use std::time::Duration;

use concierge_sandbox::events::delivery::lanes::{Key, Lanes, Limits};
use proptest::prelude::*;

use super::cases;

/// What becomes of the delivery that is chosen by that number among those under way.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Prompt(usize),
    Late(usize),
    Failed(usize),
}

/// What the world does: so much is due for each receiver, then deliveries end.
fn history() -> impl Strategy<Value = Vec<(Vec<usize>, Vec<Outcome>)>> {
    let outcome = prop_oneof![
        3 => any::<usize>().prop_map(Outcome::Prompt),
        1 => any::<usize>().prop_map(Outcome::Late),
        1 => any::<usize>().prop_map(Outcome::Failed),
    ];
    let step = (prop::collection::vec(0..20_usize, 6), prop::collection::vec(outcome, 0..20));
    prop::collection::vec(step, 1..12)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn limits_hold_and_nothing_is_forgotten(
        (total, receiver) in (1..12_usize, 1..6_usize), history in history(),
    ) {
        let mut lanes: Lanes<Key> = Lanes::new(Limits { total, receiver });
        let mut due = [0; 6];
        // what runs, and how the last of each receiver's ended
        let (mut running, mut begun, mut ended) = (Vec::<Key>::new(), 0, 0);
        let mut is_slow = [false; 6];
        for (added, outcomes) in history {
            for (due, added) in due.iter_mut().zip(added) {
                *due += added;
            }
            // what a statement would take
            let rooms = lanes.rooms();
            let mut limit = lanes.room();
            for (number, due) in due.iter_mut().enumerate() {
                let key = (1, i64::try_from(number).unwrap());
                let room = rooms.iter().find(|(known, _)| *known == key).map_or(1, |(_, room)| *room);
                let taken = room.min(*due).min(limit);
                *due -= taken;
                limit -= taken;
                (0..taken).for_each(|_| lanes.add(key, key));
            }
            lanes.forget_idle();
            let mut outcomes = outcomes.into_iter();
            loop {
                let slow = |keys: &[Key]| keys.iter().filter(|key| is_slow[usize::try_from(key.1).unwrap()]).count();
                let slow_room = (total / 2).max(1).saturating_sub(slow(&running));
                let more = lanes.begin();
                prop_assert!(slow(&more) <= slow_room, "of those that fail, {more:?} begin, and {slow_room} may");
                begun += more.len();
                running.extend(more);
                prop_assert!(running.len() <= total);
                for number in 0..6 {
                    let its = running.iter().filter(|key| key.1 == number).count();
                    prop_assert!(its <= receiver, "{its} of {receiver}");
                }
                prop_assert_eq!(lanes.held(), running.len() + lanes.waiting().count());
                prop_assert!(lanes.waiting().next().is_none() || !running.is_empty(), "it goes on");
                let Some(outcome) = outcomes.next() else { break };
                if running.is_empty() {
                    break;
                }
                let (chosen, received, took) = match outcome {
                    Outcome::Prompt(chosen) => (chosen, true, Duration::from_millis(3)),
                    Outcome::Late(chosen) => (chosen, true, Duration::from_secs(9)),
                    Outcome::Failed(chosen) => (chosen, false, Duration::from_millis(3)),
                };
                let key = running.swap_remove(chosen % running.len());
                is_slow[usize::try_from(key.1).unwrap()] = !received || took > Duration::from_secs(1);
                lanes.ended(key, received, took);
                ended += 1;
            }
        }
        prop_assert_eq!(begun, ended + running.len());
    }
}

/// Lanes for two receivers at most, whose first events are under way.
fn with(keys: &[Key], limits: Limits) -> Lanes<Key> {
    let mut lanes = Lanes::new(limits);
    keys.iter().for_each(|key| lanes.add(*key, *key));
    assert_eq!(lanes.begin().len(), keys.len().min(limits.total));
    lanes
}

#[test]
fn a_receiver_that_answers_gets_more_and_one_that_does_not_gets_one() {
    const PROMPT: Duration = Duration::from_millis(900);
    let limits = Limits { total: 64, receiver: 8 };
    let mut lanes = with(&[(1, 1)], limits);
    for slots in [2, 3, 4, 5, 6, 7, 8, 8] {
        lanes.ended((1, 1), true, PROMPT);
        (0..9).for_each(|_| lanes.add((1, 1), (1, 1)));
        let running = lanes.held() - lanes.waiting().count();
        assert_eq!(running + lanes.begin().len(), slots);
    }
    lanes.ended((1, 1), true, Duration::from_secs(2));
    assert_eq!(lanes.begin().len(), 0, "seven are still under way");
    (0..7).for_each(|_| lanes.ended((1, 1), false, PROMPT));
    assert_eq!(lanes.begin().len(), 1);
}

#[test]
fn those_that_fail_together_get_half() {
    let keys: Vec<Key> = (0..8).map(|number| (1, number)).collect();
    let mut lanes = with(&keys, Limits { total: 8, receiver: 8 });
    keys.iter().for_each(|key| lanes.ended(*key, false, Duration::ZERO));
    keys.iter().for_each(|key| lanes.add(*key, *key));
    assert_eq!(lanes.begin().len(), 4);
    assert!(lanes.rooms().iter().all(|(_, room)| *room == 0), "no more of theirs is claimed");
    // others come first, and are not held up
    lanes.add((2, 1), (2, 1));
    assert_eq!(lanes.begin(), [(2, 1)]);
}
