//! The program as its users run it: start, stop, messages and logs.

use std::net::TcpListener;

use clap::CommandFactory;
use concierge_sandbox::config::Cli;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::postgres::PgPool;
use sqlx::{Executor, Postgres, Transaction};
use tokio::net::TcpStream;

use crate::support::{
    Ended, Program, Wire, client, count, database, documented_output, empty_database, fresh_database, program, send,
    url_of, within,
};

const OUTPUTS: &str = "/api/concierge_request_outputs";

/// Runs the program until it ends.
async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    Program::run(arguments, environment).ended().await
}

/// Runs the program into a failure, and returns its one line of error.
async fn failure_message(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let ended = run(arguments, environment).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!((ended.stdout.len(), ended.stderr.len()), (0, 1), "{ended:?}");
    assert!(ended.stderr[0].starts_with("concierge-sandbox: "), "{ended:?}");
    ended.stderr[0].clone()
}

#[tokio::test]
async fn program_with_private_database_decides_in_real_time() {
    let mut server = Program::serve(None, &[]).await;
    let line = within(server.stderr.next()).await.unwrap();
    assert!(line.contains("the private database is deleted on exit: keep its data with --data-dir"), "{line}");
    assert_eq!(server.create_output().await, "32323");
    server.all_decided().await;
    let found = server.get(&format!("{OUTPUTS}?filter[request_id]=1010")).await;
    assert_eq!(found["data"][0]["attributes"]["state"], "accepted");
    let health = run(&["healthcheck", "--listen", server.address()], &[]).await;
    assert!(health.status.success(), "{health:?}");
    server.stop().await;
}

/// Posts an output whose statement waits until the transaction ends.
async fn held_post(pool: &PgPool, address: &str) -> (Wire, Transaction<'static, Postgres>) {
    let mut holding = pool.begin().await.unwrap();
    holding.execute("lock table concierge_request_outputs in share mode").await.unwrap();
    let document = documented_output().to_string();
    let mut wire = Wire::open(address).await;
    wire.post(OUTPUTS, &format!("Content-Length: {}", document.len())).await;
    wire.send(&document).await;
    let waiting = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
        where not l.granted and d.datname = current_database()";
    let waiting = async || sqlx::query_scalar::<_, i64>(waiting).fetch_one(pool).await.unwrap();
    within(async { while waiting().await == 0 {} }).await;
    (wire, holding)
}

#[tokio::test]
async fn stop_signal_lets_requests_in_progress_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        database(async |database| {
            let server = database.program(&[]).await;
            let address = server.address().to_owned();
            // neither an unused nor an idle connection delays the stop
            let _unused = Wire::open(&address).await;
            let mut idle = Wire::open(&address).await;
            idle.send("GET /_sandbox/health/live HTTP/1.1\r\nHost: x\r\n\r\n").await;
            idle.answer().await.expect(200);

            let (mut wire, holding) = held_post(database.pool(), &address).await;
            server.signal(signal);
            within(async { while TcpStream::connect(&address).await.is_ok() {} }).await;
            assert_eq!(idle.rest().await, "");
            holding.commit().await.unwrap();
            let answer = wire.answer().await;
            assert_eq!(answer.headers["connection"], "close");
            assert_eq!(answer.expect(201)["data"]["id"], "32323");
            assert_eq!(wire.rest().await, "");
            let ended = server.ended().await;
            assert!(ended.status.success(), "{ended:?}");
            assert!(!ended.stderr.iter().any(|line| line.contains("WARN")), "{ended:?}");
            assert_eq!(count(database, "select count(*) from concierge_request_outputs").await, 1);
        })
        .await;
    }
}

#[tokio::test]
async fn second_interrupt_ends_the_program_at_once() {
    database(async |database| {
        let server = database.program(&[]).await;
        let (mut wire, _holding) = held_post(database.pool(), server.address()).await;
        server.signal(Signal::INT);
        within(async { while TcpStream::connect(server.address()).await.is_ok() {} }).await;
        server.signal(Signal::INT);
        let ended = server.ended().await;
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ended.stderr.last().unwrap().contains("a second Ctrl-C"), "{ended:?}");
        assert_eq!(wire.rest().await, "");
    })
    .await;
}

