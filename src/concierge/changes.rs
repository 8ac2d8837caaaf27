//! What one transaction changes. Everything that moves, moves through here, so that no state changes without the
//! event that tells of it.

use sqlx::postgres::PgConnection;

use super::money::{self, Credit};
use super::requests::life::Life;
use super::{outputs, requests, users};
use crate::events::{self, Event};

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

impl Changes {
    /// Saves everything, and tells of it. Money comes first and events last, which is the order in which whoever
    /// saves changes locks what others lock too.
    ///
    /// # Errors
    /// Those of the database; then the transaction is to be rolled back.
    pub async fn save(self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let events = self.events();
        if !self.credits.is_empty() {
            money::credit(connection, &self.credits).await?;
        }
        if !self.users.is_empty() {
            users::store::save(connection, &self.users).await?;
        }
        if !self.outputs.is_empty() {
            outputs::store::life::save(connection, &self.outputs).await?;
        }
        if !self.stopped.is_empty() {
            outputs::store::life::stop_timers(connection, &self.stopped).await?;
        }
        if !self.requests.is_empty() {
            requests::store::life::save(connection, &self.requests).await?;
        }
        if !events.is_empty() {
            events::store::write(connection, &events).await?;
        }
        Ok(())
    }

    /// What there is to tell: at the same time, of users before the outputs that waited for them, of a request's
    /// start before its outputs', and of its end after theirs.
    fn events(&self) -> Vec<Event> {
        let users = self.users.iter().map(|step| Event {
            account_id: step.account_id,
            event_type: step.to.event_type(),
            resource_type: users::SCHEMA.type_name,
            resource_id: step.id,
            at: step.at,
        });
        let outputs = self.outputs.iter().map(|step| Event {
            account_id: step.account_id,
            event_type: step.to.event_type(),
            resource_type: outputs::SCHEMA.type_name,
            resource_id: step.id,
            at: step.at,
        });
        let requests = |ended: bool| {
            let lives =
                self.requests.iter().filter(move |life| (life.state == requests::state::State::Finished) == ended);
            lives.flat_map(|life| {
                life.told.iter().map(|(event_type, at)| Event {
                    account_id: life.account_id,
                    event_type,
                    resource_type: requests::SCHEMA.type_name,
                    resource_id: life.id,
                    at: *at,
                })
            })
        };
        users.chain(requests(false)).chain(outputs).chain(requests(true)).collect()
    }
}
