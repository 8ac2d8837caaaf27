//! The requests of one account's clients, and the answers to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::watch;

/// Begin and end of a call, as its client saw them.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub begun: Instant,
    pub ended: Instant,
}

/// A change that a client asks for. Each leaves a mark in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// An output, with a unique amount in units of 10⁻⁸.
    Output(i64),
    /// A request, with a unique `external_id`.
    Request(String),
    /// An action on a request, with an event of this type.
    Action(&'static str),
}

/// The outcome of a call, as its client understands the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Done; the id in the answer.
    Done(i64),
    /// Not done: refused, or to be repeated.
    NotDone,
    /// Done or not: an answer of this meaning, or none.
    Unknown,
}

/// One call for a wish.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its `X-Request-Id`.
    pub call: String,
    pub during: Span,
    pub told: Told,
}

/// A change, and the calls for it. A client repeats a call only if it was told to.
#[derive(Debug, Clone)]
pub struct Wish {
    pub what: What,
    pub attempts: Vec<Attempt>,
}

/// A change of the account as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A reset, or a deletion and a new account with the same key.
    Fresh,
    Snapshot(String),
    Restored(String),
}

/// Everything that an account's clients know.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub key: String,
    pub wishes: Vec<Wish>,
    /// Changes of the whole account, one after the other.
    pub changes: Vec<(Change, Span)>,
    /// Number of answers by status and error code.
    pub answers: BTreeMap<(u16, String), u64>,
    /// Number of calls without an answer.
    pub broken: u64,
    /// Answers that no client expects.
    pub objections: Vec<String>,
}

/// Progress of all clients of a scenario.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Number of acknowledged writes.
    pub acknowledged: u64,
    /// Latest begin of an acknowledged write.
    pub latest: Instant,
}

impl Progress {
    pub fn start() -> watch::Sender<Self> {
        watch::Sender::new(Self { acknowledged: 0, latest: Instant::now() })
    }
}

/// The record of one account, written by its clients at once.
pub struct Journal {
    pub key: String,
    record: Mutex<Record>,
    progress: watch::Sender<Progress>,
    next_mark: AtomicI64,
}

impl Journal {
    pub fn open(key: &str, progress: watch::Sender<Progress>) -> Self {
        let record = Mutex::new(Record { key: key.to_owned(), ..Record::default() });
        Self { key: key.to_owned(), record, progress, next_mark: AtomicI64::new(1) }
    }

    /// Returns a number that no other wish of the account has.
    pub fn mark(&self) -> i64 {
        self.next_mark.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes a wish, and returns its place.
    pub fn wish(&self, what: What) -> usize {
        let mut record = self.record.lock();
        record.wishes.push(Wish { what, attempts: Vec::new() });
        record.wishes.len() - 1
    }

    /// Notes the outcome of a call for a wish.
    pub fn attempt(&self, wish: usize, attempt: Attempt) {
        let (is_done, begun) = (matches!(attempt.told, Told::Done(_)), attempt.during.begun);
        self.record.lock().wishes[wish].attempts.push(attempt);
        if is_done {
            self.progress.send_modify(|progress| {
                progress.acknowledged += 1;
                progress.latest = progress.latest.max(begun);
            });
        }
    }

    /// Notes a change of the whole account.
    pub fn changed(&self, change: Change, during: Span) {
        self.record.lock().changes.push((change, during));
    }

    pub fn answered(&self, status: u16, code: &str) {
        *self.record.lock().answers.entry((status, code.to_owned())).or_default() += 1;
        // wakes a wait for answers of a kind
        self.progress.send_modify(|_| {});
    }

    pub fn broke(&self) {
        self.record.lock().broken += 1;
    }

    pub fn object(&self, objection: String) {
        self.record.lock().objections.push(objection);
    }

    /// Returns the number of answers with this error code.
    pub fn count(&self, code: &str) -> u64 {
        self.record.lock().answers.iter().filter(|((_, known), _)| known == code).map(|(_, count)| count).sum()
    }

    pub fn record(&self) -> Record {
        self.record.lock().clone()
    }
}

impl Record {
    /// Returns the number of calls.
    pub fn operations(&self) -> u64 {
        self.answers.values().sum::<u64>() + self.broken
    }

    /// Returns the number of acknowledged writes.
    pub fn acknowledged(&self) -> usize {
        let attempts = self.wishes.iter().flat_map(|wish| &wish.attempts);
        attempts.filter(|attempt| matches!(attempt.told, Told::Done(_))).count()
    }
}

/// The fate of a change, in the account as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Kept,
    /// It raced with a change of the whole account.
    Raced,
    Gone,
}

/// Returns the fate of a change made during a call, after these changes of the whole account.
pub fn fate(call: Span, changes: &[(Change, Span)]) -> Fate {
    let is_replacement = |(change, _): &(Change, Span)| !matches!(change, Change::Snapshot(_));
    let Some(last) = changes.iter().rposition(is_replacement) else { return Fate::Kept };
    let (replacement, during) = &changes[last];
    if call.begun > during.ended {
        return Fate::Kept;
    }
    let in_the_old = match replacement {
        Change::Restored(name) => fate_in_snapshot(call, name, &changes[..last]),
        Change::Fresh | Change::Snapshot(_) => Fate::Gone,
    };
    // a call that raced with the replacement belongs to either side
    if call.ended < during.begun || in_the_old == Fate::Kept { in_the_old } else { Fate::Raced }
}

fn fate_in_snapshot(call: Span, name: &str, changes: &[(Change, Span)]) -> Fate {
    let is_taking = |(change, _): &(Change, Span)| *change == Change::Snapshot(name.to_owned());
    let Some(taken) = changes.iter().rposition(is_taking) else { return Fate::Gone };
    let during = changes[taken].1;
    if call.begun > during.ended {
        return Fate::Gone;
    }
    match fate(call, &changes[..taken]) {
        Fate::Kept if call.ended < during.begun => Fate::Kept,
        Fate::Gone => Fate::Gone,
        Fate::Kept | Fate::Raced => Fate::Raced,
    }
}
