//! Load over HTTP, compared with the same statements on the database alone.
//!
//! The two take turns, so that both run under the same conditions.

use std::thread;
use std::time::Duration;

use sqlx::postgres::PgConnection;

use crate::client::Client;
use crate::generators::{Alone, Load, Pgbench, find_pgbench, wrk};
use crate::machine::Shares;
use crate::report::{Target, figure_with_target, heading, median, number};
use crate::request::Request;
use crate::world::{Outcome, QUIET, Server, World};
use crate::{Scale, process};

const DATABASE: &str = "load";
const CONNECTIONS: [u32; 3] = [1, 16, 64];

/// Minimum ratio of the server's throughput to the throughput of its database alone.
const TARGETS: [(Request, u32, Target); 3] = [
    (Request::Post, 1, Target::AtLeast(0.8)),
    (Request::Post, 16, Target::AtLeast(0.7)),
    (Request::Get, 16, Target::AtLeast(0.6)),
];

/// One run of each generator.
struct Sample {
    load: Load,
    alone: Alone,
    /// CPU time for each request, in microseconds.
    server_cpu: Option<f64>,
    database_cpu: Option<f64>,
    alone_cpu: Option<f64>,
    /// Share of the machine's CPU used by other processes during the run.
    others: Option<f64>,
}

/// Inputs of every run.
struct Bench<'a> {
    connection: PgConnection,
    server: Server,
    pgbench: Pgbench<'a>,
    /// Id of the output that GET requests.
    shown: i64,
}

/// Measures, prints, and returns the faults found.
pub async fn run(world: &World, scale: &Scale) -> Outcome<Vec<String>> {
    heading("Load: the server, and its statements on the database alone (pgbench)");
    world.create(DATABASE).await?;
    let program = find_pgbench()?;
    let server = world.serve(DATABASE, &QUIET)?;
    let mut connection = world.connect(DATABASE).await?;
    let idle = process::resident(server.pid());
    let (shown, _) = Client::connect(&server.address)?.post()?;
    let now = sqlx::query_scalar("select now()::text").fetch_one(&mut connection).await?;
    let pgbench = Pgbench { program, postgres: world.postgres(), database: DATABASE, now };
    let mut bench = Bench { connection, server, pgbench, shown };
    let cases: Vec<(Request, u32)> = [Request::Post, Request::Get]
        .into_iter()
        .flat_map(|request| CONNECTIONS.map(|connections| (request, connections)))
        .collect();
    let mut faults = Vec::new();
    for (request, connections) in &cases {
        bench.sample(*request, *connections, Duration::from_secs(1), &mut faults).await?;
    }
    let mut samples: Vec<Vec<Sample>> = cases.iter().map(|_| Vec::new()).collect();
    for _ in 0..scale.rounds {
        for ((request, connections), samples) in cases.iter().zip(&mut samples) {
            samples.push(bench.sample(*request, *connections, scale.run, &mut faults).await?);
        }
    }
    println!(
        "Medians of {} runs of {} s each. server, database: CPU in microseconds per request. other: CPU share of other \
         processes.\n",
        scale.rounds,
        scale.run.as_secs()
    );
    print_table(&cases, &samples);
    println!();
    bench.count_exactly(scale.exact, &mut faults).await?;
    figure_with_target("resident memory, idle after start-up", idle, "MB", Target::AtMost(20.0));
    let most = process::resident_at_most(bench.server.pid());
    figure_with_target("resident memory, maximum under load", most, "MB", Target::AtMost(40.0));
    Ok(faults)
}

