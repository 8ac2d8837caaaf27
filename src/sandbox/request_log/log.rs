//! The log of exchanges and of observations for each account, within fixed limits.
//!
//! At the limits it drops the oldest exchanges, and the account that was idle longest.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::Exchange;
use crate::sandbox::advice::observations::{Observations, Observed};

/// LogLimits of the log.
#[derive(Debug, Clone, Copy)]
pub struct LogLimits {
    /// Maximum number of exchanges of one account.
    pub exchanges: usize,
    /// Maximum number of bytes of the exchanges of all accounts, approximately.
    pub bytes: usize,
    /// Maximum number of accounts.
    pub accounts: usize,
}

/// LogLimits of a server.
pub const LIMITS: LogLimits = LogLimits { exchanges: 1000, bytes: 64 << 20, accounts: 10_000 };

/// The log of all accounts.
#[derive(Debug)]
pub struct RequestLog {
    limits: LogLimits,
    arrivals: AtomicU64,
    kept: Mutex<KeptExchanges>,
}

#[derive(Debug, Default)]
struct KeptExchanges {
    accounts: HashMap<i64, AccountLog>,
    /// The account of each exchange, in order of arrival.
    order: BTreeMap<u64, i64>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct AccountLog {
    /// In order of arrival.
    exchanges: BTreeMap<u64, Arc<Exchange>>,
    observations: Observations,
    /// Number of its latest arrival.
    latest: u64,
}

impl RequestLog {
    /// Creates an empty log.
    pub fn new(limits: LogLimits) -> Self {
        Self { limits, arrivals: AtomicU64::new(1), kept: Mutex::default() }
    }

    /// Returns the number of an arriving request, from 1. Later requests have higher numbers.
    pub fn arrive(&self) -> u64 {
        self.arrivals.fetch_add(1, Ordering::Relaxed)
    }

    /// Records an exchange of an account under the number of its arrival.
    pub fn record(&self, account_id: i64, arrival: u64, exchange: Exchange, observed: &Observed<'_>) {
        let exchange = Arc::new(exchange);
        let answered = self.arrivals.load(Ordering::Relaxed);
        // freed after the lock is released
        let dropped: (Vec<_>, Option<AccountLog>);
        {
            let mut kept = self.kept.lock();
            let idle =
                if kept.accounts.contains_key(&account_id) { None } else { kept.make_room(self.limits.accounts) };
            kept.bytes += exchange.weight();
            kept.order.insert(arrival, account_id);
            let account = kept.accounts.entry(account_id).or_default();
            account.latest = account.latest.max(arrival);
            account.observations.observe(observed, &exchange, arrival, answered);
            account.exchanges.insert(arrival, exchange);
            let mut oldest = Vec::new();
            if account.exchanges.len() > self.limits.exchanges
                && let Some((first, exchange)) = account.exchanges.pop_first()
            {
                kept.order.remove(&first);
                kept.bytes -= exchange.weight();
                oldest.push(exchange);
            }
            while kept.bytes > self.limits.bytes {
                let Some(exchange) = kept.pop_oldest() else { break };
                oldest.push(exchange);
            }
            dropped = (oldest, idle);
        }
        drop(dropped);
    }

    /// Returns the exchanges of an account with the numbers of their arrivals, the newest first.
    pub fn exchanges(&self, account_id: i64) -> Vec<(u64, Arc<Exchange>)> {
        let kept = self.kept.lock();
        let Some(account) = kept.accounts.get(&account_id) else { return Vec::new() };
        account.exchanges.iter().rev().map(|(arrival, exchange)| (*arrival, Arc::clone(exchange))).collect()
    }

    /// Returns the observations of an account.
    pub fn observations(&self, account_id: i64) -> Observations {
        let kept = self.kept.lock();
        kept.accounts.get(&account_id).map(|account| account.observations.clone()).unwrap_or_default()
    }

    /// Deletes an account's exchanges and observations.
    pub fn forget(&self, account_id: i64) {
        // freed after the lock is released
        let dropped = self.kept.lock().remove(account_id);
        drop(dropped);
    }

    /// Returns the approximate size of all exchanges, in bytes.
    pub fn bytes(&self) -> usize {
        self.kept.lock().bytes
    }
}

impl KeptExchanges {
    /// Removes the account that was idle longest, if there are `most` accounts.
    fn make_room(&mut self, most: usize) -> Option<AccountLog> {
        if self.accounts.len() < most {
            return None;
        }
        let idle = self.accounts.iter().min_by_key(|(_, account)| account.latest).map(|(account_id, _)| *account_id);
        idle.and_then(|account_id| self.remove(account_id))
    }

    fn remove(&mut self, account_id: i64) -> Option<AccountLog> {
        let account = self.accounts.remove(&account_id)?;
        for (arrival, exchange) in &account.exchanges {
            self.order.remove(arrival);
            self.bytes -= exchange.weight();
        }
        Some(account)
    }

    fn pop_oldest(&mut self) -> Option<Arc<Exchange>> {
        let (arrival, account_id) = self.order.pop_first()?;
        let exchange = self.accounts.get_mut(&account_id)?.exchanges.remove(&arrival)?;
        self.bytes -= exchange.weight();
        Some(exchange)
    }
}
