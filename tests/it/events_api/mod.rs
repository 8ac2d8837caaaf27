//! Events under `/_sandbox/events`: reading, redelivery, recovery, and triggers.

mod concurrency;
mod reading;
mod recovering;
mod redelivering;
mod triggering;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::support::{Account, Answer, Receiver, START, documented_output, send};

const PATH: &str = "/_sandbox/events";
const OUTPUT: &str = "concierge_request_outputs/32323";

/// A time after everything that a test waits for.
const FAR: &str = "2100-01-01T00:00:00Z";

/// Makes a payout, from its draft to its receipt, with one failed try.
/// No user has a `webhook_url`.
async fn payout(account: &Account) {
    let instruction = json!({"data": {"type": "withdrawal_instructions",
        "attributes": {"label": "sandbox:failed|settled", "body": {"a": 1}},
        "relationships": {"user": {"data": {"type": "users", "id": "20202"}}}}});
    let instruction = account.create("/api/withdrawal_instructions", &instruction).await;
    let mut output = documented_output();
    output["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(instruction);
    assert_eq!(account.create("/api/concierge_request_outputs", &output).await, "32323");
    account.advance(Duration::from_secs(1)).await;
    account.act("1010", "request_quote").await.expect(200);
    account.tick().await;
    account.act("1010", "accept_quote").await.expect(200);
    for _ in 0..10 {
        account.advance(Duration::from_secs(1)).await;
    }
    assert_eq!(account.attributes_of("1010").await["state"], "finished");
}

/// Returns the ids of the events that a query finds, in the order of the list.
async fn ids(account: &Account, query: &str) -> Vec<i64> {
    let page = account.get(&format!("{PATH}?page[size]=1000&{query}")).await.expect(200);
    let events = page["data"].as_array().unwrap();
    assert_eq!(page["meta"]["total"], events.len(), "{query}");
    events.iter().map(|event| event["id"].as_str().unwrap().parse().unwrap()).collect()
}

/// Returns an event's attributes.
async fn shown(account: &Account, id: i64) -> Value {
    account.get(&format!("{PATH}/{id}")).await.expect(200)["data"]["attributes"].clone()
}

async fn redeliver(account: &Account, id: i64) -> Answer {
    send(account.request(Method::POST, &format!("{PATH}/{id}/redeliver"))).await
}

/// Posts a plain JSON body.
async fn post(account: &Account, path: &str, body: &Value) -> Answer {
    let request = account.request(Method::POST, &format!("{PATH}/{path}")).header("Content-Type", "application/json");
    send(request.body(body.to_string())).await
}

async fn with_key(account: &Account, key: &str, method: Method, path: &str) -> Answer {
    send(account.client.request(method, account.url(path)).header("Authorization", key)).await
}

/// Sets the `webhook_url` of [`MASTER`] or [`PAYEE`].
async fn set_url(account: &Account, user_suffix: &str, url: Option<&str>) {
    let document = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": url}}});
    let request = account
        .client
        .patch(account.url("/api/users/me"))
        .header("Authorization", format!("{}{user_suffix}", account.key));
    send(request.header("Content-Type", "application/json").body(document.to_string())).await.expect(200);
}

/// The suffix of an account's key, for the acting user.
const MASTER: &str = "";
const PAYEE: &str = "; user=20202";

/// A receiver that never answers, so that its deliveries keep their state.
struct Silent {
    receiver: Receiver,
    // its calls end when this is dropped
    _open: watch::Sender<()>,
}

impl Silent {
    async fn start() -> Self {
        let (open, closed) = watch::channel(());
        let receiver = Receiver::scripted(move |stream| {
            let mut closed = closed.clone();
            async move {
                closed.changed().await.ok();
                drop(stream);
            }
        });
        Self { receiver: receiver.await, _open: open }
    }

    fn url(&self) -> String {
        self.receiver.url()
    }
}

fn start() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(START).unwrap()
}

/// Puts the delivery of an event to the master user into a state, as a dispatcher would leave it.
/// `due` is far in the future.
async fn put(account: &Account, event: i64, state: &str) {
    let sql = "insert into deliveries (
            account_id, event_id, receiver_id, resource_type, resource_id, state, due_at, sent_at, ended_at, tries, attempts
        )
        select account_id, id, 50505, resource_type, resource_id, $2, case when $2 = 'due' then $3::timestamptz end,
            case when $2 <> 'waiting' then $4 end, case when $2 in ('delivered', 'given_up') then $4 end,
            case when $2 <> 'waiting' then 2 else 0 end, case when $2 <> 'waiting' then 2 else 0 end
        from events where id = $1";
    let put = sqlx::query(sql).bind(event).bind(state).bind(sql_time(FAR)).bind(start());
    assert_eq!(put.execute(account.database()).await.unwrap().rows_affected(), 1);
    let sql = "insert into delivery_attempts
            (account_id, event_id, number, at, status, error, duration, response, next_at)
        select account_id, event_id, number, $2, case when number = 2 then 503 end,
            case when number = 1 then 'connection refused' when state <> 'delivered' then 'answered 503' end,
            number * 10, case when number = 2 then 'busy' else '' end, case when number = 1 then $2 end
        from deliveries, generate_series(1, attempts) as number where event_id = $1";
    sqlx::query(sql).bind(event).bind(start()).execute(account.database()).await.unwrap();
}

fn sql_time(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap()
}

/// Returns how an event is queued: state, tries since then, attempts ever, receiver, and due time.
async fn queued(account: &Account, event: i64) -> Option<(String, i32, i32, i64, Option<OffsetDateTime>)> {
    let sql = "select state, tries, attempts, receiver_id, due_at from deliveries where event_id = $1";
    let row = sqlx::query(sql).bind(event).fetch_optional(account.database()).await.unwrap();
    row.map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4)))
}

/// Returns the delivery state of an event.
async fn state(account: &Account, event: i64) -> String {
    shown(account, event).await["delivery_state"].as_str().unwrap().to_owned()
}
