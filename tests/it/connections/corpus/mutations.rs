//! Valid requests with damaged bytes. The answers may be any, within the invariants of the corpus.

use futures_util::future::join_all;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::exchange::{Answers, Ending, exchange};
use super::requests::{GET, requests};
use super::{SHORT, SLOW, assert_calm, stored};
use crate::properties::cases;
use crate::support::{Database, Program, database};

/// Damage to a request, at a place.
#[derive(Debug, Clone)]
enum Damage {
    Flip(u8),
    Insert(Vec<u8>),
    Delete(usize),
    Repeat(usize),
    Cut,
}

/// A damaged request and the places between its writes.
#[derive(Debug, Clone)]
struct Mutant {
    base: Index,
    damages: Vec<(Index, Damage)>,
    splits: Vec<Index>,
}

fn mutants() -> impl Strategy<Value = Vec<Mutant>> {
    let words = ["\r\n", "\n", "\r", "\0", " ", ":", ",", "0", "\r\n\r\n", "Content-Length: 3\r\n", GET];
    let words = prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec());
    let damage = prop_oneof![
        3 => (1..=255_u8).prop_map(Damage::Flip),
        3 => prop_oneof![vec(any::<u8>(), 1..4), words].prop_map(Damage::Insert),
        2 => (1..30_usize).prop_map(Damage::Delete),
        2 => (1..200_usize).prop_map(Damage::Repeat),
        1 => Just(Damage::Cut),
    ];
    let mutant = (any::<Index>(), vec((any::<Index>(), damage), 1..4), vec(any::<Index>(), 0..3));
    vec(mutant.prop_map(|(base, damages, splits)| Mutant { base, damages, splits }), 1..24)
}

/// Returns a mutant's bytes.
fn mutate(mutant: &Mutant, bases: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = bases[mutant.base.index(bases.len())].clone();
    for (place, damage) in &mutant.damages {
        let place = place.index(bytes.len() + 1);
        let end = |length: &usize| bytes.len().min(place + length);
        match damage {
            Damage::Flip(bits) => bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= bits),
            Damage::Insert(more) => drop(bytes.splice(place..place, more.iter().copied())),
            Damage::Delete(length) => drop(bytes.drain(place..end(length))),
            Damage::Repeat(length) => {
                let again = bytes[place..end(length)].to_vec();
                drop(bytes.splice(place..place, again));
            }
            Damage::Cut => bytes.truncate(place),
        }
    }
    bytes
}

/// Sends a mutant, and waits for the end of its connection.
async fn send(program: &Program, mutant: &Mutant, bytes: &[u8]) -> Answers {
    let mut splits: Vec<usize> = mutant.splits.iter().map(|split| split.index(bytes.len() + 1)).collect();
    splits.extend([0, bytes.len()]);
    splits.sort_unstable();
    exchange(program.address(), splits.windows(2).map(|piece| &bytes[piece[0]..piece[1]]), Ending::Open).await
}

/// Checks the invariants of damaged requests that were sent at once.
async fn check(database: &Database, program: &Program, mutants: &[Mutant], bases: &[Vec<u8>]) {
    let before = stored(database).await;
    let all: Vec<_> = mutants.iter().map(|mutant| (mutant, mutate(mutant, bases))).collect();
    let found = join_all(all.iter().map(|(mutant, bytes)| send(program, mutant, bytes))).await;
    for ((_, bytes), found) in all.iter().zip(&found) {
        found.assert_sound(bytes);
    }
    let created = found.iter().flat_map(|found| &found.list).filter(|answer| *answer == "201").count();
    assert_eq!(stored(database).await - before, created, "{found:?}");
    program.get("/_sandbox/health/ready").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_requests_are_answered_or_ended() {
    database(async |database| {
        let program = database.program(&SHORT).await;
        let is_base = |raw: &super::Raw| raw.bytes.len() <= SLOW && raw.answers.starts_with('2');
        let bases: Vec<_> = requests().into_iter().filter(is_base).map(|raw| raw.bytes).collect();
        let mut runner = TestRunner::new(Config { max_shrink_iters: 200, ..cases(6) });
        let ran = block_in_place(|| {
            runner.run(&mutants(), |mutants| {
                Handle::current().block_on(check(database, &program, &mutants, &bases));
                Ok(())
            })
        });
        ran.unwrap_or_else(|failed| panic!("{failed}"));
        assert_calm(program).await;
    })
    .await;
}
