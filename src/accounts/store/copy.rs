//! The SQL that copies a world: what an account has, whatever that is, but for its name and its keys.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::TABLES;
use crate::accounts::reserved::FIRST_IDS;
use crate::accounts::time::AccountTime;

/// What becomes of a copy.
#[derive(Debug, Clone, Copy)]
pub enum Becomes<'a> {
    /// A snapshot, in which nothing happens.
    Snapshot {
        /// The name of the account.
        of: &'a str,
        /// By which its taker knows it.
        name: &'a str,
        /// When it is taken, in the account's time, and whether that runs.
        at: OffsetDateTime,
        runs: bool,
    },
    /// An account, whose time this is, for whoever gets its keys.
    Account(AccountTime),
}

/// What an account has of its own, or else a copy: `id` is assigned, [`Becomes`] says the rest, or [`replace`](super::replace)
/// does.
pub const OWN: [&str; 11] = [
    "id",
    "name",
    "ended_at",
    "ahead",
    "frozen_at",
    "walk",
    "walked_until",
    "started_until",
    "snapshot_of",
    "snapshot_name",
    "snapshot_runs",
];

/// Copies the world of an account or of a snapshot, and gives the copy's id.
///
/// One statement sees one state of everything, and each transaction leaves a whole one, so what is under way meanwhile is
/// in the copy with all that belongs to it, or not at all. No statement of the API waits for it; who changes the account itself,
/// moves its clock or goes on in it does.
///
/// # Errors
/// Those of the database.
pub async fn copy(connection: &mut PgConnection, id: i64, becomes: Becomes<'_>) -> Result<i64, sqlx::Error> {
    let (of, name, runs, time) = match becomes {
        Becomes::Snapshot { of, name, at, runs } => {
            (Some(of), Some(name), Some(runs), AccountTime { frozen_at: Some(at), ..AccountTime::default() })
        }
        Becomes::Account(time) => (None, None, None, time),
    };
    let sql = statement(&columns(connection).await?);
    sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(id)
        .bind(i64::try_from(time.ahead.whole_milliseconds()).unwrap_or_default())
        .bind(time.frozen_at)
        .bind(of)
        .bind(name)
        .bind(runs)
        .fetch_one(connection)
        .await
}

/// The columns of each table that can be written, from the catalog: a new one is copied without another word.
async fn columns(connection: &mut PgConnection) -> Result<HashMap<String, Vec<String>>, sqlx::Error> {
    let sql = "select c.relname::text, array_agg(quote_ident(a.attname) order by a.attnum)
        from unnest($1::text[]) as t (name)
        join pg_class c on c.oid = t.name::regclass
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
        group by c.relname";
    let tables: Vec<&str> = TABLES.into_iter().chain(["accounts"]).collect();
    let rows: Vec<(String, Vec<String>)> = sqlx::query_as(sql).bind(tables).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}

/// The statement that copies everything of account `$1`.
fn statement(columns: &HashMap<String, Vec<String>>) -> String {
    let of = |table: &str| columns.get(table).into_iter().flatten().map(String::as_str);
    let settings: Vec<&str> = of("accounts").filter(|column| !OWN.contains(column)).collect();
    let settings = settings.join(", ");
    let world = format!(
        "with world as (
            insert into accounts ({settings}, ahead, frozen_at, snapshot_of, snapshot_name, snapshot_runs)
            select {settings}, $2::bigint, $3::timestamptz, $4::text, $5::text, $6::boolean from accounts where id = $1
            returning id
        )"
    );
    let copies = TABLES.map(|table| {
        let copied: Vec<&str> = of(table).filter(|column| !is_left_out(table, column)).collect();
        let values: Vec<String> = copied.iter().map(|column| value(table, column)).collect();
        let (copied, values) = (copied.join(", "), values.join(", "));
        format!(
            "{table}_copied as (
                insert into {table} ({copied}) select {values} from world w, {table} t where t.account_id = $1
            )"
        )
    });
    format!("{world}, {} select id from world", copies.join(", "))
}

/// Leases of deliveries: no server is sending what is in a copy.
fn is_left_out(table: &str, column: &str) -> bool {
    table == "deliveries" && ["leased_by", "leased_until"].contains(&column)
}

/// What a copy has in a column.
fn value(table: &str, column: &str) -> String {
    match (table, column) {
        (_, "account_id") => "w.id".to_owned(),
        ("id_counters", "next_id") => next_id(),
        _ => format!("t.{column}"),
    }
}

/// The id behind the highest that is there. The counter itself is ahead of that by the ids which servers have leased and
/// not used; theirs are of the account that was copied, and nobody would ever give them in the copy.
fn next_id() -> String {
    // those of events are counted by whoever writes them
    let leased = FIRST_IDS.iter().filter(|(type_name, _)| *type_name != "events");
    let next = leased.map(|(type_name, first)| {
        format!(
            "when '{type_name}' then greatest({first}, (select max(id) + 1 from {type_name} where account_id = $1))"
        )
    });
    format!("case t.type {} else t.next_id end", next.collect::<Vec<_>>().join(" "))
}