#[tokio::test]
async fn startup_failure_is_reported_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message = failure_message(&["--listen", &address], &[]).await;
    assert!(message.contains(&format!("can't listen on {address}")) && message.contains("--listen"), "{message}");

    let free = ("SANDBOX_LISTEN", "127.0.0.1:0");
    let database = fresh_database().await;
    let wrong_name = url_of(&database).replace("/test_", "/no_test_");
    // accepts connections and never answers
    let silent = format!("postgres://me:secret@{address}/x");
    let refusing = {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        format!("postgres://me:secret@{gone}/x")
    };
    for (url, reason) in [
        (refusing.as_str(), "refused"),
        (&silent, "did not answer within 5 s"),
        (&wrong_name, "does not exist. Create it with `createdb no_test_"),
        ("postgres://me:secret@host.invalid/x", "host.invalid"),
        ("postgres://me:secret@/tmp", "DATABASE_URL"),
        ("postgres://me:secret@localhost:port/x", "DATABASE_URL is invalid: "),
        ("nonsense", "Its form is postgres://USER:PASSWORD@HOST:5432/DATABASE"),
        ("mysql://me:secret@localhost/x", "does not begin with postgres://"),
    ] {
        let message = failure_message(&["--database-wait", "0"], &[free, ("DATABASE_URL", url)]).await;
        assert!(message.contains(reason) && message.contains("DATABASE_URL"), "{url}: {message}");
        assert!(!message.contains("secret"), "{message}");
    }
    assert!(
        failure_message(&["migrate", "--database-wait", "0s"], &[("DATABASE_URL", &refusing)])
            .await
            .contains("refused")
    );
}

#[tokio::test]
async fn invalid_setting_is_a_usage_error() {
    for (argument, value) in [
        ("--listen", "nonsense"),
        ("--listen", "127.0.0.1:65536"),
        ("--check-delay", "5"),
        ("--check-delay", "1000y"),
        ("--approval", "perhaps"),
        ("--rate-limit", "0"),
        ("--database-connections", "1"),
        ("--log-format", "xml"),
        ("--log", "foo"),
        ("--log", "info,concierge_sandbox"),
        ("--log", "concierge_sandbox=loud"),
        ("--body-timeout", "0s"),
        ("--webhook-timeout", "0ms"),
        ("--admin-token", ""),
        ("--admin-token", "a;b"),
        ("--admin-token", " a"),
        ("--admin-token", "ключ"),
        ("--admin-token", "your_api_key"),
        ("--allowed-hosts", "a.example:80"),
        ("--max-accounts", "0"),
        ("--account-rate", "0"),
        ("--unheard-of", "1"),
        ("unheard-of", "1"),
    ] {
        let ended = run(&[argument, value], &[]).await;
        assert_eq!((ended.status.code(), ended.stdout.len()), (Some(2), 0), "{ended:?}");
        assert!(ended.stderr[0].contains(argument.trim_start_matches('-')), "{ended:?}");
    }
    let ended = run(&[], &[("SANDBOX_APPROVAL", "perhaps")]).await;
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
}

#[tokio::test]
async fn empty_variable_counts_as_none() {
    let command = Cli::command();
    let names: Vec<&str> = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str()).collect();
    assert!(names.contains(&"SANDBOX_ADMIN_TOKEN") && names.contains(&"DATABASE_URL"), "{names:?}");
    let empty: Vec<(&str, &str)> = names.iter().map(|name| (*name, "")).collect();
    let ended = run(&["openapi"], &empty).await;
    assert!(ended.status.success(), "{ended:?}");
    let wrong = failure_message(&["migrate", "--database-url", "nonsense"], &empty).await;
    assert!(wrong.contains("DATABASE_URL"), "a flag counts all the same: {wrong}");
}

#[tokio::test]
async fn open_server_without_a_token_warns_once() {
    database(async |database| {
        for (arguments, is_warned) in [
            (&["--listen", "0.0.0.0:0"][..], true),
            (&["--listen", "0.0.0.0:0", "--admin-token", "let me in"], false),
            (&["--listen", "127.0.0.1:0"], false),
        ] {
            let server = database.program(arguments).await;
            let lines = server.ended_by_stop().await;
            let warnings = lines.iter().filter(|line| line.contains("set --admin-token")).count();
            assert_eq!(warnings, usize::from(is_warned), "{arguments:?}: {lines:#?}");
        }
    })
    .await;
}

