//! A mass payout: the times to quote, to pay and finish, and to cancel a request with many outputs.
//!
//! Also checks that the times grow no faster than the number of outputs, and measures the longest transaction.

use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::Scale;
use crate::client::Client;
use crate::report::{Target, figure_with_target, heading, number};
use crate::world::{Outcome, World};

/// Timeout for expected changes.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Interval between polls.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Durations of the phases of a request, and of the longest transaction in them, in milliseconds.
struct Durations {
    quoted: f64,
    finished: f64,
    cancelled: f64,
    longest: f64,
}

/// Measures, prints, and returns the faults found.
pub async fn run(world: &World, scale: &Scale) -> Outcome<Vec<String>> {
    heading("Payout: one request with many outputs, from draft to finished, every delay 0");
    println!(
        "{:<12}{:>12}{:>14}{:>14}{:>24}",
        "outputs", "quoted ms", "finished ms", "cancelled ms", "longest transaction ms"
    );
    let mut measured = Vec::new();
    let mut faults = Vec::new();
    for (database, count) in [("half", scale.payout / 2), ("whole", scale.payout), ("twice", scale.payout * 2)] {
        let durations = measure(world, database, count, &mut faults).await?;
        println!(
            "{count:<12}{:>12}{:>14}{:>14}{:>24}",
            number(Some(durations.quoted)),
            number(Some(durations.finished)),
            number(Some(durations.cancelled)),
            number(Some(durations.longest))
        );
        measured.push(durations);
    }
    if let [half, whole, twice] = measured.as_slice() {
        let longest = whole.longest.max(twice.longest);
        figure_with_target("longest transaction", Some(longest), "ms", Target::AtMost(250.0));
        let growth = (twice.quoted + twice.finished) / (whole.quoted + whole.finished);
        figure_with_target("time for twice the outputs", Some(growth), "x", Target::AtMost(2.3));
        let growth = (whole.quoted + whole.finished) / (half.quoted + half.finished);
        figure_with_target("time for all outputs, compared with half of them", Some(growth), "x", Target::AtMost(2.3));
    }
    Ok(faults)
}

async fn measure(world: &World, database: &'static str, count: i64, faults: &mut Vec<String>) -> Outcome<Durations> {
    world.create(database).await?;
    // creates the tables
    drop(world.serve(database, &[])?);
    let mut connection = world.connect(database).await?;
    fill(&mut connection, count).await?;
    let server = world.serve(database, &["--step-delay", "0s"])?;
    let mut client = Client::connect(&server.address)?;
    let mut longest = Duration::ZERO;
    let quoted = act(&mut connection, &mut client, (1010, "request_quote"), "quoted", &mut longest).await?;
    let finished = act(&mut connection, &mut client, (1010, "accept_quote"), "finished", &mut longest).await?;
    let cancelled = act(&mut connection, &mut client, (1009, "cancel"), "cancelled", &mut longest).await?;
    let sql = "select count(*) filter (where state = 'settled'), count(*) filter (where state = 'cancelled'),
        (select count(*) from events) from concierge_request_outputs";
    let (settled, called_off, recorded): (i64, i64, i64) = sqlx::query_as(sql).fetch_one(&mut connection).await?;
    // each settled output has 3 events, each cancelled one has 1; the requests have 6 and 1
    if settled != count || called_off != count || recorded != 4 * count + 7 {
        faults
            .push(format!("of {count} each, {settled} are settled and {called_off} cancelled, with {recorded} events"));
    }
    connection.close().await?;
    Ok(Durations { quoted, finished, cancelled, longest: milliseconds(longest) })
}

/// Creates two requests with `count` accepted outputs each, and gives the payer enough money.
async fn fill(connection: &mut PgConnection, count: i64) -> Outcome<()> {
    let request = "insert into concierge_requests (account_id, id, user_id, port_code, state, created_at)
        values (1, 1009, 50505, 'ar_ars', 'draft', now())";
    sqlx::raw_sql(request).execute(&mut *connection).await?;
    let outputs = "insert into concierge_request_outputs
            (account_id, id, request_id, user_id, withdrawal_instruction_id, port_code, amount, state, created_at,
             state_since)
        select 1, r.id * 1000000 + n, r.id, 20202, 2121, 'cl_clp', 100, 'accepted', now(), now()
        from concierge_requests r, generate_series(1, $1) n";
    sqlx::query(outputs).bind(count).execute(&mut *connection).await?;
    sqlx::raw_sql("update cash_wallets set balance = 1e12").execute(&mut *connection).await?;
    sqlx::raw_sql("vacuum (analyze)").execute(&mut *connection).await?;
    sqlx::raw_sql("checkpoint").execute(connection).await?;
    Ok(())
}

/// Calls an action and waits for the state of the request and, in a final state, of its outputs.
///
/// Returns milliseconds.
async fn act(
    connection: &mut PgConnection,
    client: &mut Client,
    (request, action): (i64, &str),
    state: &str,
    longest: &mut Duration,
) -> Outcome<f64> {
    let start = Instant::now();
    client.act(request, action)?;
    let sql = "select r.state = $2 and r.due_at is distinct from r.state_since,
            (select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float8 from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend')
        from concierge_requests r where r.account_id = 1 and r.id = $1";
    loop {
        let (done, transaction): (bool, f64) =
            sqlx::query_as(sql).bind(request).bind(state).fetch_one(&mut *connection).await?;
        *longest = (*longest).max(Duration::from_secs_f64(transaction));
        if done {
            return Ok(milliseconds(start.elapsed()));
        }
        if start.elapsed() > TIMEOUT {
            return Err(format!("request {request} was not {state} after {} s", TIMEOUT.as_secs()).into());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