impl Bench<'_> {
    /// Runs wrk once, then pgbench once.
    async fn sample(
        &mut self,
        request: Request,
        connections: u32,
        duration: Duration,
        faults: &mut Vec<String>,
    ) -> Outcome<Sample> {
        let (server, database) = (self.server.pid(), self.pgbench.postgres.pid());
        let fault = |what: String| format!("{} on {connections}: {what}", request.method());
        let before = self.prepare().await?;
        let shares = Shares::now(database);
        let (server_before, database_before) = (process::cpu(server), process::cpu_of_family(database));
        let load = wrk(&self.server.address, request, self.shown, connections, duration)?;
        let server_cpu = spent(server_before, process::cpu(server), load.acknowledged);
        self.settle().await?;
        let database_cpu = spent(database_before, process::cpu_of_family(database), load.acknowledged);
        if load.errors > 0 {
            faults.push(fault(format!("{} errors", load.errors)));
        }
        // wrk stops without waiting for the last answers, so their outputs may be saved
        let grown = self.rows().await? - before;
        let (least, most) = match request {
            Request::Post => (load.acknowledged, load.acknowledged + i64::from(connections)),
            Request::Get => (0, 0),
        };
        if !(least..=most).contains(&grown) {
            faults.push(fault(format!("{} outputs acknowledged, but {grown} saved", load.acknowledged)));
        }
        let before = self.prepare().await?;
        let base = match request {
            Request::Post => self.last_id().await?,
            Request::Get => self.shown,
        };
        let database_before = process::cpu_of_family(database);
        let alone = self.pgbench.run(request, base, connections, duration)?;
        self.settle().await?;
        let alone_cpu = spent(database_before, process::cpu_of_family(database), alone.transactions);
        let grown = self.rows().await? - before;
        if request == Request::Post && grown != alone.transactions {
            faults.push(fault(format!("pgbench created {} outputs, but {grown} are saved", alone.transactions)));
        }
        let others = Shares::of_others(shares, database);
        Ok(Sample { load, alone, server_cpu, database_cpu, alone_cpu, others })
    }

    /// Gives each run the same start: fresh statistics, no pending writes, new ids above all existing ones.
    /// Returns the number of outputs.
    async fn prepare(&mut self) -> Outcome<i64> {
        for sql in [
            "vacuum (analyze) concierge_request_outputs",
            "checkpoint",
            "update id_counters set next_id = greatest(next_id, (select max(id) + 1 from concierge_request_outputs))
             where type = 'concierge_request_outputs'",
        ] {
            sqlx::raw_sql(sql).execute(&mut self.connection).await?;
        }
        self.rows().await
    }

    async fn rows(&mut self) -> Outcome<i64> {
        let sql = "select count(*) from concierge_request_outputs";
        Ok(sqlx::query_scalar(sql).fetch_one(&mut self.connection).await?)
    }

    /// Returns the next id: all lower ones are taken or leased.
    async fn last_id(&mut self) -> Outcome<i64> {
        let sql = "select max(next_id) from id_counters where type = 'concierge_request_outputs'";
        Ok(sqlx::query_scalar(sql).fetch_one(&mut self.connection).await?)
    }

    /// Waits until no statement is running.
    async fn settle(&mut self) -> Outcome<()> {
        let sql = "select count(*) from pg_stat_activity
            where backend_type = 'client backend' and state <> 'idle' and pid <> pg_backend_pid()";
        while sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut self.connection).await? > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Creates outputs on sixteen connections and compares their ids with the database.
    /// Each client reads every answer before its next request, so no answer is lost.
    async fn count_exactly(&mut self, each: usize, faults: &mut Vec<String>) -> Outcome<()> {
        let before = self.rows().await?;
        let address = &self.server.address;
        let made = thread::scope(|scope| {
            let post = move || -> Result<Vec<i64>, String> {
                let mut client = Client::connect(address).map_err(|error| error.to_string())?;
                let ids = (0..each).map(|_| client.post().map(|(id, _)| id).map_err(|error| error.to_string()));
                ids.collect()
            };
            let clients: Vec<_> = (0..16).map(|_| scope.spawn(post)).collect();
            let outcomes = clients.into_iter().map(|client| client.join().unwrap_or(Err("a client failed".into())));
            outcomes.collect::<Result<Vec<_>, _>>()
        })?;
        let ids: Vec<i64> = made.into_iter().flatten().collect();
        let sql = "select count(*) from concierge_request_outputs where account_id = 1 and id = any($1)";
        let found: i64 = sqlx::query_scalar(sql).bind(&ids).fetch_one(&mut self.connection).await?;
        let grown = self.rows().await? - before;
        println!("exact count: {} POSTs acknowledged, {grown} outputs added, {found} found by id", ids.len());
        let acknowledged = i64::try_from(ids.len())?;
        if grown != acknowledged || found != acknowledged {
            faults.push("the acknowledged outputs differ from the outputs in the database".into());
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of requests")]
fn spent(before: Option<f64>, after: Option<f64>, requests: i64) -> Option<f64> {
    Some((after? - before?) / requests.max(1) as f64)
}

fn print_table(cases: &[(Request, u32)], samples: &[Vec<Sample>]) {
    println!(
        "{:<8}{:>5} |{:>10}{:>8}{:>8}{:>7}{:>8}{:>9} |{:>10}{:>9} |{:>7} |{:>6}",
        "",
        "conns",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "errors",
        "server",
        "database",
        "pgbench/s",
        "database",
        "other",
        "ratio"
    );
    for ((request, connections), samples) in cases.iter().zip(samples) {
        let of = |value: fn(&Sample) -> f64| number(median(samples.iter().map(value)));
        let known = |value: fn(&Sample) -> Option<f64>| number(median(samples.iter().filter_map(value)));
        let errors: i64 = samples.iter().map(|sample| sample.load.errors).sum();
        let ratio = median(samples.iter().map(|sample| sample.load.per_second / sample.alone.per_second));
        let others = median(samples.iter().filter_map(|sample| sample.others));
        let target = TARGETS.iter().find(|(of, on, _)| of == request && on == connections);
        println!(
            "{:<8}{connections:>5} |{:>10}{:>8}{:>8}{errors:>7}{:>8}{:>9} |{:>10}{:>9} |{:>7} |{:>6}  {}",
            request.method(),
            of(|sample| sample.load.per_second),
            of(|sample| sample.load.p50),
            of(|sample| sample.load.p99),
            known(|sample| sample.server_cpu),
            known(|sample| sample.database_cpu),
            of(|sample| sample.alone.per_second),
            known(|sample| sample.alone_cpu),
            others.map_or("n/a".to_owned(), |share| format!("{:.0} %", share * 100.0)),
            number(ratio),
            target.map(|(.., target)| target.judge(ratio)).unwrap_or_default(),
        );
    }
}
