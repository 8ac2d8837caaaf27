//! Leased connections, and the idle ones that they come from.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use parking_lot::Mutex;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnection;
use tokio::sync::OwnedSemaphorePermit;

use super::error::{self, StoreError};
use super::outage::Outage;
use super::progress::Progress;
use crate::jsonapi::error::Errors;

/// Idle connections, ready for the next request.
#[derive(Debug, Default)]
pub(super) struct Idle {
    pub(super) connections: Vec<PoolConnection<Postgres>>,
    /// Number of times all connections were discarded.
    pub(super) generation: u64,
}

impl Idle {
    /// Removes all idle connections, and bars the leased ones from coming back.
    pub(super) fn discard(&mut self) -> Vec<PoolConnection<Postgres>> {
        self.generation += 1;
        std::mem::take(&mut self.connections)
    }
}

/// A leased connection. Release it with [`LeasedConnection::release`] after successful work.
#[derive(Debug)]
pub struct LeasedConnection {
    pub(super) connection: PoolConnection<Postgres>,
    pub(super) idle: Arc<Mutex<Idle>>,
    pub(super) generation: u64,
    pub(super) outage: Arc<Outage>,
    /// The progress of the request; `None` for work that can be repeated.
    pub(super) progress: Option<Progress>,
    // dropped last, so that the next holder of the permit finds the connection
    pub(super) permit: OwnedSemaphorePermit,
}

impl LeasedConnection {
    /// Releases the connection after successful work, for immediate reuse.
    pub fn release(self) {
        self.outage.end();
        if let Some(progress) = &self.progress {
            progress.end(true);
        }
        self.put_back();
    }

    fn put_back(self) {
        let mut idle = self.idle.lock();
        // a connection leased before another one failed may be broken too
        if idle.generation == self.generation {
            idle.connections.push(self.connection);
        }
        drop(idle);
        drop(self.permit);
    }

    /// Releases the connection with the outcome of its work. Logs a failure here, once, and converts it to an answer.
    ///
    /// # Errors
    /// The refusal of the request; 503 if the database is unavailable, else 500. The 503 says whether the work may be
    /// stored.
    pub fn finish<T>(self, outcome: Result<T, impl Into<StoreError>>) -> Result<T, Errors> {
        match outcome.map_err(Into::into) {
            Ok(value) => {
                self.release();
                Ok(value)
            }
            Err(StoreError::Refused(errors)) => {
                self.outage.end();
                if let Some(progress) = &self.progress {
                    progress.end(false);
                }
                self.put_back();
                Err(errors)
            }
            Err(StoreError::Database(error)) => {
                if error::is_unavailable(&error) {
                    self.outage.note(&error);
                    // idle connections may be broken too
                    self.idle.lock().discard();
                }
                let is_unknown = match &self.progress {
                    Some(progress) => {
                        let is_lost = error::is_lost(&error, progress.is_committing()) && progress.may_have_changed();
                        progress.end(is_lost);
                        progress.is_changed()
                    }
                    None => Progress::current().is_changed(),
                };
                Err(error::answer(&error, is_unknown))
            }
        }
    }
}

impl Deref for LeasedConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for LeasedConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