#[tokio::test]
async fn injected_failures_are_not_logged_as_errors() {
    program(&["--log", "debug,sqlx=off,hyper=off"], async |server| {
        let client = client();
        let faults = json!({"data": [{"path": "/api/users", "status": 502}]});
        send(server.request(&client, Method::PUT, "/_sandbox/faults").json(&faults)).await.expect(200);
        send(server.request(&client, Method::GET, "/api/users")).await.assert_error(502, "fault_injected", "");
        let preferring = server.request(&client, Method::GET, "/api/users/me").header("Prefer", "code=500");
        send(preferring).await.assert_error(500, "fault_injected", "");
        server.signal(Signal::TERM);
        let ended = server.ended().await;
        assert!(!ended.stderr.iter().any(|line| line.contains("ERROR")), "{ended:?}");
        for cause in ["a fault of this account answered", "the request's `Prefer` header asked for this answer"] {
            assert!(
                ended.stderr.iter().any(|line| line.contains("DEBUG") && line.contains(cause)),
                "{cause}: {ended:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn help_names_every_setting() {
    let help = run(&["--help"], &[("DATABASE_URL", "postgres://me:secret@localhost/x")]).await;
    assert!(help.status.success() && help.stderr.is_empty(), "{help:?}");
    let help = help.stdout.join("\n");
    let command = Cli::command();
    let settings: Vec<_> = command.get_arguments().filter(|setting| setting.get_env().is_some()).collect();
    assert!(settings.len() > 8);
    for setting in settings {
        let value = if setting.get_action().takes_values() { " <" } else { "" };
        let flag = format!("--{}{value}", setting.get_long().unwrap());
        let variable = format!("[env: {}", setting.get_env().unwrap().to_str().unwrap());
        assert!(help.contains(&flag) && help.contains(&variable), "{flag} {variable}: {help}");
    }
    for subcommand in command.get_subcommands() {
        assert!(help.contains(&format!("\n  {}", subcommand.get_name())), "{help}");
    }
    assert!(!help.contains("secret"));
}

#[tokio::test]
async fn migrate_and_healthcheck_report_by_exit_code() {
    empty_database(async |database| {
        let url = url_of(database);
        for _ in 0..2 {
            let ended = run(&["migrate"], &[("DATABASE_URL", &url)]).await;
            assert!(ended.status.success() && ended.stdout.is_empty(), "{ended:?}");
            assert_eq!(count(database, "select count(*) from accounts where id > 0").await, 0);
        }
        let server = database.program(&["--listen", "0.0.0.0:0", "--admin-token", "let me in"]).await;
        let port = server.address().split(':').next_back().unwrap().to_owned();
        for address in [format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}")] {
            let ended = run(&["healthcheck"], &[("SANDBOX_LISTEN", &address)]).await;
            assert!(ended.status.success() && ended.stderr.is_empty() && ended.stdout.is_empty(), "{ended:?}");
        }
        server.stop().await;
        let message = failure_message(&["healthcheck", "--listen", &format!("127.0.0.1:{port}")], &[]).await;
        assert!(message.contains("no server answers on"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn logs_carry_the_request_id_and_no_private_data() {
    database(async |database| {
        let server = database.program(&["--log-format", "json", "--log", "trace"]).await;
        let client = client();
        let user =
            json!({"data": {"type": "users", "attributes": {"name": "Xaviera Quux", "email": "xq@example.net"}}});
        send(server.request(&client, Method::POST, "/api/users").json(&user)).await.expect(201);
        let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {
            "label": "Zanzibar", "body": {"bank": "Bank of Nowhere", "account_number": "987650012"}}}});
        let instructions = server.request(&client, Method::POST, "/api/withdrawal_instructions");
        send(instructions.json(&instruction)).await.expect(201);
        let stranger = client.get(format!("{}/api/users?filter[id]=77177", server.base));
        assert_eq!(send(stranger.header("Authorization", "key_of_a_stranger")).await.status, 401);
        server.get("/api/withdrawal_instructions").await;
        // make a statement fail
        let pool = database.pool();
        sqlx::query("alter table concierge_request_outputs rename amount to mislaid").execute(pool).await.unwrap();
        let failed = send(server.post(&client)).await;
        sqlx::query("alter table concierge_request_outputs rename mislaid to amount").execute(pool).await.unwrap();
        failed.assert_error(500, "internal", "");
        let request_id = failed.headers["x-request-id"].to_str().unwrap();

        server.signal(Signal::TERM);
        let ended = server.ended().await;
        assert!(ended.status.success(), "{ended:?}");
        let lines: Vec<Value> = ended.stderr.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let errors: Vec<&Value> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
        assert!(errors.iter().any(|line| line["error"].as_str().is_some_and(|error| error.contains("does not exist"))));
        for error in errors.iter().filter(|error| !error["span"].is_null()) {
            assert_eq!(error["span"]["id"], request_id, "{error}");
        }
        assert!(lines.iter().any(|line| line["message"] == "answered" && line["span"]["route"] == "/api/users"));
        let log = ended.stderr.join("\n");
        let private = [
            "your_api_key",
            "key_of_a_stranger",
            "Xaviera",
            "xq@example.net",
            "Zanzibar",
            "Nowhere",
            "987650012",
            "standard chartered",
            "bob",
        ];
        for private in private {
            assert!(
                !log.contains(private),
                "{private}: {}",
                ended.stderr.iter().find(|line| line.contains(private)).unwrap()
            );
        }
    })
    .await;
}
