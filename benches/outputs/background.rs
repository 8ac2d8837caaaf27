//! The background task of a server with default settings: outputs decided per second, and the delay of a single
//! decision after its due time.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;

use crate::Scale;
use crate::client::Client;
use crate::report::{Target, figure, figure_with_target, heading, median, percentile};
use crate::world::{Outcome, Server, World};

const DATABASE: &str = "background";

/// Timeout for expected changes.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Interval between polls.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Interval between single outputs. It is longer than the interval between the task's batches.
const INTERVAL: Duration = Duration::from_millis(27);

/// Measures, prints, and returns the faults found.
pub async fn run(world: &World, scale: &Scale) -> Outcome<Vec<String>> {
    heading("Background: outputs decided when they are due");
    world.create(DATABASE).await?;
    // creates the tables
    drop(world.serve(DATABASE, &[])?);
    let mut connection = world.connect(DATABASE).await?;
    fill(&mut connection, scale.due).await?;
    let server = world.serve(DATABASE, &[])?;
    let mut faults = Vec::new();
    decide_all(&mut connection, &server, scale.due, &mut faults).await?;
    let lags = decide_singly(&mut connection, &server, scale.single).await?;
    let name = |what: &str| format!("{what} of {} single outputs", lags.len());
    let target = Target::AtMost(50.0);
    figure_with_target(&name("delay of the decision, median"), median(lags.iter().copied()), "ms", target);
    figure_with_target(&name("delay of the decision, p99"), percentile(lags.iter().copied(), 0.99), "ms", target);
    Ok(faults)
}

/// Fills the default account with overdue outputs, due a millisecond apart.
async fn fill(connection: &mut PgConnection, count: i64) -> Outcome<()> {
    let outputs = "insert into concierge_request_outputs
            (account_id, id, request_id, user_id, withdrawal_instruction_id, port_code, amount, state, created_at,
             state_since, due_at)
        select 1, 1000000 + n, 1010, 20202, 2121, 'us_usd', 100, 'accepting', now(), now(),
            date_trunc('milliseconds', now()) - ($1 - n) * interval '1 millisecond'
        from generate_series(0, $1 - 1) n";
    sqlx::query(outputs).bind(count).execute(&mut *connection).await?;
    sqlx::raw_sql("vacuum (analyze)").execute(&mut *connection).await?;
    sqlx::raw_sql("checkpoint").execute(connection).await?;
    Ok(())
}

/// Counts the recorded events. The id of the next event gives the number without a scan.
async fn events(connection: &mut PgConnection) -> Outcome<i64> {
    let sql = "select next_id - 1 from id_counters where account_id = 1 and type = 'events'";
    Ok(sqlx::query_scalar(sql).fetch_one(connection).await?)
}

async fn decide_all(
    connection: &mut PgConnection,
    server: &Server,
    count: i64,
    faults: &mut Vec<String>,
) -> Outcome<()> {
    // time and number of the first decisions seen
    let mut first: Option<(Instant, i64)> = None;
    let took = loop {
        let decided = events(connection).await?;
        if decided > 0 && first.is_none() {
            first = Some((Instant::now(), decided));
        }
        if decided >= count {
            break server.spawned.elapsed();
        }
        if server.spawned.elapsed() > TIMEOUT {
            return Err(format!("{decided} of {count} outputs were decided after {} s", TIMEOUT.as_secs()).into());
        }
        tokio::time::sleep(5 * POLL_INTERVAL).await;
    };
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let rate = first.map(|(since, already)| (count - already) as f64 / since.elapsed().as_secs_f64());
    figure_with_target("outputs decided per second", rate, "/s", Target::AtLeast(5000.0));
    figure(&format!("from the start of the server to {count} decisions"), Some(took.as_secs_f64()), "s");
    let sql = "select (select count(*) from concierge_request_outputs where state = 'accepted' and due_at is null),
        (select count(distinct resource_id) from events where event_type = 'concierge_request_output_accepted')";
    let (accepted, recorded): (i64, i64) = sqlx::query_as(sql).fetch_one(connection).await?;
    if accepted != count || recorded != count {
        faults.push(format!("{count} outputs were due, but {accepted} are accepted and {recorded} have an event"));
    }
    Ok(())
}

/// Creates outputs over HTTP, one by one, and polls each until it is decided.
///
/// Returns milliseconds from the due time to the poll that saw the decision. The state change has the due time.
async fn decide_singly(connection: &mut PgConnection, server: &Server, count: usize) -> Outcome<Vec<f64>> {
    let mut client = Client::connect(&server.address)?;
    let start = Instant::now();
    let (mut made, mut waiting, mut lags) = (0, Vec::new(), Vec::new());
    while lags.len() < count {
        if made < count && start.elapsed() >= INTERVAL * u32::try_from(made)? {
            waiting.push(client.post()?.0);
            made += 1;
        }
        let sql = "select id, (extract(epoch from clock_timestamp() - state_since) * 1000)::float8
            from concierge_request_outputs
            where account_id = 1 and id = any($1) and state <> 'accepting'";
        let decided: Vec<(i64, f64)> = sqlx::query_as(sql).bind(&waiting).fetch_all(&mut *connection).await?;
        waiting.retain(|id| decided.iter().all(|(decided, _)| decided != id));
        lags.extend(decided.into_iter().map(|(_, lag)| lag));
        if start.elapsed() > TIMEOUT {
            return Err(format!("{} single outputs were not decided", waiting.len()).into());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(lags)
}
