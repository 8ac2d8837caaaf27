//! The changes of one transaction.
//!
//! Every transition is saved here, so that no state changes without its event.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;

use super::cash_wallets::ledger;
use super::cash_wallets::ledger::Credit;
use super::requests::progress::Progress;
use super::{outputs, requests, users};
use crate::events;
use crate::events::{Cause, Event, ResourceSnapshot};
use crate::jsonapi::render::Resource;

/// Changes to locked rows.
#[derive(Debug, Default)]
pub struct Changes {
    pub users: Vec<users::store::UserTransition>,
    pub outputs: Vec<outputs::store::transitions::OutputTransition>,
    /// Outputs without a next step until something else happens, by account and id.
    /// Their timers are removed.
    pub stopped: Vec<(i64, i64)>,
    pub requests: Vec<Progress>,
    /// Credits to wallets, at most one for each wallet.
    pub credits: Vec<Credit>,
}

/// Saved resources by account, type and id.
type Snapshots = HashMap<(i64, &'static str, i64), ResourceSnapshot>;

impl Changes {
    /// Saves all changes and records their events.
    /// Money comes first and events last: all transactions lock shared rows in this order.
    /// `origin` is the start of the URLs in events.
    ///
    /// # Errors
    /// Database errors; the caller must roll the transaction back.
    pub async fn save(self, connection: &mut PgConnection, origin: &str) -> Result<(), sqlx::Error> {
        if !self.credits.is_empty() {
            ledger::credit(connection, &self.credits).await?;
        }
        let mut snapshots = Snapshots::new();
        let mut keep = |account_id: i64, made_by: Option<i64>, resource: &Resource| {
            let snapshot = ResourceSnapshot::of(resource, made_by, origin);
            snapshots.insert((account_id, snapshot.type_name, snapshot.id), snapshot);
        };
        if !self.users.is_empty() {
            for (account_id, made_by, user) in users::store::save(connection, &self.users).await? {
                keep(account_id, made_by, &users::document::render(&user));
            }
        }
        if !self.outputs.is_empty() {
            for (account_id, made_by, output) in outputs::store::transitions::save(connection, &self.outputs).await? {
                keep(account_id, made_by, &outputs::document::render(&output));
            }
        }
        if !self.stopped.is_empty() {
            outputs::store::transitions::stop_timers(connection, &self.stopped).await?;
        }
        if !self.requests.is_empty() {
            requests::store::transitions::save(connection, &self.requests).await?;
            let with_events = self.requests.iter().filter(|progress| !progress.told.is_empty());
            let with_events: Vec<(i64, i64)> = with_events.map(|progress| (progress.account_id, progress.id)).collect();
            for request in requests::store::load_all(connection, &with_events).await? {
                keep(request.progress.account_id, request.made_by, &requests::document::render(&request));
            }
        }
        let events = self.events(&snapshots);
        if !events.is_empty() {
            events::store::record(connection, &events).await?;
        }
        Ok(())
    }

    /// Returns the events, in this order for one instant:
    /// users before the outputs that waited for them, a request's start before its outputs, its end after them.
    fn events(&self, snapshots: &Snapshots) -> Vec<Event> {
        let event = |(account_id, type_name, id), event_type, at, failures, cause: &Cause| {
            // a deleted row has no event
            let resource = snapshots.get(&(account_id, type_name, id))?.clone();
            let resource = ResourceSnapshot { failures, ..resource };
            Some(Event { account_id, event_type, at, resource, cause: cause.clone(), is_made_up: false })
        };
        let users = self.users.iter().filter_map(|step| {
            let user = (step.account_id, users::document::SCHEMA.type_name, step.id);
            event(user, step.to.event_type(), step.at, None, &step.cause)
        });
        let outputs = self.outputs.iter().filter_map(|step| {
            let failures = Some(step.to.failures(step.attempts));
            let output = (step.account_id, outputs::document::SCHEMA.type_name, step.id);
            event(output, step.to.event_type(), step.at, failures, &step.cause)
        });
        let requests = |ended: bool| {
            let lives = self
                .requests
                .iter()
                .filter(move |progress| (progress.state == requests::state::State::Finished) == ended);
            lives.flat_map(move |progress| {
                let request = (progress.account_id, requests::document::SCHEMA.type_name, progress.id);
                let pending = progress.told.iter();
                pending.filter_map(move |pending| event(request, pending.event_type, pending.at, None, &pending.cause))
            })
        };
        users.chain(requests(false)).chain(outputs).chain(requests(true)).collect()
    }
}
