//! Transitions that a stored state does not allow: they change nothing and are reported.

use std::time::Duration;

use concierge_sandbox::clock::Clock;
use concierge_sandbox::concierge::fixtures::create_account;
use concierge_sandbox::concierge::impossible::{ImpossibleTransition, count};
use concierge_sandbox::concierge::requests::progress::{NotPossible, Progress};
use concierge_sandbox::concierge::requests::state::{State, Trigger};
use concierge_sandbox::database::is_unavailable;
use concierge_sandbox::events::Cause;
use concierge_sandbox::jsonapi::error::Errors;
use concierge_sandbox::metrics::Metrics;
use concierge_sandbox::server::Server;
use serde_json::json;
use sqlx::postgres::PgPool;
use time::OffsetDateTime;

use crate::support::{Account, client, database, documented_output, sandbox, settings, within};

const SECOND_KEY: &str = "second_key";

/// Builds a finished request that still counts open outputs.
fn finished() -> Progress {
    Progress {
        account_id: 3,
        id: 1010,
        user_id: 50505,
        port_code: "ar_ars".into(),
        state: State::Finished,
        state_since: Some(OffsetDateTime::UNIX_EPOCH),
        due_at: None,
        outputs_done_to: None,
        quote_requested_at: None,
        timetable: None,
        quote_accepted_at: None,
        cancellation_reason: None,
        total_to_spend: Some(100.into()),
        money_returned: 0.into(),
        held_prices: None,
        outputs_open: 2,
        cause: Cause::TIMER,
        told: Vec::new(),
    }
}

#[test]
fn finished_request_refuses_to_close_outputs() {
    for closed in [1, 2] {
        let mut progress = finished();
        let refused = progress.close_outputs(closed, &50.into(), OffsetDateTime::UNIX_EPOCH);
        assert_eq!(refused, Err(NotPossible { state: State::Finished, trigger: Trigger::Finish }));
        assert_eq!((progress.outputs_open, &progress.money_returned), (2, &0.into()));
        assert!(progress.told.is_empty());
    }
}

#[test]
fn impossible_transition_is_a_counted_internal_error() {
    let progress = finished();
    let impossible = NotPossible { state: progress.state, trigger: Trigger::Finish }.of(&progress);
    let expected =
        ImpossibleTransition { resource: "request", account_id: 3, id: 1010, state: "finished", trigger: "finish" };
    assert_eq!(impossible, expected);
    let text = "request 1010 of account 3 is finished; `finish` is impossible in this state";
    assert_eq!(impossible.to_string(), text);
    let error = sqlx::Error::from(impossible);
    assert_eq!(ImpossibleTransition::reported_by(&error), Some(&expected));
    assert!(error.to_string().contains(text), "{error}");
    assert!(!is_unavailable(&error));
    let metrics = Metrics::default();
    count(&error, &metrics);
    count(&sqlx::Error::RowNotFound, &metrics);
    count(&sqlx::Error::Decode("something else".into()), &metrics);
    assert_eq!(counted(&metrics.text(Duration::ZERO)), 1);
    assert_eq!(Errors::from(error).as_slice()[0].code.name, "internal");
}

/// Reads the number of impossible transitions from the text of the metrics.
fn counted(metrics: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix("concierge_sandbox_impossible_transitions_total "));
    line.unwrap_or_else(|| panic!("no counter in {metrics}")).parse().unwrap()
}

async fn counted_by(base: &str) -> u64 {
    let answer = client().get(format!("{base}/_sandbox/metrics")).send().await.unwrap();
    counted(&answer.text().await.unwrap())
}

