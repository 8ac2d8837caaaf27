//! Advice: breaches of the contract by a client are reported; permitted use is not.

mod creates;
mod members;
mod test_values;

use std::collections::BTreeMap;
use std::time::Duration;

use concierge_sandbox::sandbox::advice::AdviceKind;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Account, Answer, Receiver, account, documented_output, sandbox, sandbox_with, send};

const PATH: &str = "/_sandbox/advice";
const OUTPUTS: &str = "/api/concierge_request_outputs";

/// Reads all advice, by code.
async fn advice(account: &Account) -> BTreeMap<String, Value> {
    let answer = account.get(PATH).await.expect(200);
    let pieces = answer["data"].as_array().unwrap().iter();
    let by_code: BTreeMap<String, Value> =
        pieces.map(|piece| (piece["code"].as_str().unwrap().to_owned(), piece.clone())).collect();
    for (code, piece) in &by_code {
        assert!(AdviceKind::ALL.iter().any(|kind| kind.code() == code && kind.title() == piece["title"]), "{piece}");
        assert!(piece["detail"].as_str().unwrap().ends_with('.'), "{piece}");
    }
    by_code
}

/// Counts the occurrences of each code.
async fn counts(account: &Account) -> Vec<(String, u64)> {
    advice(account).await.into_iter().map(|(code, piece)| (code, piece["count"].as_u64().unwrap())).collect()
}

fn expected(counts: &[(&str, u64)]) -> Vec<(String, u64)> {
    counts.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect()
}

fn id(answer: &Answer) -> &str {
    answer.headers["x-request-id"].to_str().unwrap()
}

/// Lets a second pass, so that the next request stays below the rate limit.
async fn pause(account: &Account) {
    account.advance(Duration::from_secs(1)).await;
}

async fn listen(account: &Account, url: &str) {
    let document = json!({"data": {"type": "users", "attributes": {"webhook_url": url}}});
    account.patch("/api/users/me", &document).await.expect(200);
}

#[tokio::test]
async fn correct_client_gets_no_advice() {
    sandbox(async |s| {
        assert_eq!(s.get(PATH).await.expect(200)["data"], json!([]));
        for _ in 0..4 {
            s.create_output().await;
            pause(s).await;
            // permitted: a trailing slash, no Version, an action without body, errors
            s.get("/api/users/").await.expect(200);
            s.act("1010", "accept_quote").await.assert_error(409, "action_not_possible", "");
            s.get("/api/users/7").await;
            s.post_text(OUTPUTS, "{").await;
            pause(s).await;
        }
        assert_eq!(counts(s).await, []);
    })
    .await;
}

#[tokio::test]
async fn missing_or_wrong_content_type_gives_advice() {
    sandbox(async |s| {
        let post = || s.request(Method::POST, OUTPUTS).body(documented_output().to_string());
        send(post()).await.assert_error(415, "media_type_unsupported", "Content-Type");
        pause(s).await;
        let missing = send(post()).await;
        let other = send(post().header("Content-Type", "text/plain")).await;
        let found = advice(s).await;
        let piece = &found["content_type_missing"];
        assert_eq!(piece["count"], 2);
        assert_eq!(
            (&piece["first_at"], &piece["last_at"]),
            (&json!("2019-11-25T12:53:02.741Z"), &json!("2019-11-25T12:53:03.741Z"))
        );
        assert_eq!((&piece["request_id"], &piece["event_id"]), (&json!(id(&missing)), &Value::Null));
        assert!(piece["detail"].as_str().unwrap().starts_with("Seen 2 times: a body without"), "{piece}");
        let piece = &found["content_type_unsupported"];
        assert_eq!((&piece["count"], &piece["request_id"]), (&json!(1), &json!(id(&other))));
        assert!(piece["detail"].as_str().unwrap().starts_with("Seen once: "), "{piece}");
        assert_eq!(found.len(), 2);
        // the log has the request of the advice
        s.get(&format!("/_sandbox/requests/{}", id(&other))).await.expect(200);
        // an injected 415 gives no advice
        send(post().header("Prefer", "code=415")).await.assert_error(415, "fault_injected", "");
        assert_eq!(counts(s).await, expected(&[("content_type_missing", 2), ("content_type_unsupported", 1)]));
    })
    .await;
}

