//! The background task of a server with default settings: how many due outputs it decides in a second, and how long
//! after its due time a single one is seen to be decided.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;

use crate::Scale;
use crate::client::Client;
use crate::report::{Target, figure, figure_with_target, heading, median, percentile};
use crate::world::{Outcome, Server, World};

const DATABASE: &str = "background";

/// How long to wait for what must happen.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often to look.
const LOOK: Duration = Duration::from_millis(1);
/// How far apart single outputs are made: further than the task puts its batches.
const APART: Duration = Duration::from_millis(27);

/// Measures, prints, and returns what went wrong.
pub async fn run(world: &World, scale: &Scale) -> Outcome<Vec<String>> {
    heading("Background: outputs decided when they are due");
    world.create(DATABASE).await?;
    // makes the tables
    drop(world.serve(DATABASE, &[])?);
    let mut connection = world.connect(DATABASE).await?;
    fill(&mut connection, scale.due).await?;
    let server = world.serve(DATABASE, &[])?;
    let mut faults = Vec::new();
    decide_all(&mut connection, &server, scale.due, &mut faults).await?;
    let lags = decide_singly(&mut connection, &server, scale.single).await?;
    let name = |what: &str| format!("{what} of {} single outputs", lags.len());
    let target = Target::AtMost(50.0);
    figure_with_target(&name("from due to decided, median"), median(lags.iter().copied()), "ms", target);
    figure_with_target(&name("from due to decided, p99"), percentile(lags.iter().copied(), 0.99), "ms", target);
    Ok(faults)
}

/// Fills the default account with outputs that have been due for a while, a millisecond apart.
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

/// How many events were written: the next event's number says so at once.
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
    // when the first were seen to be decided, and how many they were
    let mut first: Option<(Instant, i64)> = None;
    let took = loop {
        let decided = events(connection).await?;
        if decided > 0 && first.is_none() {
            first = Some((Instant::now(), decided));
        }
        if decided >= count {
            break server.spawned.elapsed();
        }
        if server.spawned.elapsed() > PATIENCE {
            return Err(format!("{decided} of {count} outputs were decided after {} s", PATIENCE.as_secs()).into());
        }
        tokio::time::sleep(5 * LOOK).await;
    };
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let rate = first.map(|(since, already)| (count - already) as f64 / since.elapsed().as_secs_f64());
    figure_with_target("decided in a second", rate, "/s", Target::AtLeast(5000.0));
    figure(&format!("all {count} decided after the server was started"), Some(took.as_secs_f64()), "s");
    let sql = "select (select count(*) from concierge_request_outputs where state = 'accepted' and due_at is null),
        (select count(distinct resource_id) from events where event_type = 'concierge_request_output_accepted')";
    let (accepted, told): (i64, i64) = sqlx::query_as(sql).fetch_one(connection).await?;
    if accepted != count || told != count {
        faults.push(format!("of {count} outputs that were due, {accepted} were accepted and {told} have an event"));
    }
    Ok(())
}

/// Makes outputs over HTTP, one by one, and watches each until it is decided. Milliseconds from the due time, which
/// is the time of the state's change, to the look that saw it.
async fn decide_singly(connection: &mut PgConnection, server: &Server, count: usize) -> Outcome<Vec<f64>> {
    let mut client = Client::connect(&server.address)?;
    let start = Instant::now();
    let (mut made, mut waiting, mut lags) = (0, Vec::new(), Vec::new());
    while lags.len() < count {
        if made < count && start.elapsed() >= APART * u32::try_from(made)? {
            waiting.push(client.post()?.0);
            made += 1;
        }
        let sql = "select id, (extract(epoch from clock_timestamp() - state_since) * 1000)::float8
            from concierge_request_outputs
            where account_id = 1 and id = any($1) and state <> 'accepting'";
        let decided: Vec<(i64, f64)> = sqlx::query_as(sql).bind(&waiting).fetch_all(&mut *connection).await?;
        waiting.retain(|id| decided.iter().all(|(decided, _)| decided != id));
        lags.extend(decided.into_iter().map(|(_, lag)| lag));
        if start.elapsed() > PATIENCE {
            return Err(format!("{} single outputs were not decided", waiting.len()).into());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(lags)
}
