//! Each event arrived at least once, and the events of one resource in order.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgPool;

use super::{Finding, Kind, account_of};
use crate::journal::Record;
use crate::listener::Heard;

/// An event: id, type, and type and id of its resource.
type Event = (i64, String, String, i64);

/// Returns the events that did not arrive, arrived too early, or arrived without being stored.
///
/// An account that was replaced has several events of one id, so it is not checked.
pub async fn check(database: &PgPool, record: &Record, heard: &[Heard]) -> Vec<Finding> {
    if !record.changes.is_empty() {
        return Vec::new();
    }
    let account = account_of(database, &record.key).await;
    let sql = "select e.id, e.event_type, e.resource_type, e.resource_id
        from events e join deliveries d on d.account_id = e.account_id and d.event_id = e.id
        where e.account_id = $1 order by e.id";
    let events: Vec<Event> = sqlx::query_as(sql).bind(account).fetch_all(database).await.unwrap();
    Finding::all(Kind::Event, faults(&events, heard.iter().filter(|heard| heard.key == record.key)))
}

fn faults<'a>(events: &[Event], heard: impl Iterator<Item = &'a Heard>) -> Vec<String> {
    let stored: BTreeMap<i64, &Event> = events.iter().map(|event| (event.0, event)).collect();
    let mut of_resource: BTreeMap<(&str, i64), Vec<i64>> = BTreeMap::new();
    for (id, _, resource_type, resource_id) in events {
        of_resource.entry((resource_type, *resource_id)).or_default().push(*id);
    }
    let mut accepted = BTreeSet::new();
    let mut faults = Vec::new();
    for call in heard {
        let (id, resource) = (call.event, (call.resource.0.as_str(), call.resource.1));
        let is_stored = stored.get(&id).is_some_and(|(_, event_type, resource_type, resource_id)| {
            *event_type == call.event_type && (resource_type.as_str(), *resource_id) == resource
        });
        if !is_stored {
            faults.push(format!(
                "event {id}, {} of {} {}, arrived but is not stored",
                call.event_type, resource.0, resource.1
            ));
            continue;
        }
        let earlier = of_resource[&resource].iter().take_while(|earlier| **earlier < id);
        if let Some(skipped) = earlier.into_iter().find(|earlier| !accepted.contains(*earlier)) {
            faults.push(format!("event {id} of {} {} arrived before event {skipped}", resource.0, resource.1));
        }
        if call.is_accepted {
            accepted.insert(id);
        }
    }
    let missing = events.iter().filter(|event| !accepted.contains(&event.0));
    faults.extend(missing.map(|(id, event_type, ..)| format!("event {id}, {event_type}, never arrived")));
    faults
}
