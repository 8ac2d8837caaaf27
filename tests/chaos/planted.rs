//! The test of the checker: each fault planted by hand, in a sound database or in its clients' records, is named.

use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

use crate::checker::{Kind, check};
use crate::journal::{Attempt, Change, Fate, Record, Span, Told, What, Wish, fate};
use crate::listener::Heard;
use crate::stage::Rested;

/// A fault to plant, and the finding that names it.
struct Planted {
    fault: &'static str,
    plant: Plant,
    kind: Kind,
    /// Text of the finding, besides the name of the victim.
    text: &'static str,
}

/// A way to plant a fault. It returns the name of the victim.
enum Plant {
    /// A statement that returns the name.
    Sql(&'static str),
    Record(fn(&mut Record) -> String),
    Heard(fn(&mut Vec<Heard>) -> String),
}

const fn sql(fault: &'static str, statement: &'static str, kind: Kind, text: &'static str) -> Planted {
    Planted { fault, plant: Plant::Sql(statement), kind, text }
}

const fn record(fault: &'static str, plant: fn(&mut Record) -> String, kind: Kind, text: &'static str) -> Planted {
    Planted { fault, plant: Plant::Record(plant), kind, text }
}

const fn heard(fault: &'static str, plant: fn(&mut Vec<Heard>) -> String, text: &'static str) -> Planted {
    Planted { fault, plant: Plant::Heard(plant), kind: Kind::Event, text }
}

const PLANTED: [Planted; 31] = [
    sql(
        "an output deleted",
        "delete from concierge_request_outputs where ctid = (select max(ctid) from concierge_request_outputs)
        returning id::text",
        Kind::Lost,
        "was acknowledged as",
    ),
    sql(
        "a request deleted",
        "delete from concierge_requests where ctid = (
            select max(ctid) from concierge_requests where external_id is not null
        ) returning id::text",
        Kind::Lost,
        "was acknowledged as",
    ),
    sql(
        "an amount changed",
        "update concierge_request_outputs set amount = amount + 1 where ctid = (
            select max(ctid) from concierge_request_outputs
        ) returning id::text",
        Kind::Lost,
        "was acknowledged as",
    ),
    sql(
        "an acceptance deleted",
        "delete from events where ctid = (
            select max(ctid) from events where event_type = 'concierge_request_quote_accepted'
        ) returning resource_id::text",
        Kind::Lost,
        "Action(\"concierge_request_quote_accepted\") was acknowledged as",
    ),
    sql(
        "an output doubled",
        "insert into concierge_request_outputs
        select (jsonb_populate_record(o, '{\"id\": 99999}')).* from concierge_request_outputs o where ctid = (
            select max(ctid) from concierge_request_outputs
        ) returning id::text",
        Kind::Doubled,
        "may exist 1 times",
    ),
    sql(
        "an external_id doubled",
        "update concierge_requests r set external_id = other.external_id from concierge_requests other
        where r.account_id = other.account_id and r.id = 1010 and other.ctid = (
            select max(ctid) from concierge_requests where external_id is not null
        ) returning r.id::text",
        Kind::Doubled,
        "may exist 1 times",
    ),
    sql(
        "a state changed without a transition",
        "update concierge_request_outputs set state = 'accepted' where ctid = (
            select max(ctid) from concierge_request_outputs where state = 'settled'
        ) returning id::text",
        Kind::Path,
        "no transitions lead",
    ),
    sql(
        "an illegal path",
        "update events set event_type = 'concierge_request_output_failed' where ctid = (
            select max(ctid) from events where event_type = 'concierge_request_output_accepted'
        ) returning resource_id::text",
        Kind::Path,
        "no transitions lead",
    ),
    sql(
        "an event deleted",
        "delete from events where ctid = (
            select max(ctid) from events where event_type = 'concierge_request_output_settling'
        ) returning resource_id::text",
        Kind::Path,
        "no transitions lead",
    ),
    sql(
        "an event deleted in the middle",
        "delete from events where id = 2 and account_id = (select min(account_id) from events)
        returning (id + 1)::text",
        Kind::Path,
        "the ids of events have a gap",
    ),
    sql(
        "an event doubled",
        "insert into events select (jsonb_populate_record(e, jsonb_build_object('id', (
            select max(id) + 1 from events where account_id = e.account_id
        )))).* from events e where ctid = (
            select max(ctid) from events where event_type = 'concierge_request_output_settled'
        ) returning resource_id::text",
        Kind::Path,
        "no transitions lead",
    ),
    sql(
        "an event of another state",
        "update events set resource = replace(resource, '\"settled\"', '\"settling\"') where ctid = (
            select max(ctid) from events where event_type = 'concierge_request_output_settled'
        ) returning id::text",
        Kind::Path,
        "concierge_request_output_settled",
    ),
    sql(
        "two events of one resource due at once",
        "update deliveries set state = 'due', due_at = now(), ended_at = null where (account_id, resource_id) = (
            select account_id, resource_id from deliveries
            group by account_id, resource_id order by count(*) desc limit 1
        ) returning resource_id::text",
        Kind::Path,
        "not exactly one is due",
    ),
    sql(
        "a wallet off by the last digit",
        "update cash_wallets set balance = balance + 0.00000001 where ctid = (select max(ctid) from cash_wallets)
        returning account_id::text",
        Kind::Money,
        "the wallet",
    ),
    sql(
        "a budget off by one",
        "update concierge_request_outputs set budget = budget + 1 where ctid = (
            select max(ctid) from concierge_request_outputs where state = 'settled'
        ) returning request_id::text",
        Kind::Money,
        "costs",
    ),
    sql(
        "a refund off by the last digit",
        "update concierge_requests set money_returned = money_returned + 0.00000001 where ctid = (
            select max(ctid) from concierge_requests where state = 'finished'
        ) returning id::text",
        Kind::Money,
        "back",
    ),
    sql(
        "a wrong count of open outputs",
        "update concierge_requests set outputs_open = outputs_open + 1 where ctid = (
            select max(ctid) from concierge_requests where state = 'finished'
        ) returning id::text",
        Kind::Money,
        "open outputs",
    ),
    sql(
        "a timer stuck",
        "update concierge_requests set due_at = now() - interval '1 hour' where ctid = (
            select max(ctid) from concierge_requests where state = 'draft'
        ) returning id::text",
        Kind::Unfinished,
        "was due at",
    ),
    sql(
        "a timer of a request lost",
        "update concierge_requests set state = 'working', receipt_token = null, due_at = null where ctid = (
            select max(ctid) from concierge_requests where state = 'finished'
        ) returning id::text",
        Kind::Unfinished,
        "is still working",
    ),
    sql(
        "a timer of an output lost",
        "update concierge_request_outputs set state = 'settling', due_at = null where ctid = (
            select max(ctid) from concierge_request_outputs where state = 'settled'
        ) returning id::text",
        Kind::Unfinished,
        "is still settling",
    ),
    sql(
        "a delivery undone",
        "update deliveries set state = 'due', due_at = now(), ended_at = null where ctid = (
            select max(ctid) from deliveries
        ) returning event_id::text",
        Kind::Unfinished,
        "is still due",
    ),
    sql(
        "an event given up",
        "update deliveries set state = 'given_up' where ctid = (select max(ctid) from deliveries)
        returning event_id::text",
        Kind::Unfinished,
        "is still given_up",
    ),
    sql(
        "rows of an ended account",
        "insert into accounts (created_at, ended_at) values (now(), now()) returning id::text",
        Kind::Unfinished,
        "ended, but its rows are there",
    ),
    record(
        "an acknowledgement of nothing",
        |record| {
            let during = record.wishes[0].attempts[0].during;
            let attempts = vec![Attempt { call: String::new(), during, told: Told::Done(77_777) }];
            record.wishes.push(Wish { what: What::Output(77), attempts });
            "77777".to_owned()
        },
        Kind::Lost,
        "was acknowledged as",
    ),
    record(
        "a refusal of something stored",
        |record| {
            let (wish, id) = acknowledged_outputs(record)[0];
            record.wishes[wish].attempts.last_mut().unwrap().told = Told::NotDone;
            id.to_string()
        },
        Kind::Doubled,
        "may exist 0 times",
    ),
    record(
        "an id given twice",
        |record| {
            let [(_, id), (wish, _), ..] = acknowledged_outputs(record)[..] else { panic!("no two outputs") };
            record.wishes[wish].attempts.last_mut().unwrap().told = Told::Done(id);
            id.to_string()
        },
        Kind::Doubled,
        "two creations were given the id",
    ),
    record(
        "an unexpected answer",
        |record| {
            record.objections.push("GET / was answered 500".to_owned());
            "500".to_owned()
        },
        Kind::Answer,
        "was answered",
    ),
    heard(
        "an event that never arrived",
        |heard| {
            let lost = heard[heard.len() / 2].event;
            heard.retain(|call| call.event != lost);
            lost.to_string()
        },
        "never arrived",
    ),
    heard(
        "an event that was never accepted",
        |heard| {
            let refused = heard[heard.len() / 2].event;
            heard.iter_mut().filter(|call| call.event == refused).for_each(|call| call.is_accepted = false);
            refused.to_string()
        },
        "never arrived",
    ),
    heard(
        "two events out of order",
        |heard| {
            let later = heard.iter().rposition(|call| call.event_type.ends_with("_working")).unwrap();
            let call = heard.remove(later);
            heard.insert(0, call.clone());
            call.event.to_string()
        },
        "arrived before",
    ),
    heard(
        "an event of something else",
        |heard| {
            let call = heard.last_mut().unwrap();
            "user_enabled".clone_into(&mut call.event_type);
            call.event.to_string()
        },
        "arrived but is not stored",
    ),
];

