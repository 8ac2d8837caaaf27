//! What one transaction changes. Everything that moves, moves through here, so that no state changes without the
//! event that tells of it.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;

use super::money::{self, Credit};
use super::requests::life::Life;
use super::{outputs, requests, users};
use crate::events::{self, Cause, Event, Snapshot};
use crate::jsonapi::render::Resource;

/// Changes of rows that are locked already.
#[derive(Debug, Default)]
pub struct Changes {
    pub users: Vec<users::store::Move>,
    pub outputs: Vec<outputs::store::life::Move>,
    /// Outputs that were looked at and stay as they are until something else happens, by account and id.
    pub stopped: Vec<(i64, i64)>,
    pub requests: Vec<Life>,
    /// Money that comes into wallets, at most one credit each.
    pub credits: Vec<Credit>,
}

/// Resources as they were saved, by account, type and id.
type Snapshots = HashMap<(i64, &'static str, i64), Snapshot>;

impl Changes {
    /// Saves everything, and tells of it. Money comes first and events last, which is the order in which whoever
    /// saves changes locks what others lock too. `origin` is that of the URLs that events show.
    ///
    /// # Errors
    /// Those of the database; then the transaction is to be rolled back.
    pub async fn save(self, connection: &mut PgConnection, origin: &str) -> Result<(), sqlx::Error> {
        if !self.credits.is_empty() {
            money::credit(connection, &self.credits).await?;
        }
        let mut snapshots = Snapshots::new();
        let mut keep = |account_id: i64, made_by: Option<i64>, resource: &Resource| {
            let snapshot = Snapshot::of(resource, made_by, origin);
            snapshots.insert((account_id, snapshot.type_name, snapshot.id), snapshot);
        };
        if !self.users.is_empty() {
            for (account_id, made_by, user) in users::store::save(connection, &self.users).await? {
                keep(account_id, made_by, &users::document::render(&user));
            }
        }
        if !self.outputs.is_empty() {
            for (account_id, made_by, output) in outputs::store::life::save(connection, &self.outputs).await? {
                keep(account_id, made_by, &outputs::document::render(&output));
            }
        }
        if !self.stopped.is_empty() {
            outputs::store::life::stop_timers(connection, &self.stopped).await?;
        }
        if !self.requests.is_empty() {
            requests::store::life::save(connection, &self.requests).await?;
            let told = self.requests.iter().filter(|life| !life.told.is_empty());
            let told: Vec<(i64, i64)> = told.map(|life| (life.account_id, life.id)).collect();
            for request in requests::store::load_all(connection, &told).await? {
                keep(request.life.account_id, request.made_by, &requests::document::render(&request));
            }
        }
        let events = self.events(&snapshots);
        if !events.is_empty() {
            events::store::write(connection, &events).await?;
        }
        Ok(())
    }

    /// What there is to tell: at the same time, of users before the outputs that waited for them, of a request's
    /// start before its outputs', and of its end after theirs.
    fn events(&self, snapshots: &Snapshots) -> Vec<Event> {
        let event = |(account_id, type_name, id), event_type, at, failures, cause: &Cause| {
            // a row that is gone has nothing to tell
            let resource = snapshots.get(&(account_id, type_name, id))?.clone();
            let resource = Snapshot { failures, ..resource };
            Some(Event { account_id, event_type, at, resource, cause: cause.clone(), is_made_up: false })
        };
        let users = self.users.iter().filter_map(|step| {
            let user = (step.account_id, users::SCHEMA.type_name, step.id);
            event(user, step.to.event_type(), step.at, None, &step.cause)
        });
        let outputs = self.outputs.iter().filter_map(|step| {
            let failures = Some(step.to.failures(step.attempts));
            let output = (step.account_id, outputs::SCHEMA.type_name, step.id);
            event(output, step.to.event_type(), step.at, failures, &step.cause)
        });
        let requests = |ended: bool| {
            let lives =
                self.requests.iter().filter(move |life| (life.state == requests::state::State::Finished) == ended);
            lives.flat_map(move |life| {
                let request = (life.account_id, requests::SCHEMA.type_name, life.id);
                let told = life.told.iter();
                told.filter_map(move |told| event(request, told.event_type, told.at, None, &told.cause))
            })
        };
        users.chain(requests(false)).chain(outputs).chain(requests(true)).collect()
    }
}
