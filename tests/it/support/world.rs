//! What holds of every world, whatever was done to it.

use std::collections::BTreeMap;

use concierge_sandbox::concierge::machine::{Machine, Named};
use concierge_sandbox::concierge::{outputs, requests};
use serde_json::Value;
use sqlx::postgres::PgPool;

/// A resource's account, type and id.
type Key = (i64, String, i64);

/// An event: account, id, the resource's type and id, its own type, and the resource as it was.
type Told = (i64, i64, String, i64, String, Option<String>);

/// The accounts that are looked at, snapshots too: what is left of one that has ended is being cleared.
macro_rules! there {
    () => {
        "account_id in (select id from accounts where ended_at is null)"
    };
}

/// Checks that each request and each output came to its state along the arrows of its state machine, with one event
/// for each of them that shows it in the state it came to and has a cause, that the ids of events have no gap, and that of each
/// resource one event is the next to be sent. Of accounts that have ended nothing holds: they are being cleared away.
pub async fn check(database: &PgPool) {
    let events: Vec<Told> = sqlx::query_as(concat!(
        "select account_id, id, resource_type, resource_id, event_type, resource from events
        where not is_made_up and ",
        there!(),
        " order by account_id, id"
    ))
    .fetch_all(database)
    .await
    .unwrap();
    let mut last: BTreeMap<i64, i64> = BTreeMap::new();
    let mut told: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    for (account, id, resource_type, resource_id, event_type, resource) in events {
        let passed = last.insert(account, id).unwrap_or_default()..id;
        let made_up = "select count(*) from events where is_made_up and account_id = $1 and id > $2 and id < $3";
        let made_up = sqlx::query_scalar(made_up).bind(account).bind(passed.start).bind(passed.end);
        let made_up: i64 = if passed.end - passed.start == 1 { 0 } else { made_up.fetch_one(database).await.unwrap() };
        assert_eq!(passed.end - passed.start, 1 + made_up, "the ids of events have no gap");
        // what a test made by SQL has none
        let resource = resource.map_or(Value::Null, |resource| serde_json::from_str(&resource).unwrap());
        if resource != Value::Null {
            assert_eq!(resource["type"], resource_type);
            assert_eq!(resource["id"], resource_id.to_string());
        }
        if let Some(state) = resource["attributes"]["state"].as_str()
            && !event_type.ends_with("_created")
        {
            assert!(event_type.ends_with(state), "{event_type} shows {resource}");
        }
        told.entry((account, resource_type, resource_id)).or_default().push(event_type);
    }
    let uncaused = "select count(*) from events where resource is not null and cause is null and not is_made_up
        and account_id not in (select id from accounts where ended_at is not null)";
    let uncaused: i64 = sqlx::query_scalar(uncaused).fetch_one(database).await.unwrap();
    assert_eq!(uncaused, 0, "what happens has a cause");
    // what was seeded may have begun in the first three states
    let outputs = ("concierge_request_outputs", "concierge_request_output_", 3);
    follow(database, outputs, &outputs::state::MACHINE, &told).await;
    follow(database, ("concierge_requests", "concierge_request_", 1), &requests::state::MACHINE, &told).await;
    let stuck = concat!(
        "select count(*) from (
            select from deliveries where state in ('due', 'waiting') and ",
        there!(),
        " group by account_id, resource_type, resource_id having count(*) filter (where state = 'due') <> 1
        ) queue"
    );
    let stuck: i64 = sqlx::query_scalar(stuck).fetch_one(database).await.unwrap();
    assert_eq!(stuck, 0, "of what is to be sent of a resource, one event is due and the others wait");
}

async fn follow<S: Named + std::fmt::Debug, T: Named>(
    database: &PgPool,
    (table, prefix, beginnings): (&'static str, &str, usize),
    machine: &Machine<S, T>,
    told: &BTreeMap<Key, Vec<String>>,
) {
    let there = there!();
    let sql = format!("select account_id, id, state, made_by is not null from {table} where {there}");
    let sql = sqlx::AssertSqlSafe(sql);
    let resources: Vec<(i64, i64, String, bool)> = sqlx::query_as(sql).fetch_all(database).await.unwrap();
    for (account, id, state, was_made) in resources {
        let mut events = told.get(&(account, table.to_owned(), id)).map_or(&[][..], Vec::as_slice);
        let mut beginnings = &machine.states[..beginnings];
        // fixtures and what was seeded are there from the beginning
        if was_made {
            beginnings = &machine.states[..1];
            assert_eq!(events.first(), Some(&format!("{prefix}{}", beginnings[0].name())), "{table} {id}");
            events = &events[1..];
        }
        let steps = events.iter().filter(|event| !event.ends_with("_created"));
        let steps: Vec<S> = steps.map(|event| machine.named(event.strip_prefix(prefix).unwrap()).unwrap()).collect();
        let leads = |from: S, to: S| machine.transitions.iter().any(|arrow| arrow.from == from && arrow.to == to);
        let is_way = |from: S| {
            let way: Vec<S> = [from].into_iter().chain(steps.iter().copied()).collect();
            way.windows(2).all(|step| leads(step[0], step[1])) && way.last().unwrap().name() == state
        };
        let is_found = beginnings.iter().any(|beginning| is_way(*beginning));
        assert!(is_found, "{table} {id}: no arrows lead from {beginnings:?} to {state} by {events:?}");
    }
}
