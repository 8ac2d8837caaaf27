//! What a 503 says: whether the request was done, why not, and whether to repeat it.

use std::pin::pin;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{
    Answer, Database, Program, Proxy, Sandbox, client, database, documented_output, sandbox, send, within,
};

const OUTPUTS: &str = "/api/concierge_request_outputs";
const REQUESTS: &str = "/api/concierge_requests";
const READY: &str = "/_sandbox/health/ready";

#[track_caller]
fn assert_unknown(answer: &Answer) {
    answer.assert_error(503, "outcome_unknown", "");
    assert_eq!(answer.headers.get("retry-after"), None, "a client would repeat it");
    assert!(answer.text.contains("look before you repeat it"), "{answer:?}");
}

/// Asserts that an answer says that the request was not done.
#[track_caller]
fn assert_not_done(answer: &Answer, code: &str) {
    answer.assert_error(503, code, "");
    assert!(answer.text.contains("the request was not done"), "{answer:?}");
}

/// Runs a test against a server that reaches its database through a proxy, and used it already.
async fn through_proxy(test: impl AsyncFnOnce(&Sandbox, Proxy)) {
    database(async |database| {
        let proxy = Proxy::open_to(database);
        let sandbox = database.server_through(proxy.options(database), |_| {}).await;
        sandbox.create_output().await;
        test(&sandbox, proxy).await;
    })
    .await;
}

/// Waits until a count is reached.
async fn counted(s: &Sandbox, query: &'static str, expected: i64) {
    within(async { while s.count(query).await != expected {} }).await;
}