/// Returns places and ids of the acknowledged outputs.
fn acknowledged_outputs(record: &Record) -> Vec<(usize, i64)> {
    let wishes = record.wishes.iter().enumerate().filter(|(_, wish)| matches!(wish.what, What::Output(_)));
    let acknowledged = wishes.filter_map(|(place, wish)| match wish.attempts.last()?.told {
        Told::Done(id) => Some((place, id)),
        Told::NotDone | Told::Unknown => None,
    });
    acknowledged.collect()
}

/// Plants each fault in a copy of a sound stage. Returns a line for each one that the checker missed, and for each
/// finding without a fault.
pub async fn missed(sound: Rested) -> Vec<String> {
    let mut missed: Vec<String> = sound.findings().await.into_iter().map(|finding| finding.text).collect();
    missed.extend(missed_fates());
    let source = sound.database.get_database().unwrap();
    sound.pool.close().await;
    for (number, planted) in PLANTED.iter().enumerate() {
        let copy = sound.postgres.create_database(&format!("planted_{number}"), source).await;
        let pool = PgPool::connect_lazy_with(copy);
        let (mut records, mut calls) = (sound.records.clone(), sound.heard.clone());
        let victim = match planted.plant {
            Plant::Sql(statement) => {
                sqlx::query_scalar::<_, String>(AssertSqlSafe(statement)).fetch_one(&pool).await.unwrap()
            }
            Plant::Record(plant) => plant(&mut records[0]),
            Plant::Heard(plant) => plant(&mut calls),
        };
        let findings = check(&pool, &records, &calls).await;
        let names = |text: &str| text.contains(planted.text) && text.contains(&victim);
        if !findings.iter().any(|finding| finding.kind == planted.kind && names(&finding.text)) {
            missed.push(format!("{} ({victim}): the checker found only {findings:?}", planted.fault));
        }
        pool.close().await;
    }
    missed
}

