//! Batches of calls: calls that arrive while their statement is busy share its next round trip.
//!
//! A call runs at once and alone if the statement is idle. Calls that arrive meanwhile wait, then run together.
//! So a busier server needs fewer round trips, commits and wake-ups per call. Only calls of the same caller share a
//! round trip: a statement never touches two accounts.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::PgConnection;
use tokio::sync::oneshot;

use super::error::is_conflict;
use super::{Database, OUTCOME_UNKNOWN, Progress, StoreError, outcome_unknown, silence};
use crate::jsonapi::error::{Error, Errors, UNAVAILABLE};

/// Concurrent round trips of one caller: one runs while the commit of another reaches the disk.
const ROUND_TRIPS: usize = 2;
/// Maximum number of calls in one round trip.
const CALLS: usize = 64;

/// Maximum number of attempts of a round trip that loses against concurrent changes.
const ATTEMPTS: u32 = 4;

/// Time limit of a round trip. Without one, a connection that went silent would block the caller's later calls.
const PATIENCE: Duration = Duration::from_secs(5);

/// The answers to a batch of calls, in their order, or the refusal of the caller.
pub type Answers<A> = Result<Vec<A>, StoreError>;

/// A statement that answers several calls at once.
pub type Statement<K, C, A> =
    for<'c> fn(&'c mut PgConnection, K, Vec<C>) -> Pin<Box<dyn Future<Output = Answers<A>> + Send + 'c>>;

/// The calls of one statement. Cheap to clone.
#[derive(Debug)]
pub struct Batch<K, C, A> {
    database: Database,
    statement: Statement<K, C, A>,
    /// The statement changes nothing.
    is_safe: bool,
    lanes: Arc<Mutex<HashMap<K, Lane<C, A>>>>,
}

/// A call and the channel for its answer.
type Waiting<C, A> = (C, oneshot::Sender<Result<A, Errors>>);

/// The calls of one caller.
#[derive(Debug)]
struct Lane<C, A> {
    waiting: Vec<Waiting<C, A>>,
    round_trips: usize,
}

impl<K, C, A> Clone for Batch<K, C, A> {
    fn clone(&self) -> Self {
        let Self { database, statement, is_safe, lanes } = self;
        Self { database: database.clone(), statement: *statement, is_safe: *is_safe, lanes: Arc::clone(lanes) }
    }
}

impl<K: Copy + Eq + Hash + Send + Sync + 'static, C: Clone + Send + 'static, A: Send + 'static> Batch<K, C, A> {
    /// Creates the batch of a statement that changes something.
    pub fn writing(database: Database, statement: Statement<K, C, A>) -> Self {
        Self { database, statement, is_safe: false, lanes: Arc::default() }
    }

    /// Creates the batch of a statement that changes nothing.
    pub fn reading(database: Database, statement: Statement<K, C, A>) -> Self {
        Self { database, statement, is_safe: true, lanes: Arc::default() }
    }

    /// Calls the statement.
    ///
    /// # Errors
    /// 401 for the caller; 503 if the database is unavailable.
    pub async fn call(&self, key: K, call: C) -> Result<A, Errors> {
        let (sender, answer) = oneshot::channel();
        let progress = Progress::current();
        if !self.is_safe {
            progress.begin();
        }
        {
            let mut lanes = self.lanes.lock();
            let lane = lanes.entry(key).or_insert(Lane { waiting: Vec::new(), round_trips: 0 });
            lane.waiting.push((call, sender));
            if lane.round_trips < ROUND_TRIPS {
                lane.round_trips += 1;
                // a separate task: the other calls continue after this call's client hangs up
                let trips = RoundTrips { batch: self.clone(), key, ended: false };
                tokio::spawn(trips.run());
            }
        }
        let answer = answer.await.unwrap_or_else(|_| {
            if !self.is_safe {
                return Err(outcome_unknown("the server is stopping"));
            }
            let detail = "the server is stopping; repeat the request in a moment";
            Err(Errors::from(Error::new(UNAVAILABLE, detail)).retry_after(1))
        });
        if !self.is_safe {
            progress.end(match &answer {
                Ok(_) => true,
                Err(errors) => errors.as_slice().iter().any(|error| error.code == OUTCOME_UNKNOWN),
            });
        }
        answer
    }
}

/// A task that makes round trips until no call waits.
struct RoundTrips<K: Copy + Eq + Hash + Send + Sync + 'static, C: Clone + Send + 'static, A: Send + 'static> {
    batch: Batch<K, C, A>,
    key: K,
    ended: bool,
}

impl<K: Copy + Eq + Hash + Send + Sync + 'static, C: Clone + Send + 'static, A: Send + 'static> RoundTrips<K, C, A> {
    async fn run(mut self) {
        while let Some(waiting) = self.next() {
            let (calls, senders): (Vec<C>, Vec<_>) = waiting.into_iter().unzip();
            let mut answers = self.round_trip(calls).await.map(Vec::into_iter);
            for sender in senders {
                let answer = match &mut answers {
                    Ok(answers) => match answers.next() {
                        Some(answer) => Ok(answer),
                        None => break,
                    },
                    Err(errors) => Err(errors.clone()),
                };
                // fails after the client hung up
                drop(sender.send(answer));
            }
        }
    }

    /// Takes the calls of the next round trip. If none wait, leaves the lane.
    fn next(&mut self) -> Option<Vec<Waiting<C, A>>> {
        let mut lanes = self.batch.lanes.lock();
        let Some(lane) = lanes.get_mut(&self.key) else {
            self.ended = true; // another task of the lane was cut short
            return None;
        };
        if !lane.waiting.is_empty() {
            let calls = lane.waiting.len().min(CALLS);
            return Some(lane.waiting.drain(..calls).collect());
        }
        self.ended = true;
        lane.round_trips -= 1;
        if lane.round_trips == 0 {
            lanes.remove(&self.key);
        }
        None
    }

    async fn round_trip(&self, calls: Vec<C>) -> Result<Vec<A>, Errors> {
        let (statement, key) = (self.batch.statement, self.key);
        let answers = self.batch.database.run(async |connection| {
            let answering = async {
                for _ in 1..ATTEMPTS {
                    match statement(connection, key, calls.clone()).await {
                        // rolled back, so nothing is done twice
                        Err(StoreError::Database(error)) if is_conflict(&error) => {}
                        answers => return answers,
                    }
                }
                statement(connection, key, calls).await
            };
            tokio::time::timeout(PATIENCE, answering).await.unwrap_or_else(|_| Err(silence(PATIENCE).into()))
        });
        Progress::new(self.batch.is_safe).scope(answers).await
    }
}

impl<K: Copy + Eq + Hash + Send + Sync + 'static, C: Clone + Send + 'static, A: Send + 'static> Drop
    for RoundTrips<K, C, A>
{
    fn drop(&mut self) {
        // cut short: without its lane, a waiting call fails instead of waiting for ever
        if !self.ended {
            self.batch.lanes.lock().remove(&self.key);
        }
    }
}
