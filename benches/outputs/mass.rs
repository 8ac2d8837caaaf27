//! Speed of a large collection compared with a small one.
//!
//! The same requests go in turns to a server on a fresh database and to a server with a million outputs.

use std::time::Duration;

use crate::Scale;
use crate::client::Client;
use crate::report::{heading, median, number, percentile};
use crate::world::{Outcome, QUIET, World};

const FRESH: &str = "fresh";
const FULL: &str = "mass";

/// The lowest id in the large collection.
const FIRST: i64 = 1_000_000;

/// Unmeasured requests of each kind before the measurement.
const WARM_UP: usize = 20;

/// A kind of request.
type Kind = (&'static str, fn(&mut Side, i64) -> Outcome<Duration>);

const KINDS: [Kind; 4] = [
    ("POST under a request", |side, _| {
        let (id, took) = side.client.post()?;
        side.ids.push(id);
        Ok(took)
    }),
    ("GET one", |side, turn| {
        let id = match (side.count, usize::try_from(turn)?) {
            (0, turn) => side.ids[turn % side.ids.len()],
            (count, _) => FIRST + turn * 7919 % count,
        };
        side.client.get(&format!("/{id}"))
    }),
    ("first page of a request", |side, _| side.client.get("?filter%5Brequest_id%5D=1010")),
    ("first page of all", |side, _| side.client.get("")),
];

/// A server and its database.
struct Side {
    client: Client,
    /// Ids of outputs created over HTTP.
    ids: Vec<i64>,
    /// Number of outputs before the measurement.
    count: i64,
}

/// Measures and prints.
pub async fn run(world: &World, scale: &Scale) -> Outcome<()> {
    heading("Mass: one connection, one request at a time");
    for database in [FRESH, FULL] {
        world.create(database).await?;
        // creates the tables
        drop(world.serve(database, &QUIET)?);
    }
    fill(world, scale.mass).await?;
    let servers = [world.serve(FRESH, &QUIET)?, world.serve(FULL, &QUIET)?];
    let mut sides = Vec::new();
    for (server, count) in servers.iter().zip([0, scale.mass]) {
        sides.push(Side { client: Client::connect(&server.address)?, ids: Vec::new(), count });
    }
    println!(
        "{} outputs, {} of them under one request, compared with a fresh database; {} requests of each kind.\n",
        scale.mass,
        scale.mass / 100,
        scale.sequential
    );
    println!("{:<28}{:>14}{:>10}{:>14}{:>10}{:>8}", "", "fresh p50 ms", "p99 ms", "mass p50 ms", "p99 ms", "ratio");
    for (name, send) in KINDS {
        let mut times = [Vec::new(), Vec::new()];
        for turn in 0..scale.sequential + WARM_UP {
            for (side, times) in sides.iter_mut().zip(&mut times) {
                let took = send(side, i64::try_from(turn)?)?;
                if turn >= WARM_UP {
                    times.push(took.as_secs_f64() * 1000.0);
                }
            }
        }
        let [fresh, mass] = times.map(|times| (median(times.iter().copied()), percentile(times, 0.99)));
        let ratio = mass.0.zip(fresh.0).map(|(mass, fresh)| mass / fresh);
        println!(
            "{name:<28}{:>14}{:>10}{:>14}{:>10}{:>8}",
            number(fresh.0),
            number(fresh.1),
            number(mass.0),
            number(mass.1),
            number(ratio)
        );
    }
    Ok(())
}

/// Fills the default account. Every hundredth output belongs to the account's first request, the rest to 990 new ones.
async fn fill(world: &World, count: i64) -> Outcome<()> {
    let mut connection = world.connect(FULL).await?;
    // all references are valid, so skip the checks
    sqlx::raw_sql("set session_replication_role = replica").execute(&mut connection).await?;
    let requests = "insert into concierge_requests (account_id, id, user_id, port_code, state, created_at)
        select 1, 2000 + n, 50505, 'ar_ars', 'draft', now() from generate_series(0, 989) n";
    sqlx::raw_sql(requests).execute(&mut connection).await?;
    let outputs = "insert into concierge_request_outputs
            (account_id, id, request_id, user_id, withdrawal_instruction_id, port_code, amount, state, created_at,
             state_since)
        select 1, $1 + n, case when n % 100 = 0 then 1010 else 2000 + n % 990 end, 20202, 2121, 'us_usd', 100,
            'accepted', now(), now()
        from generate_series(0, $2 - 1) n";
    sqlx::query(outputs).bind(FIRST).bind(count).execute(&mut connection).await?;
    let ids = "update id_counters set next_id = $1 where type = 'concierge_request_outputs'";
    sqlx::query(ids).bind(FIRST + count).execute(&mut connection).await?;
    sqlx::raw_sql("vacuum (analyze)").execute(&mut connection).await?;
    sqlx::raw_sql("checkpoint").execute(&mut connection).await?;
    Ok(())
}