#[tokio::test]
async fn sixth_request_within_a_second_gives_advice() {
    sandbox(async |s| {
        let ask = || s.get("/api/cash_wallets");
        for _ in 0..5 {
            ask().await.expect(200);
        }
        // each key is counted separately
        let request = s.client.get(s.url("/api/users")).header("Authorization", "your_read_only_api_key");
        send(request).await.expect(200);
        assert_eq!(counts(s).await, []);
        s.advance(Duration::from_millis(999)).await;
        ask().await.expect(200);
        assert_eq!(counts(s).await, expected(&[("rate_exceeded", 1)]));
        // five requests a second are permitted
        pause(s).await;
        for _ in 0..20 {
            s.advance(Duration::from_millis(200)).await;
            ask().await.expect(200);
        }
        assert_eq!(counts(s).await, expected(&[("rate_exceeded", 1)]));
        for _ in 0..3 {
            ask().await.expect(200);
        }
        assert_eq!(counts(s).await, expected(&[("rate_exceeded", 4)]));
    })
    .await;
}

#[tokio::test]
async fn request_before_retry_after_ends_gives_advice() {
    sandbox(async |s| {
        let fault = json!({"data": [{"path": "/api/users", "status": 429, "retry_after": 3, "times": 2}]});
        let put = s.request(Method::PUT, "/_sandbox/faults").header("Content-Type", "application/json");
        send(put.body(fault.to_string())).await.expect(200);
        s.get("/api/users").await.assert_error(429, "fault_injected", "");
        assert_eq!(counts(s).await, []);
        s.advance(Duration::from_millis(2999)).await;
        let early = s.get("/api/users").await;
        early.assert_error(429, "fault_injected", "");
        // another key needn't wait
        let request = s.client.get(s.url("/api/users")).header("Authorization", "your_read_only_api_key");
        send(request).await.expect(200);
        let found = advice(s).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found["retry_after_ignored"]["request_id"], id(&early));
        s.advance(Duration::from_secs(3)).await;
        s.get("/api/users").await.expect(200);
        assert_eq!(counts(s).await, expected(&[("retry_after_ignored", 1)]));
    })
    .await;
}

#[tokio::test]
async fn requests_beyond_the_server_limit_give_advice() {
    sandbox_with(
        |config| config.rate_limit = Some(1),
        async |s| {
            let mut refused = 0;
            for _ in 0..10 {
                let wallets = s.client.get(s.url("/api/cash_wallets"));
                refused += u64::from(send(wallets.header("Authorization", "your_api_key")).await.status == 429);
            }
            assert!(refused > 0);
            let request = s.client.get(s.url(PATH)).header("Authorization", "your_read_only_api_key");
            let found = send(request).await.expect(200);
            let codes: Vec<&str> =
                found["data"].as_array().unwrap().iter().map(|piece| piece["code"].as_str().unwrap()).collect();
            assert_eq!(codes, ["rate_exceeded", "retry_after_ignored"]);
        },
    )
    .await;
}

