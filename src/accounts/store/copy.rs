//! SQL that copies an account: all its data except its name and keys.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::TABLES;
use crate::accounts::reserved::FIRST_IDS;
use crate::accounts::time::AccountTime;

/// The purpose of a copy.
#[derive(Debug, Clone, Copy)]
pub enum CopyKind<'a> {
    /// A snapshot, in which nothing advances.
    Snapshot {
        /// Name of the account.
        of: &'a str,
        /// Name of the snapshot.
        name: &'a str,
        /// The account's time at the snapshot.
        at: OffsetDateTime,
        /// True if the account's time runs.
        runs: bool,
    },
    /// An account with this time; its keys come later.
    Account(AccountTime),
}

/// Columns that a copy does not take over. `id` is assigned; [`CopyKind`] or [`replace`](super::replace) sets the rest.
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

/// Copies the data of an account or a snapshot, and returns the id of the copy.
///
/// One statement sees one state, and each transaction leaves a consistent one: concurrent work is copied whole or not
/// at all. API statements don't wait for the copy. Changes of the account, clock moves and background work do.
///
/// # Errors
/// Database errors.
pub async fn copy(connection: &mut PgConnection, id: i64, becomes: CopyKind<'_>) -> Result<i64, sqlx::Error> {
    let (of, name, runs, time) = match becomes {
        CopyKind::Snapshot { of, name, at, runs } => {
            (Some(of), Some(name), Some(runs), AccountTime { frozen_at: Some(at), ..AccountTime::default() })
        }
        CopyKind::Account(time) => (None, None, None, time),
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

/// Reads the writable columns of each table from the catalog, so that new columns need no change here.
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

/// Builds the statement that copies all data of account `$1`.
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

/// Returns whether a column is not copied. No server holds a lease on a delivery of the copy.
fn is_left_out(table: &str, column: &str) -> bool {
    table == "deliveries" && ["leased_by", "leased_until"].contains(&column)
}

/// Returns the SQL of a column's value in the copy.
fn value(table: &str, column: &str) -> String {
    match (table, column) {
        (_, "account_id") => "w.id".to_owned(),
        ("id_counters", "next_id") => next_id(),
        _ => format!("t.{column}"),
    }
}

/// Returns the SQL of the id after the highest one in use. The counter itself is further ahead, by the ids that servers
/// have leased and not used. These leases belong to the original: no server would hand out their ids in the copy.
fn next_id() -> String {
    // ids of events are not leased: the statement that records an event counts them
    let leased = FIRST_IDS.iter().filter(|(type_name, _)| *type_name != "events");
    let next = leased.map(|(type_name, first)| {
        format!(
            "when '{type_name}' then greatest({first}, (select max(id) + 1 from {type_name} where account_id = $1))"
        )
    });
    format!("case t.type {} else t.next_id end", next.collect::<Vec<_>>().join(" "))
}