/// Creates a working output of request 1010 with the label `sandbox:cancelled`.
/// Its next step cancels it, so its whole budget is refunded.
async fn output_to_refund(account: &Account) -> String {
    let instruction = json!({"data": {"type": "withdrawal_instructions",
        "attributes": {"label": "sandbox:cancelled", "body": {"bank": "x"}},
        "relationships": {"user": {"data": {"type": "users", "id": 20202}}}}});
    let instruction = account.create("/api/withdrawal_instructions", &instruction).await;
    let mut document = documented_output();
    document["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(instruction);
    let output = account.create("/api/concierge_request_outputs", &document).await;
    let simulation = format!("/_sandbox/simulations/concierge_request_outputs/{output}/transition");
    account.post(&simulation, &json!({"state": "working", "through": true})).await.expect(200);
    output
}

async fn request_state(account: &Account) -> String {
    account.attribute("/api/concierge_requests/1010", "state").await.as_str().unwrap().to_owned()
}

/// Sets the request of an account to `finished` while its output is still open.
async fn break_request(database: &PgPool, account: i64) {
    let sql =
        "update concierge_requests set state = 'finished', receipt_token = 'x' where account_id = $1 and id = 1010";
    assert_eq!(sqlx::query(sql).bind(account).execute(database).await.unwrap().rows_affected(), 1);
}

async fn repair_request(database: &PgPool, account: i64) {
    let sql =
        "update concierge_requests set state = 'working', receipt_token = null where account_id = $1 and id = 1010";
    assert_eq!(sqlx::query(sql).bind(account).execute(database).await.unwrap().rows_affected(), 1);
}

async fn wallets(database: &PgPool, account: i64) -> Vec<(i64, String, String)> {
    let sql = "select user_id, currency, balance::text from cash_wallets where account_id = $1 order by 1, 2";
    sqlx::query_as(sql).bind(account).fetch_all(database).await.unwrap()
}

#[tokio::test]
async fn call_with_impossible_transition_is_500_and_moves_no_money() {
    sandbox(async |s| {
        s.second_account(SECOND_KEY).await;
        let (broken, other) = (Account::of(&s.url(""), "your_api_key"), Account::of(&s.url(""), SECOND_KEY));
        let (output, other_output) = (output_to_refund(&broken).await, output_to_refund(&other).await);
        let row = broken.row(s.database()).await;
        break_request(s.database(), row).await;
        let before = wallets(s.database(), row).await;
        assert_eq!(counted_by(&s.url("")).await, 0);

        broken.post("/_sandbox/clock/advance", &json!({"by": "1s"})).await.assert_error(500, "internal", "");
        assert!(counted_by(&s.url("")).await > 0);
        assert_eq!(wallets(s.database(), row).await, before);
        assert_eq!(broken.state_of(&output).await, "working");
        assert_eq!(request_state(&broken).await, "finished");

        other.advance_by("1s").await;
        assert_eq!(other.state_of(&other_output).await, "cancelled");
        assert_eq!(request_state(&other).await, "finished");

        repair_request(s.database(), row).await;
        broken.advance_by("1s").await;
        assert_eq!(broken.state_of(&output).await, "cancelled");
        assert_eq!(request_state(&broken).await, "finished");
        assert_ne!(wallets(s.database(), row).await, before);
    })
    .await;
}

#[tokio::test]
async fn impossible_transition_stops_only_its_own_account() {
    database(async |own| {
        let database = own.pool();
        let mut config = settings();
        // no step is due before the test says so
        config.step_delay = Duration::from_hours(1);
        let server = Server::start_on(&config, Clock::machine(), (**own).clone()).await.unwrap();
        let base = format!("http://{}", server.address);
        let mut connection = database.acquire().await.unwrap();
        create_account(&mut connection, SECOND_KEY, &[(SECOND_KEY, "write")], Clock::machine().now()).await.unwrap();
        drop(connection);
        let (broken, other) = (Account::of(&base, "your_api_key"), Account::of(&base, SECOND_KEY));
        let (output, other_output) = (output_to_refund(&broken).await, output_to_refund(&other).await);
        let row = broken.row(database).await;
        break_request(database, row).await;
        let before = wallets(database, row).await;

        // both accounts are due at once, so that they share the batch that fails
        let due =
            "update concierge_request_outputs set due_at = date_trunc('milliseconds', now()) where state = 'working'";
        assert_eq!(sqlx::query(due).execute(database).await.unwrap().rows_affected(), 2);
        within(async { while request_state(&other).await != "finished" {} }).await;
        within(async { while counted_by(&base).await == 0 {} }).await;
        assert_eq!(other.state_of(&other_output).await, "cancelled");
        assert_eq!(broken.state_of(&output).await, "working");
        assert_eq!(request_state(&broken).await, "finished");
        assert_eq!(wallets(database, row).await, before);

        repair_request(database, row).await;
        within(async { while request_state(&broken).await != "finished" {} }).await;
        assert_eq!(broken.state_of(&output).await, "cancelled");
        assert_ne!(wallets(database, row).await, before);
        server.stop().await;
    })
    .await;
}