/// Number of planted faults.
pub const COUNT: usize = PLANTED.len();

/// Returns the calls whose fate is wrong after changes of the whole account, at these milliseconds.
fn missed_fates() -> Vec<String> {
    let start = Instant::now();
    let span = |begun: u64, ended: u64| {
        let at = |time| start + Duration::from_millis(time);
        Span { begun: at(begun), ended: at(ended) }
    };
    let changes = [
        (Change::Snapshot("a".to_owned()), span(100, 110)),
        (Change::Fresh, span(200, 210)),
        (Change::Restored("a".to_owned()), span(300, 310)),
    ];
    let expected = [
        // before, while and after the snapshot was taken
        (50, 60, 3, Fate::Kept),
        (105, 120, 3, Fate::Raced),
        (150, 160, 3, Fate::Gone),
        (205, 215, 3, Fate::Gone),
        // across the restore, and after it
        (90, 320, 3, Fate::Raced),
        (305, 320, 3, Fate::Raced),
        (320, 330, 3, Fate::Kept),
        // before the restore
        (50, 60, 2, Fate::Gone),
        (205, 215, 2, Fate::Raced),
        (220, 230, 2, Fate::Kept),
        (150, 160, 1, Fate::Kept),
    ];
    let wrong = expected
        .into_iter()
        .filter(|(begun, ended, count, expected)| fate(span(*begun, *ended), &changes[..*count]) != *expected);
    wrong.map(|wrong| format!("the fate of a call is wrong: {wrong:?}")).collect()
}
