//! What holds of every world, whatever was done to it.

use std::collections::BTreeMap;

use concierge_sandbox::concierge::machine::{Machine, Named};
use concierge_sandbox::concierge::{outputs, requests};
use sqlx::postgres::PgPool;

/// A resource's account, type and id.
type Key = (i64, String, i64);

/// Checks that each request and each output came to its state along the arrows of its state machine, with one event
/// for each of them, and that the ids of events have no gap.
pub async fn check(database: &PgPool) {
    let events: Vec<(i64, i64, String, i64, String)> = sqlx::query_as(
        "select account_id, id, resource_type, resource_id, event_type from events order by account_id, id",
    )
    .fetch_all(database)
    .await
    .unwrap();
    let mut last: BTreeMap<i64, i64> = BTreeMap::new();
    let mut told: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    for (account, id, resource_type, resource_id, event_type) in events {
        let expected = last.get(&account).copied().unwrap_or_default() + 1;
        assert_eq!(id, expected, "the ids of events have no gap");
        last.insert(account, id);
        told.entry((account, resource_type, resource_id)).or_default().push(event_type);
    }
    follow(database, "concierge_request_outputs", "concierge_request_output_", &outputs::state::MACHINE, &told).await;
    follow(database, "concierge_requests", "concierge_request_", &requests::state::MACHINE, &told).await;
}

async fn follow<S: Named + std::fmt::Debug, T: Named>(
    database: &PgPool,
    table: &'static str,
    prefix: &str,
    machine: &Machine<S, T>,
    told: &BTreeMap<Key, Vec<String>>,
) {
    let sql = sqlx::AssertSqlSafe(format!("select account_id, id, state from {table}"));
    let resources: Vec<(i64, i64, String)> = sqlx::query_as(sql).fetch_all(database).await.unwrap();
    for (account, id, state) in resources {
        let mut reached = machine.states[0];
        let events = told.get(&(account, table.to_owned(), id)).map_or(&[][..], Vec::as_slice);
        for event in events.iter().filter(|event| !event.ends_with("_created")) {
            let to = machine.named(event.strip_prefix(prefix).unwrap()).unwrap();
            let arrow = machine.arrows.iter().find(|arrow| arrow.from == reached && arrow.to == to);
            assert!(arrow.is_some(), "{table} {id}: no arrow leads from {reached:?} to {to:?} in {events:?}");
            reached = to;
        }
        assert_eq!(reached.name(), state, "{table} {id}: its events end in its state: {events:?}");
    }
}
