//! Webhooks: the delivery rate of a backlog to one receiver, and the delay of a single event.
//!
//! The delay is measured with one receiver alone, and with receivers that hang beside it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;

use crate::Scale;
use crate::client::Client;
use crate::report::{Target, figure, figure_with_target, heading, median, percentile};
use crate::world::{Outcome, World};

/// Timeout for expected changes.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Receivers that hang.
const HANGING: i64 = 20;
/// Events queued for each receiver that hangs.
const QUEUED: i64 = 1000;

/// Measures, prints, and returns the faults found.
pub async fn run(world: &World, scale: &Scale) -> Outcome<Vec<String>> {
    heading("Webhooks: delivery of events");
    let mut faults = Vec::new();
    backlog(world, scale.events, &mut faults).await?;
    for (database, hanging, beside) in [("alone", 0, "alone"), ("beside", HANGING, "beside 20 receivers that hang")] {
        let lags = singles(world, database, hanging, scale.single).await?;
        let name = |what: &str| format!("from POST to arrival {beside}, {what}");
        figure_with_target(&name("median"), median(lags.iter().copied()), "ms", Target::AtMost(50.0));
        figure(&name("p99"), percentile(lags.iter().copied(), 0.99), "ms");
    }
    Ok(faults)
}

/// Measures the delivery of events queued before the server starts.
async fn backlog(world: &World, count: i64, faults: &mut Vec<String>) -> Outcome<()> {
    world.create("backlog").await?;
    // creates the tables
    drop(world.serve("backlog", &[])?);
    let mut connection = world.connect("backlog").await?;
    let (address, calls) = receive(answer)?;
    listen(&mut connection, 50505, address).await?;
    fill(&mut connection, 50505, count).await?;
    let server = world.serve("backlog", &[])?;
    let mut first = None;
    for arrived in 0..count {
        let at = calls.recv_timeout(TIMEOUT).map_err(|_| format!("{arrived} of {count} events arrived"))?;
        first = first.or(Some(at));
    }
    let took = server.spawned.elapsed().as_secs_f64();
    let name = format!("from the start of the server to {count} deliveries");
    figure_with_target(&name, Some(took), "s", Target::AtMost(10.0));
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let rate = first.map(|first| count as f64 / first.elapsed().as_secs_f64());
    figure("events per second to one receiver", rate, "/s");
    let written = "select count(*) from deliveries where state = 'delivered'";
    let start = Instant::now();
    loop {
        let delivered: i64 = sqlx::query_scalar(written).fetch_one(&mut connection).await?;
        if delivered == count {
            return Ok(());
        }
        if start.elapsed() > TIMEOUT {
            faults.push(format!("{count} events arrived, but {delivered} are recorded as delivered"));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Creates outputs one after the other.
///
/// Returns milliseconds from each POST to the arrival of the first event.
async fn singles(world: &World, database: &'static str, hanging: i64, count: usize) -> Outcome<Vec<f64>> {
    world.create(database).await?;
    drop(world.serve(database, &[])?);
    let mut connection = world.connect(database).await?;
    let (address, calls) = receive(answer)?;
    listen(&mut connection, 50505, address).await?;
    for number in 0..hanging {
        let (address, _) = receive(hang)?;
        let user = 60000 + number;
        let made = "insert into users (account_id, id, compliance_state, created_at) values (1, $1, 'enabled', now())";
        sqlx::query(made).bind(user).execute(&mut connection).await?;
        listen(&mut connection, user, address).await?;
        fill(&mut connection, user, QUEUED).await?;
    }
    let server = world.serve(database, &["--check-delay", "1h"])?;
    let mut client = Client::connect(&server.address)?;
    let mut lags = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        client.post()?;
        let arrived = calls.recv_timeout(TIMEOUT).map_err(|_| "an event did not arrive")?;
        lags.push((arrived - begun).as_secs_f64() * 1000.0);
    }
    Ok(lags)
}

async fn listen(connection: &mut PgConnection, user: i64, address: SocketAddr) -> Outcome<()> {
    let sql = "update users set webhook_url = $2 where account_id = 1 and id = $1";
    sqlx::query(sql).bind(user).bind(format!("http://{address}/hook")).execute(connection).await?;
    Ok(())
}

/// Queues `count` events of made-up outputs.
async fn fill(connection: &mut PgConnection, receiver: i64, count: i64) -> Outcome<()> {
    let sql = r#"with counter as (
            update id_counters set next_id = next_id + $2 where account_id = 1 and type = 'events'
            returning next_id - $2 as first_id
        ), event as (
            insert into events
                (account_id, id, event_type, resource_type, resource_id, created_at, made_by, resource, failures)
            select 1, first_id + n, 'concierge_request_output_accepting', 'concierge_request_outputs',
                9000000 + first_id + n, now(), $1,
                '{"id":"32323","type":"concierge_request_outputs","attributes":{"amount":1000,"port_code":"cl_clp",'
                || '"state":"accepting"},"relationships":{"request":{"data":{"id":"1010","type":"concierge_requests"}},'
                || '"user":{"data":{"id":"20202","type":"users"}},"withdrawal_instruction":{"data":{"id":"2121",'
                || '"type":"withdrawal_instructions"}}}}', 0
            from counter, generate_series(0, $2 - 1) n
            returning *
        )
        insert into deliveries (account_id, event_id, receiver_id, resource_type, resource_id, state, due_at)
        select account_id, id, $1, resource_type, resource_id, 'due', created_at from event"#;
    sqlx::query(sql).bind(receiver).bind(count).execute(connection).await?;
    Ok(())
}

/// Starts a receiver on loopback that reports the time of each call. It runs as long as the benchmark.
fn receive(then: fn(TcpStream)) -> Outcome<(SocketAddr, Receiver<Instant>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (reports, calls) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let reports = reports.clone();
            // few at a time, because the server limits them
            thread::spawn(move || drop(call(stream, &reports, then)));
        }
    });
    Ok((address, calls))
}

fn call(stream: TcpStream, reports: &Sender<Instant>, then: fn(TcpStream)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    reports.send(Instant::now()).ok();
    then(reader.into_inner());
    Ok(())
}

fn answer(mut stream: TcpStream) {
    drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
}

fn hang(mut stream: TcpStream) {
    // until the server gives up
    drop(stream.read(&mut [0]));
}
