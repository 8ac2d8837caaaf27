//! Invariants of every account's data.

use std::collections::BTreeMap;

use concierge_sandbox::concierge::machine::{Machine, Named};
use concierge_sandbox::concierge::{outputs, requests};
use serde_json::Value;
use sqlx::postgres::PgPool;

/// A resource's account, type and id.
type Key = (i64, String, i64);

/// An event: account, id, the resource's type and id, its own type, and the resource as it was.
type EventRow = (i64, i64, String, i64, String, Option<String>);

/// Selects the checked accounts, snapshots included: the rows of ended accounts are being cleared.
macro_rules! live_accounts {
    () => {
        "account_id in (select id from accounts where ended_at is null)"
    };
}

/// Panics unless the invariants hold.
pub async fn check(database: &PgPool) {
    assert_eq!(faults(database).await, [""; 0], "the invariants of every account hold");
}

/// Returns the violated invariants of all accounts that have not ended; the rows of ended ones are being cleared.
///
/// - Each request and output reached its state by transitions of its state machine.
/// - Each transition has one event, with a cause, that shows the resource in its new state.
/// - The ids of events have no gap.
/// - Of the undelivered events of a resource, exactly one is due.
pub async fn faults(database: &PgPool) -> Vec<String> {
    let events: Vec<EventRow> = sqlx::query_as(concat!(
        "select account_id, id, resource_type, resource_id, event_type, resource from events
        where not is_made_up and ",
        live_accounts!(),
        " order by account_id, id"
    ))
    .fetch_all(database)
    .await
    .unwrap();
    let mut faults = Vec::new();
    let mut last: BTreeMap<i64, i64> = BTreeMap::new();
    let mut event_types: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    for (account, id, resource_type, resource_id, event_type, resource) in events {
        let passed = last.insert(account, id).unwrap_or_default()..id;
        let made_up = "select count(*) from events where is_made_up and account_id = $1 and id > $2 and id < $3";
        let made_up = sqlx::query_scalar(made_up).bind(account).bind(passed.start).bind(passed.end);
        let made_up: i64 = if passed.end - passed.start == 1 { 0 } else { made_up.fetch_one(database).await.unwrap() };
        if passed.end - passed.start != 1 + made_up {
            faults.push(format!("the ids of events have a gap: {id} follows {}", passed.start));
        }
        // rows made by a test's SQL have no resource
        let resource = resource.map_or(Value::Null, |resource| serde_json::from_str(&resource).unwrap());
        let shown_id = resource_id.to_string();
        let is_shown = resource["type"] == resource_type && resource["id"] == shown_id;
        if resource != Value::Null && !is_shown {
            faults.push(format!("event {id} of {resource_type} {resource_id} shows {resource}"));
        }
        if let Some(state) = resource["attributes"]["state"].as_str()
            && !event_type.ends_with("_created")
            && !event_type.ends_with(state)
        {
            faults.push(format!("{event_type} {id} shows {resource}"));
        }
        event_types.entry((account, resource_type, resource_id)).or_default().push(event_type);
    }
    let uncaused = "select id from events where resource is not null and cause is null and not is_made_up
        and account_id not in (select id from accounts where ended_at is not null)";
    let uncaused: Vec<i64> = sqlx::query_scalar(uncaused).fetch_all(database).await.unwrap();
    faults.extend(uncaused.iter().map(|id| format!("event {id} has no cause")));
    // seeded outputs may begin in the first three states
    let outputs = ("concierge_request_outputs", "concierge_request_output_", 3);
    faults.extend(illegal_paths(database, outputs, &outputs::state::MACHINE, &event_types).await);
    let requests = ("concierge_requests", "concierge_request_", 1);
    faults.extend(illegal_paths(database, requests, &requests::state::MACHINE, &event_types).await);
    let stuck = concat!(
        "select resource_type || ' ' || resource_id from deliveries where state in ('due', 'waiting') and ",
        live_accounts!(),
        " group by account_id, resource_type, resource_id having count(*) filter (where state = 'due') <> 1"
    );
    let stuck: Vec<String> = sqlx::query_scalar(stuck).fetch_all(database).await.unwrap();
    faults.extend(stuck.iter().map(|of| format!("of the undelivered events of {of}, not exactly one is due")));
    faults
}

/// Returns the resources with a state that no transitions explain.
async fn illegal_paths<S: Named + std::fmt::Debug, T: Named>(
    database: &PgPool,
    (table, prefix, initial_states): (&'static str, &str, usize),
    machine: &Machine<S, T>,
    event_types: &BTreeMap<Key, Vec<String>>,
) -> Vec<String> {
    let live_accounts = live_accounts!();
    let sql = format!("select account_id, id, state, made_by is not null from {table} where {live_accounts}");
    let sql = sqlx::AssertSqlSafe(sql);
    let resources: Vec<(i64, i64, String, bool)> = sqlx::query_as(sql).fetch_all(database).await.unwrap();
    let mut illegal = Vec::new();
    for (account, id, state, was_made) in resources {
        let events = event_types.get(&(account, table.to_owned(), id)).map_or(&[][..], Vec::as_slice);
        // fixtures and seeded resources exist from the start
        let initial_states = &machine.states[..if was_made { 1 } else { initial_states }];
        let steps = events.iter().filter(|event| !event.ends_with("_created"));
        let steps: Option<Vec<S>> = steps.map(|event| machine.named(event.strip_prefix(prefix)?)).collect();
        let is_transition = |from: S, to: S| {
            machine.transitions.iter().any(|transition| transition.from == from && transition.to == to)
        };
        let is_path = |from: S, steps: &[S]| {
            let path: Vec<S> = [from].into_iter().chain(steps.iter().copied()).collect();
            path.windows(2).all(|step| is_transition(step[0], step[1])) && path.last().unwrap().name() == state
        };
        let is_explained = match steps.as_deref() {
            // the first event is the creation
            Some([first, steps @ ..]) if was_made => *first == initial_states[0] && is_path(*first, steps),
            Some(steps) if !was_made => initial_states.iter().any(|initial| is_path(*initial, steps)),
            _ => false,
        };
        if !is_explained {
            illegal.push(format!("{table} {id}: no transitions lead from {initial_states:?} to {state} by {events:?}"));
        }
    }
    illegal
}
