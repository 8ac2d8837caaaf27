//! Events, as receivers get them.

mod envelope;
mod isolation;
mod ladder;
mod order;
mod receivers;
mod sharing;

use serde_json::{Value, json};
use sqlx::Row;

use crate::support::{Call, Receiver, Sandbox};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const DOWN: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\ndown";

/// Sets the `webhook_url` of the master user.
async fn listen(sandbox: &Sandbox, url: &str) {
    let document = json!({"data": {"type": "users", "attributes": {"webhook_url": url}}});
    sandbox.patch("/api/users/me", &document).await.expect(200);
}

/// A world whose events go to a receiver that gives that answer.
async fn told(answer: &str) -> (Sandbox, Receiver) {
    let (sandbox, receiver) = (Sandbox::start().await, Receiver::answering(answer).await);
    listen(&sandbox, &receiver.url()).await;
    (sandbox, receiver)
}

/// The body of a call.
fn body(call: &Call) -> Value {
    serde_json::from_slice(&call.body).unwrap()
}

/// The id of a call's event.
fn id(call: &Call) -> String {
    body(call)["data"]["id"].as_str().unwrap().to_owned()
}

/// The event types of calls, in their order.
fn types(calls: &[Call]) -> Vec<String> {
    let of = |call| body(call)["data"]["attributes"]["event_type"].as_str().unwrap().to_owned();
    calls.iter().map(of).collect()
}

/// The calls about one resource.
fn about(calls: &[Call], type_name: &str, id: &str) -> Vec<Call> {
    let resource = json!({"type": type_name, "id": id});
    calls.iter().filter(|call| body(call)["data"]["relationships"]["resource"]["data"] == resource).cloned().collect()
}

/// An attempt as it was written down, its times in milliseconds after the start of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Attempt {
    at: i64,
    status: Option<i16>,
    error: Option<String>,
    response: String,
    next_at: Option<i64>,
}

/// The attempts at sending an event.
async fn attempts(sandbox: &Sandbox, event: &str) -> Vec<Attempt> {
    let sql = "select (extract(epoch from at - '2019-11-25T12:53:02.741Z') * 1000)::bigint, status, error, response,
            (extract(epoch from next_at - '2019-11-25T12:53:02.741Z') * 1000)::bigint
        from delivery_attempts where event_id = $1 order by number";
    let rows = sqlx::query(sql).bind(event.parse::<i64>().unwrap()).fetch_all(&sandbox.database).await.unwrap();
    let read = |row: &sqlx::postgres::PgRow| Attempt {
        at: row.get(0),
        status: row.get(1),
        error: row.get(2),
        response: row.get(3),
        next_at: row.get(4),
    };
    rows.iter().map(read).collect()
}
