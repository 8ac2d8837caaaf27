//! One server for all tests that need only an account of their own.

use concierge_sandbox::clock::Clock;
use concierge_sandbox::server::Server;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{ConnectOptions, Connection};
use time::OffsetDateTime;
use tokio::runtime::Builder;
use tokio::sync::{OnceCell, oneshot};

use super::{Account, START, cluster, settings, world};

static SERVER: OnceCell<Shared> = OnceCell::const_new();

/// The server of a test run.
struct Shared {
    base: String,
    options: PgConnectOptions,
}

/// Runs a test with its own account and a clock that stands at [`START`].
/// Checks the invariants of this account and of further accounts of the test.
pub async fn account<T>(test: impl AsyncFnOnce(&Account) -> T) -> T {
    let server = SERVER.get_or_init(start).await;
    let account = Account::make(&server.base, &json!({"clock": {"now": "2019-11-25T12:53:02.741Z"}})).await;
    let rows = server.rows_of(&account.key);
    let account = account.owning(rows);
    let result = Box::pin(test(&account)).await;
    account.database().close().await;
    for key in account.keys() {
        let rows = server.rows_of(&key);
        world::check(&rows).await;
        rows.close().await;
    }
    result
}

impl Shared {
    /// Returns a pool that shows only the rows of a key's account.
    fn rows_of(&self, key: &str) -> PgPool {
        PgPool::connect_lazy_with(self.options.clone().options([("role", "tester"), ("test.key", key)]))
    }
}

/// Starts the server on its own thread, as the runtime of the first test ends with that test.
async fn start() -> Shared {
    let options = cluster::fresh_database().await;
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(ONLY_OWN_ROWS).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let (started, starting) = oneshot::channel();
    let server = options.clone();
    std::thread::spawn(|| {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(serve(server, started));
    });
    Shared { base: starting.await.unwrap(), options }
}

async fn serve(options: PgConnectOptions, started: oneshot::Sender<String>) {
    let clock = Clock::manual(OffsetDateTime::from_unix_timestamp_nanos(START).unwrap());
    let server = Server::start_on(&settings(), clock, options).await.unwrap();
    started.send(format!("http://{}", server.address)).unwrap();
    std::future::pending::<()>().await;
}

/// Tests use the database as `tester`, and see only the account with the key `test.key`.
/// The server sees all rows.
const ONLY_OWN_ROWS: &str = "
    create role tester;
    grant all on all tables in schema public to tester;
    create function own_account() returns bigint language sql stable security definer set search_path = public as $$
        select account_id from api_keys where key_sha256 = sha256(convert_to(current_setting('test.key'), 'UTF8'))
    $$;
    alter table accounts enable row level security;
    create policy own_rows on accounts using (id = (select own_account()));
    do $$
    declare
        name text;
    begin
        for name in
            select table_name from information_schema.columns
            where table_schema = 'public' and column_name = 'account_id'
        loop
            execute format('alter table %I enable row level security', name);
            execute format('create policy own_rows on %I using (account_id = (select own_account()))', name);
        end loop;
    end $$";
