//! One private PostgreSQL for the whole run, and a database for each test.
//!
//! A migrated database is a copy of three hundred files, so passed tests leave theirs to later tests, which empty them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use concierge_sandbox::database::private::{Options, PrivatePostgres};
use concierge_sandbox::database::{Database, connect_options};
use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::sync::OnceCell;

static CLUSTER: OnceCell<PrivatePostgres> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(1);

/// Databases of passed tests, with up-to-date schemas and some rows.
static USED: Mutex<VecDeque<PgConnectOptions>> = Mutex::new(VecDeque::new());

/// Returns a database with an up-to-date schema.
pub async fn fresh_database() -> PgConnectOptions {
    loop {
        let used = USED.lock().pop_front();
        let Some(used) = used else { return copy_of("migrated").await };
        if empty(&used).await {
            return used;
        }
    }
}

/// Leaves a database of a passed test to later tests.
pub fn leave(database: PgConnectOptions) {
    USED.lock().push_back(database);
}

/// Removes all rows. Returns false if the database can't be used again: it is still in use, its schema or settings have
/// changed, or it had so many rows that it is slow now.
async fn empty(database: &PgConnectOptions) -> bool {
    const MANY: i64 = 5000;
    let mut connection = database.connect().await.unwrap();
    let others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    let others: i64 = sqlx::query_scalar(others).fetch_one(&mut connection).await.unwrap();
    let is_empty = others == 0 && schema(&mut connection).await == schema_of_migrated().await && {
        let deleted: i64 = sqlx::query_scalar("select delete_all_rows()").fetch_one(&mut connection).await.unwrap();
        deleted < MANY
    };
    connection.close().await.unwrap();
    is_empty
}

/// Describes the schema and the settings of a database: each row of the catalogs with the transaction that wrote it.
async fn schema(connection: &mut PgConnection) -> String {
    let sql = "select md5(string_agg(concat_ws(' ', tableoid, id, part, xmin), ',' order by tableoid, id, part)) from (
        select tableoid, oid as id, 0 as part, xmin from pg_class where oid >= 16384
        union all select tableoid, attrelid, attnum, xmin from pg_attribute where attrelid >= 16384
        union all select tableoid, oid, 0, xmin from pg_attrdef
        union all select tableoid, oid, 0, xmin from pg_constraint where oid >= 16384
        union all select tableoid, oid, 0, xmin from pg_namespace
        union all select tableoid, oid, 0, xmin from pg_policy
        union all select tableoid, oid, 0, xmin from pg_proc where oid >= 16384
        union all select tableoid, oid, 0, xmin from pg_trigger
        union all select tableoid, oid, 0, xmin from pg_type where oid >= 16384
        union all select tableoid, setdatabase, 0, xmin from pg_db_role_setting where setdatabase =
            (select oid from pg_database where datname = current_database())
    ) as catalog";
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// Describes the schema of a new database.
async fn schema_of_migrated() -> &'static str {
    static SCHEMA: OnceCell<String> = OnceCell::const_new();
    let read = async || {
        let mut connection = copy_of("migrated").await.connect().await.unwrap();
        let schema = schema(&mut connection).await;
        connection.close().await.unwrap();
        schema
    };
    SCHEMA.get_or_init(read).await
}

/// Deletes what servers and tests have written, and returns how many rows they were.
/// The account 0 is part of the schema.
const DELETE_ALL_ROWS: &str = "create function delete_all_rows() returns bigint language plpgsql as $$
    declare
        deleted bigint;
        total   bigint := 0;
        name    text;
    begin
        set local session_replication_role = replica;
        for name in
            select table_name from information_schema.tables
            where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> '_sqlx_migrations'
        loop
            execute format('delete from %I', name) || case when name = 'accounts' then ' where id <> 0' else '' end;
            get diagnostics deleted = row_count;
            total := total + deleted;
        end loop;
        perform setval('accounts_id_seq', 1, false);
        return total;
    end $$";

/// Makes an empty database, and returns its options.
pub async fn empty_database() -> PgConnectOptions {
    copy_of("template0").await
}

async fn copy_of(template: &str) -> PgConnectOptions {
    let cluster = CLUSTER.get_or_init(start).await;
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut connection = connect_options(cluster, "postgres").connect().await.unwrap();
    // one at a time: a template may have no other user
    let create = format!("create database {name} template {template}");
    sqlx::query("select pg_advisory_lock(1)").execute(&mut connection).await.unwrap();
    sqlx::query(AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    connect_options(cluster, &name)
}

/// Starts the cluster.
/// No data outlives a test run, so none has to reach the disk.
async fn start() -> PrivatePostgres {
    let settings = [("fsync", "off"), ("synchronous_commit", "off"), ("max_connections", "400")];
    let settings = settings.map(|(name, value)| (name, value.to_owned())).to_vec();
    let options = Options { data_dir: None, settings };
    let cluster = tokio::task::spawn_blocking(|| PrivatePostgres::start(options)).await.unwrap().unwrap();
    let mut connection = connect_options(&cluster, "postgres").connect().await.unwrap();
    sqlx::query("create database migrated").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let migrated = connect_options(&cluster, "migrated");
    Database::open(migrated.clone(), 2, Duration::ZERO).await.unwrap().close().await;
    let mut connection = migrated.connect().await.unwrap();
    sqlx::raw_sql(DELETE_ALL_ROWS).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    cluster
}
