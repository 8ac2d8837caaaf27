//! Calls of one statement that come while it is busy share its next round trip.
//!
//! A call that finds the statement idle runs at once and alone. While it runs, others wait, and then run together:
//! the busier the server, the fewer round trips, commits and wake-ups a call costs. Only calls of one caller share,
//! so that a statement never reaches into two accounts.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::PgConnection;
use tokio::sync::oneshot;

use super::{Database, StoreError};
use crate::jsonapi::error::{Error, Errors, UNAVAILABLE};

/// Round trips of one caller under way at once: one runs while another one's commit reaches the disk.
const ROUND_TRIPS: usize = 2;
/// The most calls that share one.
const CALLS: usize = 64;

/// How long a round trip may take: a connection that carries nothing any more, not even its end, would hold up the
/// caller's others.
const PATIENCE: Duration = Duration::from_secs(5);

/// The answers to a batch of calls, in their order, or why the caller is refused.
pub type Answers<A> = Result<Vec<A>, StoreError>;

/// A statement that takes many calls at once.
pub type Statement<K, C, A> =
    for<'c> fn(&'c mut PgConnection, K, Vec<C>) -> Pin<Box<dyn Future<Output = Answers<A>> + Send + 'c>>;

/// The calls of one statement. Cheap to clone.
#[derive(Debug)]
pub struct Batch<K, C, A> {
    database: Database,
    statement: Statement<K, C, A>,
    lanes: Arc<Mutex<HashMap<K, Lane<C, A>>>>,
}

/// A call and where its answer goes.
type Waiting<C, A> = (C, oneshot::Sender<Result<A, Errors>>);

/// The calls of one caller.
#[derive(Debug)]
struct Lane<C, A> {
    waiting: Vec<Waiting<C, A>>,
    round_trips: usize,
}

impl<K, C, A> Clone for Batch<K, C, A> {
    fn clone(&self) -> Self {
        Self { database: self.database.clone(), statement: self.statement, lanes: Arc::clone(&self.lanes) }
    }
}

impl<K: Copy + Eq + Hash + Send + Sync + 'static, C: Send + 'static, A: Send + 'static> Batch<K, C, A> {
    /// The calls of that statement.
    pub fn new(database: Database, statement: Statement<K, C, A>) -> Self {
        Self { database, statement, lanes: Arc::default() }
    }

    /// Calls the statement.
    ///
    /// # Errors
    /// 401 for the caller; 503 where the database is away.
    pub async fn call(&self, key: K, call: C) -> Result<A, Errors> {
        let (sender, answer) = oneshot::channel();
        {
            let mut lanes = self.lanes.lock();
            let lane = lanes.entry(key).or_insert(Lane { waiting: Vec::new(), round_trips: 0 });
            lane.waiting.push((call, sender));
            if lane.round_trips < ROUND_TRIPS {
                lane.round_trips += 1;
                // a task of its own: the others' calls go on when this one's client hangs up
                let trips = RoundTrips { batch: self.clone(), key, ended: false };
                tokio::spawn(trips.run());
            }
        }
        answer.await.unwrap_or_else(|_| {
            let detail = "the server is stopping; the same request can be repeated in a moment";
            Err(Errors::from(Error::new(UNAVAILABLE, detail)).retry_after(1))
        })
    }
}

/// One round trip after the other, until no call waits.
struct RoundTrips<K: Copy + Eq + Hash + Send + Sync + 'static, C: Send + 'static, A: Send + 'static> {
    batch: Batch<K, C, A>,
    key: K,
    ended: bool,
}

impl<K: Copy + Eq + Hash + Send + Sync + 'static, C: Send + 'static, A: Send + 'static> RoundTrips<K, C, A> {
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
                // whoever hung up doesn't want it any more
                drop(sender.send(answer));
            }
        }
    }

    /// The calls of the next round trip; at the end, this is none of the lane's any more.
    fn next(&mut self) -> Option<Vec<Waiting<C, A>>> {
        let mut lanes = self.batch.lanes.lock();
        let Some(lane) = lanes.get_mut(&self.key) else {
            self.ended = true; // another one's was cut short
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
        let mut connection = self.batch.database.connection().await?;
        let answers = (self.batch.statement)(&mut connection, self.key, calls);
        let answers = tokio::time::timeout(PATIENCE, answers).await.unwrap_or(Err(sqlx::Error::PoolTimedOut.into()));
        connection.conclude(answers)
    }
}

impl<K: Copy + Eq + Hash + Send + Sync + 'static, C: Send + 'static, A: Send + 'static> Drop for RoundTrips<K, C, A> {
    fn drop(&mut self) {
        // cut short: whoever still waits in this lane is told so rather than left waiting
        if !self.ended {
            self.batch.lanes.lock().remove(&self.key);
        }
    }
}
