//! A mass payout: how long a request with very many outputs takes to be quoted, to be paid and finished, and to be
//! cancelled; whether that grows with the outputs and not faster; and the longest transaction it holds.

use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::Scale;
use crate::client::Client;
use crate::report::{Target, figure_with_target, heading, number};
use crate::world::{Outcome, World};

/// How long to wait for what must happen.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often to look.
const LOOK: Duration = Duration::from_millis(1);

/// How long each part of a life took, and the longest transaction meanwhile, in milliseconds.
struct Life {
    quoted: f64,
    finished: f64,
    cancelled: f64,
    longest: f64,
}

/// Measures, prints, and returns what went wrong.
pub async fn run(world: &World, scale: &Scale) -> Outcome<Vec<String>> {
    heading("Payout: one request with many outputs, from draft to finished, every delay 0");
    println!(
        "{:<12}{:>12}{:>14}{:>14}{:>24}",
        "outputs", "quoted ms", "finished ms", "cancelled ms", "longest transaction ms"
    );
    let mut lives = Vec::new();
    let mut faults = Vec::new();
    for (database, count) in [("half", scale.payout / 2), ("whole", scale.payout), ("twice", scale.payout * 2)] {
        let life = measure(world, database, count, &mut faults).await?;
        println!(
            "{count:<12}{:>12}{:>14}{:>14}{:>24}",
            number(Some(life.quoted)),
            number(Some(life.finished)),
            number(Some(life.cancelled)),
            number(Some(life.longest))
        );
        lives.push(life);
    }
    if let [half, whole, twice] = lives.as_slice() {
        let longest = whole.longest.max(twice.longest);
        figure_with_target("longest transaction", Some(longest), "ms", Target::AtMost(250.0));
        let growth = (twice.quoted + twice.finished) / (whole.quoted + whole.finished);
        figure_with_target("twice the outputs take", Some(growth), "x", Target::AtMost(2.3));
        let growth = (whole.quoted + whole.finished) / (half.quoted + half.finished);
        figure_with_target("and those twice as long as half of them", Some(growth), "x", Target::AtMost(2.3));
    }
    Ok(faults)
}

async fn measure(world: &World, database: &'static str, count: i64, faults: &mut Vec<String>) -> Outcome<Life> {
    world.create(database).await?;
    // makes the tables
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
    let (settled, called_off, told): (i64, i64, i64) = sqlx::query_as(sql).fetch_one(&mut connection).await?;
    // each settled one was working and settling; beside them 6 of the one request and 1 of the other
    if settled != count || called_off != count || told != 4 * count + 7 {
        faults.push(format!("of {count} each, {settled} are settled and {called_off} cancelled, with {told} events"));
    }
    connection.close().await?;
    Ok(Life { quoted, finished, cancelled, longest: milliseconds(longest) })
}

/// Two requests with that many accepted outputs each, and a payer who can pay.
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

/// Does an action and waits until the request and, where it is final, its outputs are in that state. Milliseconds.
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
        if start.elapsed() > PATIENCE {
            return Err(format!("request {request} was not {state} after {} s", PATIENCE.as_secs()).into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