/// Sends a request until its change is stored while its answer is lost, and checks that answer.
async fn lose_answer(
    s: &Sandbox,
    proxy: &Proxy,
    lose: impl Fn(&Proxy),
    (path, document): (&str, &Value),
    stored: &str,
) {
    let count = async || -> i64 {
        sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {stored}")))
            .fetch_one(s.database())
            .await
            .unwrap()
    };
    within(async {
        loop {
            // with new connections, which know the statement
            while s.post(path, document).await.status != 201 {}
            let before = count().await;
            lose(proxy);
            let mut posting = pin!(s.post(path, document));
            let stored = async { while count().await == before {} };
            let answer = tokio::select! {
                answer = &mut posting => answer,
                () = stored => {
                    proxy.carry_answers();
                    posting.await
                }
            };
            proxy.carry_answers();
            if count().await > before {
                assert_unknown(&answer);
                assert_eq!(count().await, before + 1, "it was stored once, and never sent again");
                return;
            }
            // a loss before the statement itself: of a read, or of its preparation
            assert_eq!(answer.status, 503, "{answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn write_whose_answer_is_lost_has_an_unknown_outcome() {
    through_proxy(async |s, proxy| {
        let output = (OUTPUTS, &documented_output());
        // the values of the statement, not its preparation
        lose_answer(s, &proxy, |proxy| proxy.lose_answers_from("cl_clp"), output, "concierge_request_outputs").await;
    })
    .await;
}

#[tokio::test]
async fn commit_whose_answer_is_lost_has_an_unknown_outcome() {
    through_proxy(async |s, proxy| {
        let draft = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}});
        s.create(REQUESTS, &draft).await;
        let lose = |proxy: &Proxy| proxy.lose_answers_from("COMMIT");
        lose_answer(s, &proxy, lose, (REQUESTS, &draft), "concierge_requests").await;
    })
    .await;
}

#[tokio::test]
async fn transaction_lost_before_its_commit_was_not_done() {
    through_proxy(async |s, proxy| {
        let mut holding = s.database().begin().await.unwrap();
        sqlx::query("select from concierge_requests for update").execute(&mut *holding).await.unwrap();
        let waiting = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        let cutting = async {
            counted(s, waiting, 1).await;
            proxy.cut();
        };
        let (answer, ()) = tokio::join!(s.act("1010", "request_quote"), cutting);
        assert_not_done(&answer, "unavailable");
        assert_eq!(answer.headers["retry-after"], "1");
        holding.rollback().await.unwrap();
        assert_eq!(s.attributes_of("1010").await["state"], "draft");
    })
    .await;
}

#[tokio::test]
async fn read_never_has_an_unknown_outcome() {
    through_proxy(async |s, proxy| {
        let active = "select count(*) from pg_stat_activity where datname = current_database() and state = 'idle'
            and query like '%users%' and pid <> pg_backend_pid()";
        let before = s.count(active).await;
        proxy.lose_answers();
        let losing = async {
            within(async { while s.count(active).await == before {} }).await;
            proxy.carry_answers();
        };
        let (answer, ()) = tokio::join!(s.get("/api/users/20202"), losing);
        assert_not_done(&answer, "unavailable");
        assert_eq!(answer.headers["retry-after"], "1");
    })
    .await;
}

#[tokio::test]
async fn write_that_was_never_sent_was_not_done() {
    through_proxy(async |s, proxy| {
        proxy.close().await;
        // finds the connections dead
        assert_eq!(s.get("/api/users/me").await.status, 503);
        for path in [OUTPUTS, REQUESTS] {
            let answer = s.post(path, &documented_output()).await;
            assert_not_done(&answer, "unavailable");
            assert_eq!(answer.headers["retry-after"], "1");
        }
        proxy.open();
        within(async { while s.get(READY).await.status != 200 {} }).await;
        assert_eq!(s.count("select count(*) from concierge_request_outputs").await, 1);
    })
    .await;
}

/// Lets every insert of a user fail with an SQLSTATE.
async fn fail_users_with(s: &Sandbox, state: &str) {
    let function = format!(
        "create or replace function fail() returns trigger language plpgsql as
         $$ begin raise exception 'made up' using errcode = '{state}'; end $$"
    );
    sqlx::query(AssertSqlSafe(function)).execute(s.database()).await.unwrap();
    s.sql("create or replace trigger fail before insert on users for each row execute function fail()").await;
}

#[tokio::test]
async fn each_kind_of_failure_has_its_code() {
    sandbox(async |s| {
        let user = json!({"data": {"type": "users"}});
        for (state, code, repeats) in [
            ("40001", "database_conflict", true),
            ("40P01", "database_conflict", true),
            ("57014", "database_slow", true),
            ("55P03", "database_slow", true),
            ("53100", "database_full", false),
            ("53300", "database_busy", true),
            ("25006", "database_read_only", false),
            ("57P01", "database_stopping", true),
            ("57P03", "database_stopping", true),
            ("28P01", "database_refused", false),
            ("3D000", "database_refused", false),
            ("42P01", "schema_missing", false),
            ("08006", "unavailable", true),
        ] {
            fail_users_with(s, state).await;
            let answer = s.post("/api/users", &user).await;
            assert_not_done(&answer, code);
            assert_eq!(answer.headers.contains_key("retry-after"), repeats, "{state}: {answer:?}");
        }
        s.sql("drop trigger fail on users").await;
        s.post("/api/users", &user).await.expect(201);
        // the made-up full disk has room, as the check of readiness finds out
        s.get(READY).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn conflict_is_retried_and_done_once() {
    sandbox(async |s| {
        s.sql("create sequence attempts").await;
        s.sql(
            "create function lose() returns trigger language plpgsql as $$ begin
                if nextval('attempts') < 4 then raise exception 'lost' using errcode = '40001'; end if;
                return new;
            end $$",
        )
        .await;
        s.sql("create trigger lose before insert on concierge_request_outputs for each row execute function lose()")
            .await;
        s.create_output().await;
        assert_eq!(s.count("select last_value from attempts").await, 4);
        assert_eq!(s.count("select count(*) from concierge_request_outputs").await, 1);
        assert_eq!(s.count("select count(*) from events").await, 1);
        // bounded
        s.sql("alter sequence attempts restart minvalue -1000 start -1000").await;
        s.sql("select setval('attempts', -1000)").await;
        let answer = s.post(OUTPUTS, &documented_output()).await;
        assert_not_done(&answer, "database_conflict");
        assert_eq!(s.count("select last_value from attempts").await, -996);
    })
    .await;
}

/// Changes a setting of the database, and ends the sessions that don't have it yet.
async fn set(s: &Sandbox, change: &str) {
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(s.database()).await.unwrap();
    let statement = format!("alter database {name} {change}");
    sqlx::query(AssertSqlSafe(statement)).execute(s.database()).await.unwrap();
    let others = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";
    s.count(others).await;
}

/// Waits for an answer of the check of readiness.
async fn readiness(s: &Sandbox, code: &str) -> Answer {
    within(async {
        loop {
            let answer = s.get(READY).await;
            if answer.status == 200 && code == "ready" || answer.text.contains(&format!("\"{code}\"")) {
                return answer;
            }
        }
    })
    .await
}

#[tokio::test]
async fn read_only_database_is_not_ready() {
    sandbox(async |s| {
        let user = json!({"data": {"type": "users"}});
        set(s, "set default_transaction_read_only = on").await;
        let answer = readiness(s, "database_read_only").await;
        assert_not_done(&answer, "database_read_only");
        s.get("/api/users/me").await.expect(200);
        assert_not_done(&s.post("/api/users", &user).await, "database_read_only");
        let mut writable = s.database().acquire().await.unwrap();
        sqlx::query("set default_transaction_read_only = off").execute(&mut *writable).await.unwrap();
        let name: String = sqlx::query_scalar("select current_database()").fetch_one(&mut *writable).await.unwrap();
        let reset = format!("alter database {name} reset default_transaction_read_only");
        sqlx::query(AssertSqlSafe(reset)).execute(&mut *writable).await.unwrap();
        let others = "select count(pg_terminate_backend(pid)) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";
        sqlx::query(others).execute(&mut *writable).await.unwrap();
        drop(writable);
        readiness(s, "ready").await;
        s.post("/api/users", &user).await.expect(201);
    })
    .await;
}

#[tokio::test]
async fn database_without_schema_is_not_ready() {
    sandbox(async |s| {
        s.sql("alter table accounts rename to hidden").await;
        assert_not_done(&s.get(READY).await, "schema_missing");
        s.sql("alter table hidden rename to accounts").await;
        s.get(READY).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn full_disk_is_not_ready_until_there_is_room() {
    sandbox(async |s| {
        let user = json!({"data": {"type": "users"}});
        fail_users_with(s, "53100").await;
        s.get(READY).await.expect(200);
        assert_not_done(&s.post("/api/users", &user).await, "database_full");
        // stands for a disk without room for another page
        s.sql(
            "create function no_room() returns event_trigger language plpgsql as
             $$ begin raise exception 'full' using errcode = '53100'; end $$",
        )
        .await;
        s.sql("create event trigger no_room on ddl_command_start execute function no_room()").await;
        for _ in 0..2 {
            assert_not_done(&s.get(READY).await, "database_full");
        }
        s.get("/api/users/me").await.expect(200);
        s.sql("drop event trigger no_room").await;
        s.sql("drop trigger fail on users").await;
        s.get(READY).await.expect(200);
        s.post("/api/users", &user).await.expect(201);
    })
    .await;
}

#[tokio::test]
async fn settings_of_the_database_change_nothing() {
    for level in ["serializable", "repeatable read"] {
        database(async |database| {
            let name = database.get_database().unwrap();
            let level = format!("default_transaction_isolation = '{level}'");
            // this session is older than the settings, so they limit the server alone
            let mut own = database.pool().acquire().await.unwrap();
            let mut change = async |change: &str| {
                let statement = format!("alter database {name} {change}");
                sqlx::query(AssertSqlSafe(statement)).execute(&mut *own).await.unwrap();
            };
            for setting in [
                &*level,
                "statement_timeout = '1ms'",
                "lock_timeout = '1ms'",
                "idle_session_timeout = '50ms'",
                "idle_in_transaction_session_timeout = '1ms'",
                "datestyle = 'SQL, DMY'",
                "intervalstyle = 'sql_standard'",
                "timezone = 'Pacific/Apia'",
                "extra_float_digits = -15",
                "bytea_output = 'escape'",
                "quote_all_identifiers = on",
            ] {
                change(&format!("set {setting}")).await;
            }
            pay_out(database).await;
            change("reset all").await;
        })
        .await;
    }
}

/// Makes payouts from end to end, many at the same time.
async fn pay_out(database: &Database) {
    let s = database.server().await;
    let creating = (0..32).map(|_| async { send(s.request(Method::POST, OUTPUTS).json(&documented_output())).await });
    for answer in within(futures_util::future::join_all(creating)).await {
        answer.expect(201);
    }
    s.advance(Duration::from_secs(1)).await;
    let asked = s.act("1010", "request_quote").await.expect(200);
    assert_eq!(asked["data"]["attributes"]["quote_requested_at"], "2019-11-25T12:53:03.741Z");
    s.tick().await;
    s.act("1010", "accept_quote").await.expect(200);
    s.tick().await;
    for _ in 0..3 {
        s.advance(Duration::from_secs(1)).await;
    }
    let finished = s.attributes_of("1010").await;
    assert_eq!((&finished["state"], &finished["outputs_settled"]), (&json!("finished"), &json!(32)));
    let settled = s.get("/_sandbox/events?filter[type]=concierge_request_output_settled&page[size]=100").await;
    assert_eq!(settled.expect(200)["data"].as_array().unwrap().len(), 32);
}

#[tokio::test]
async fn start_waits_for_the_database() {
    database(async |database| {
        let proxy = Proxy::open_to(database);
        proxy.close().await;
        let environment = [("DATABASE_URL", &*proxy.url(database)), ("SANDBOX_LISTEN", "127.0.0.1:0")];
        for arguments in [&["serve"], &["migrate"]] {
            let mut program = Program::run(arguments, &environment);
            let waiting = within(program.stderr.next()).await.unwrap();
            assert!(waiting.contains("waiting for the database") && waiting.contains("refused"), "{waiting}");
            proxy.open();
            let there = within(async {
                loop {
                    let line = program.stderr.next().await.unwrap();
                    if !line.contains("waiting for the database") {
                        return line;
                    }
                }
            });
            let there = there.await;
            assert!(there.contains("the database is there"), "{there}");
            if arguments == &["serve"] {
                program.ready().await;
                program.stop().await;
            } else {
                assert!(program.ended().await.status.success());
            }
            proxy.close().await;
        }
        // stopped while it waits
        let mut program = Program::run(&["serve"], &environment);
        within(program.stderr.next()).await.unwrap();
        program.signal(rustix::process::Signal::TERM);
        let ended = program.ended().await;
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ended.stderr.last().unwrap().contains("stopped by SIGTERM before it was ready"), "{ended:?}");
    })
    .await;
}

#[tokio::test]
async fn wrong_password_fails_at_once() {
    // stands for a server that demands a password, which the test cluster does not
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://me:secret@{}/x?sslmode=disable", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let length = stream.read_u32().await.unwrap();
        stream.read_exact(&mut vec![0; length as usize - 4]).await.unwrap();
        let mut fields = Vec::new();
        let sent = [
            "SFATAL",
            "VFATAL",
            "C28P01",
            "Mpassword authentication failed for user \"me\"",
            "Fauth.c",
            "L334",
            "Rauth_failed",
        ];
        for field in sent {
            fields.extend(field.bytes().chain([0]));
        }
        fields.push(0);
        stream.write_u8(b'E').await.unwrap();
        stream.write_u32(u32::try_from(fields.len()).unwrap() + 4).await.unwrap();
        stream.write_all(&fields).await.unwrap();
    });
    for arguments in [&["migrate"]] {
        let ended = Program::run(arguments, &[("DATABASE_URL", &url)]).ended().await;
        let [line] = &ended.stderr[..] else { panic!("{ended:?}") };
        assert!(line.contains("refuses the user me: password authentication failed"), "{line}");
        assert!(line.contains("DATABASE_URL") && !line.contains("334") && !line.contains("secret"), "{line}");
    }
}

#[tokio::test]
async fn log_of_an_outage_has_one_line_a_second_and_its_end() {
    database(async |database| {
        let proxy = Proxy::open_to(database);
        let environment = [("DATABASE_URL", &*proxy.url(database)), ("SANDBOX_LISTEN", "127.0.0.1:0")];
        let mut program = Program::run(&["serve"], &environment);
        program.ready().await;
        let client = client();
        let ask = || send(program.request(&client, Method::GET, "/api/users/me"));
        ask().await.expect(200);
        proxy.close().await;
        for _ in 0..2 {
            let asking = (0..20).map(|_| ask());
            for answer in within(futures_util::future::join_all(asking)).await {
                assert_eq!(answer.status, 503);
            }
        }
        proxy.open();
        within(async { while ask().await.status != 200 {} }).await;
        let mut instants = Vec::new();
        let mut end = String::new();
        while !end.contains("the database is back") {
            end = within(program.stderr.next()).await.unwrap();
            if end.contains("the database is unavailable") {
                let instant = end.split_whitespace().next().unwrap();
                instants.push(instant.parse::<jiff::Timestamp>().unwrap());
            }
        }
        assert!(!instants.is_empty());
        for pair in instants.windows(2) {
            assert!(pair[1].duration_since(pair[0]).as_millis() >= 990, "{instants:?}");
        }
        assert!(program.ended_by_stop().await.iter().all(|line| !line.contains("the database is")));
    })
    .await;
}
