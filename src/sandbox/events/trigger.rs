//! Creates synthetic events. The receiver gets the event, but no resource changes.

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::document::NewEvent;
use super::{EventDetails, sample, store};
use crate::accounts::caller::{Access, Caller, Credentials, authenticate};
use crate::accounts::store::lock;
use crate::concierge::event_types::EventSubject;
use crate::database::{StoreError, transaction};
use crate::events::{Cause, Event, ResourceSnapshot};
use crate::jsonapi::document::Identifier;
use crate::jsonapi::error::{Error, Errors, RELATED_RESOURCE_NOT_FOUND};
use crate::web::origin::Origin;
use crate::{concierge, events};

/// Records a synthetic event and queues it like any event of its resource.
///
/// The resource is the named one in its current state, or a sample. The caller counts as the creator: the event goes
/// to the caller's `webhook_url`, or else to the master user's. `now` is the server's time. The links are recorded under
/// the first of the origins, and shown under that of the call.
///
/// Returns the event before its delivery, or `None` if the account was reset meanwhile.
///
/// # Errors
/// 401 unless the caller is authorized; 404 for an unknown resource; errors of the database.
pub async fn trigger(
    connection: &mut PgConnection,
    credentials: &Credentials,
    new: &NewEvent,
    now: OffsetDateTime,
    (origin, shown): (&str, &Origin),
    cause: Cause,
    shows_resource: bool,
) -> Result<Option<(Caller, EventDetails)>, StoreError> {
    let work = async |transaction: &mut PgConnection| {
        let caller = authenticate(transaction, credentials, Access::Write).await?;
        let (account_id, made_by, now) = (caller.account_id, Some(caller.user_id), caller.time.at(now));
        if lock(transaction, account_id).await?.is_none() {
            return Ok(None);
        }
        let resource = match &new.resource {
            Some(id) => snapshot(transaction, account_id, new, id, made_by, origin).await?,
            None => {
                let (resource, failures) = sample::sample(new.event_type, now);
                let sample = ResourceSnapshot { failures, ..ResourceSnapshot::of(&resource, made_by, origin) };
                store::queue::hold(transaction, account_id, sample.type_name, sample.id).await?;
                sample
            }
        };
        let event_type = new.event_type.name;
        let event = Event { account_id, event_type, at: now, resource, cause, is_made_up: true };
        events::store::record(transaction, &[event]).await?;
        // this transaction locks the counter of ids, so no later event exists
        let id = events::store::last_id(transaction, account_id).await?;
        let (_, event) = store::find(transaction, credentials, Access::Write, (id, shows_resource), shown).await?;
        Ok(event.map(|event| (caller, event)))
    };
    transaction(connection, work).await
}

/// Takes a snapshot of a resource. Locks the resource, so it stays the same until its event is recorded.
async fn snapshot(
    connection: &mut PgConnection,
    account_id: i64,
    new: &NewEvent,
    id: &Identifier,
    made_by: Option<i64>,
    origin: &str,
) -> Result<ResourceSnapshot, StoreError> {
    let schema = new.event_type.schema();
    store::queue::hold(connection, account_id, schema.type_name, id.number()).await?;
    let found = concierge::load(connection, account_id, schema, &[id.number()]).await?;
    let Some(resource) = found.first() else {
        let detail = format!("`resource.id` is {:?}; none of the {} has this id", id.text, schema.type_name);
        return Err(Errors::from(Error::new(RELATED_RESOURCE_NOT_FOUND, detail).at("/resource/id")).into());
    };
    let failures = match new.event_type.subject {
        EventSubject::Output(_) => Some(store::failures(connection, account_id, id.number()).await?),
        EventSubject::Request(_) | EventSubject::User(_) | EventSubject::WithdrawalInstruction => None,
    };
    Ok(ResourceSnapshot { failures, ..ResourceSnapshot::of(resource, made_by, origin) })
}
