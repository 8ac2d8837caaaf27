//! One server for all tests that need only an account of their own.

use concierge_sandbox::clock::Clock;
use concierge_sandbox::server::Server;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPool};
use time::OffsetDateTime;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{OnceCell, oneshot};

use super::{Account, START, cluster, settings, world};

static SERVER: OnceCell<Shared> = OnceCell::const_new();

/// Runs a test with an account of its own, whose clock stands at [`START`], and checks the account's invariants.
pub async fn account<T>(test: impl AsyncFnOnce(&Account) -> T) -> T {
    let server = SERVER.get_or_init(start).await;
    let body = json!({"clock": {"now": "2019-11-25T12:53:02.741Z"}});
    let account = Account::make(&server.base, &body).await.uncounted();
    let result = Box::pin(test(&account)).await;
    let (database, key) = (server.database.clone(), account.key);
    let checking = async move {
        let row = Account::of("", &key).row(&database).await;
        world::check(&database, Some(row)).await;
    };
    // the connections belong to the server's runtime
    server.runtime.spawn(checking).await.unwrap();
    result
}

/// The server, which ends with the run.
struct Shared {
    base: String,
    database: PgPool,
    runtime: Handle,
}

/// Starts the server on a thread of its own, as the runtime of the first test ends with that test.
async fn start() -> Shared {
    let options = cluster::fresh_database().await;
    let (started, starting) = oneshot::channel();
    std::thread::spawn(|| {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(serve(options, started));
    });
    starting.await.unwrap()
}

async fn serve(options: PgConnectOptions, started: oneshot::Sender<Shared>) {
    let clock = Clock::manual(OffsetDateTime::from_unix_timestamp_nanos(START).unwrap());
    let server = Server::start_on(&settings(), clock, options.clone()).await.unwrap();
    let base = format!("http://{}", server.address);
    let (database, runtime) = (PgPool::connect_lazy_with(options), Handle::current());
    assert!(started.send(Shared { base, database, runtime }).is_ok(), "the test waits");
    std::future::pending::<()>().await;
}