#[tokio::test]
async fn polling_and_a_missing_webhook_url_give_advice() {
    sandbox(async |s| {
        s.create_output().await;
        let poll = async |path: &str, times: usize| {
            for _ in 0..times {
                pause(s).await;
                s.get(path).await;
            }
        };
        let shown = format!("{OUTPUTS}/32323");
        poll(&shown, 10).await;
        // not polling: another query, no changing state, or no such resource
        poll(&format!("{shown}?include="), 5).await;
        poll("/api/cash_wallets", 11).await;
        poll("/api/users/7", 11).await;
        assert_eq!(counts(s).await, []);
        poll(&shown, 1).await;
        assert_eq!(counts(s).await, expected(&[("polling", 1), ("webhook_url_missing", 1)]));
        listen(s, "http://127.0.0.1:9/").await;
        assert_eq!(counts(s).await, expected(&[("polling", 1)]));
        // the count starts over after a minute
        s.advance(Duration::from_mins(1)).await;
        poll(&shown, 10).await;
        assert_eq!(counts(s).await, expected(&[("polling", 1)]));
        poll(&shown, 2).await;
        assert_eq!(counts(s).await, expected(&[("polling", 3)]));
    })
    .await;
}

#[tokio::test]
async fn scheme_before_the_key_gives_advice() {
    sandbox(async |s| {
        let with = |value: &'static str| -> RequestBuilder {
            s.client.get(s.url("/api/users")).header("Authorization", value)
        };
        for value in ["Bearer your_api_key", "bearer  your_api_key ; user=1", "Token your_read_only_api_key"] {
            send(with(value)).await.assert_error(401, "invalid_api_key", "Authorization");
        }
        for value in ["Bearer nope", "Bearer", "Bearer ", "Bearer your_api_key x"] {
            send(with(value)).await.assert_error(401, "invalid_api_key", "Authorization");
        }
        assert_eq!(counts(s).await, expected(&[("authorization_scheme", 3)]));
    })
    .await;
}

#[tokio::test]
async fn webhook_answer_other_than_200_or_slow_gives_advice() {
    for (answer, is_advised) in [("200 OK", false), ("204 No Content", true), ("302 Found", true), ("500 Oops", false)]
    {
        account(async |s| {
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
            let receiver = Receiver::answering(answer.clone()).await;
            listen(s, &receiver.url()).await;
            s.create_output().await;
            s.tell(Duration::ZERO).await;
            let found = advice(s).await;
            assert_eq!(found.contains_key("webhook_answer_not_200"), is_advised, "{answer}");
            assert_eq!(found.len(), usize::from(is_advised), "{answer}");
            if let Some(piece) = found.get("webhook_answer_not_200") {
                assert_eq!((&piece["count"], &piece["event_id"]), (&json!(1), &json!("1")));
                assert_eq!(
                    (&piece["request_id"], &piece["first_at"]),
                    (&Value::Null, &json!("2019-11-25T12:53:02.741Z"))
                );
            }
            s.sql("update delivery_attempts set duration = 5000").await;
            assert!(!advice(s).await.contains_key("webhook_slow"));
            s.sql("update delivery_attempts set duration = 5001").await;
            assert_eq!(advice(s).await["webhook_slow"]["count"], 1);
        })
        .await;
    }
}

#[tokio::test]
async fn advice_is_separate_for_each_account() {
    sandbox(async |s| {
        s.second_account("another_key").await;
        let with_key = |key: &'static str, path: &str| send(s.client.get(s.url(path)).header("Authorization", key));
        for _ in 0..8 {
            with_key("another_key", "/api/cash_wallets").await.expect(200);
        }
        assert_eq!(counts(s).await, []);
        let other = with_key("another_key", PATH).await.expect(200);
        assert_eq!((&other["data"][0]["code"], &other["data"][0]["count"]), (&json!("rate_exceeded"), &json!(3)));
        with_key("your_read_only_api_key", PATH).await.expect(200);
        with_key("nope", PATH).await.assert_error(401, "invalid_api_key", "Authorization");
        s.get(&format!("{PATH}?filter[code]=polling")).await.assert_error(400, "filter_unknown", "filter[code]");
        // deleting the log deletes the advice
        let forget = s.client.delete(s.url("/_sandbox/requests")).header("Authorization", "another_key");
        send(forget).await.expect(204);
        assert_eq!(with_key("another_key", PATH).await.expect(200)["data"], json!([]));
    })
    .await;
}
