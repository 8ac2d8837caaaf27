//! One private PostgreSQL for the whole run, and a database for each test, copied from a migrated one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use concierge_sandbox::database::private::{Options, PrivatePostgres};
use concierge_sandbox::database::{Database, connect_options};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::sync::OnceCell;

static CLUSTER: OnceCell<PrivatePostgres> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(1);

/// Makes a database with an up-to-date schema, and returns its options.
pub async fn fresh_database() -> PgConnectOptions {
    copy_of("migrated").await
}

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
    Database::open(connect_options(&cluster, "migrated"), 2, Duration::ZERO).await.unwrap().close().await;
    cluster
}
