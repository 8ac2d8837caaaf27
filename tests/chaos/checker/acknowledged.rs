//! Each acknowledged write is stored once; each write that was not done is not stored.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::postgres::PgPool;

use super::{Finding, Kind, account_of};
use crate::journal::{Change, Fate, Record, Told, What, Wish, fate};

/// The marks of an account's clients in the database.
struct Stored {
    /// Ids by amount, in units of 10⁻⁸.
    outputs: HashMap<i64, Vec<i64>>,
    /// Ids by `external_id`.
    requests: HashMap<String, Vec<i64>>,
    /// Resources by type of the event and `X-Request-Id` of the call.
    actions: HashMap<(String, String), Vec<i64>>,
}

impl Stored {
    async fn read(database: &PgPool, account: i64) -> Self {
        let outputs = "select (amount * 100000000)::bigint, id from concierge_request_outputs
            where account_id = $1 and amount is not null";
        let requests =
            "select external_id, id from concierge_requests where account_id = $1 and external_id is not null";
        let actions = "select event_type, caused_by, resource_id from events
            where account_id = $1 and cause = 'request' and resource_type = 'concierge_requests'
            and caused_by is not null";
        let outputs: Vec<(i64, i64)> = sqlx::query_as(outputs).bind(account).fetch_all(database).await.unwrap();
        let requests: Vec<(String, i64)> = sqlx::query_as(requests).bind(account).fetch_all(database).await.unwrap();
        let actions: Vec<(String, String, i64)> =
            sqlx::query_as(actions).bind(account).fetch_all(database).await.unwrap();
        let mut stored = Self { outputs: HashMap::new(), requests: HashMap::new(), actions: HashMap::new() };
        for (amount, id) in outputs {
            stored.outputs.entry(amount).or_default().push(id);
        }
        for (external_id, id) in requests {
            stored.requests.entry(external_id).or_default().push(id);
        }
        for (event_type, call, id) in actions {
            stored.actions.entry((event_type, call)).or_default().push(id);
        }
        stored
    }

    /// Returns the ids of the resources that a wish led to.
    fn of(&self, wish: &Wish) -> Vec<i64> {
        match &wish.what {
            What::Output(amount) => self.outputs.get(amount).cloned().unwrap_or_default(),
            What::Request(external_id) => self.requests.get(external_id).cloned().unwrap_or_default(),
            What::Action(event_type) => {
                let of_call = |call: &String| self.actions.get(&((*event_type).to_owned(), call.clone()));
                let calls = wish.attempts.iter().map(|attempt| &attempt.call);
                calls.filter_map(of_call).flatten().copied().collect()
            }
        }
    }
}

/// Returns the writes of an account that are lost or doubled.
pub async fn check(database: &PgPool, record: &Record) -> Vec<Finding> {
    let Some(account) = account_of(database, &record.key).await else {
        return Finding::all(Kind::Lost, [format!("the account of the key {} is lost", record.key)]);
    };
    let stored = Stored::read(database, account).await;
    let mut findings = Vec::new();
    for wish in &record.wishes {
        findings.extend(check_wish(wish, &stored.of(wish), &record.changes));
    }
    findings.extend(Finding::all(Kind::Doubled, shared_ids(record)));
    findings
}

fn check_wish(wish: &Wish, found: &[i64], changes: &[(Change, crate::journal::Span)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut least, mut most) = (0, 0);
    for attempt in &wish.attempts {
        match (attempt.told, fate(attempt.during, changes)) {
            (Told::Done(id), Fate::Kept) => {
                least += 1;
                most += 1;
                if !found.contains(&id) {
                    let text = format!("{:?} was acknowledged as {id}; found: {found:?}", wish.what);
                    findings.push(Finding { kind: Kind::Lost, text });
                }
            }
            (Told::Done(_) | Told::Unknown, Fate::Raced) | (Told::Unknown, Fate::Kept) => most += 1,
            (Told::NotDone, _) | (_, Fate::Gone) => {}
        }
    }
    if found.len() < least && findings.is_empty() {
        let text = format!("{:?} was acknowledged {least} times; found: {found:?}", wish.what);
        findings.push(Finding { kind: Kind::Lost, text });
    }
    if found.len() > most {
        let told: Vec<Told> = wish.attempts.iter().map(|attempt| attempt.told).collect();
        let text = format!("{:?} may exist {most} times; found: {found:?}; told: {told:?}", wish.what);
        findings.push(Finding { kind: Kind::Doubled, text });
    }
    findings
}

/// Returns the ids that two acknowledged creations were given.
fn shared_ids(record: &Record) -> Vec<String> {
    let mut given: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    let mut shared = Vec::new();
    for wish in &record.wishes {
        let type_name = match &wish.what {
            What::Output(_) => "output",
            What::Request(_) => "request",
            What::Action(_) => continue,
        };
        for attempt in &wish.attempts {
            if let Told::Done(id) = attempt.told
                && fate(attempt.during, &record.changes) == Fate::Kept
                && !given.entry(type_name).or_default().insert(id)
            {
                shared.push(format!("two creations were given the id {id} of one {type_name}"));
            }
        }
    }
    shared
}
