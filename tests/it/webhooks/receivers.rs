//! The choice of a receiver for each event.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{DOWN, OK, about, attempts, listen, types};
use crate::payouts::{draft, pay, thousand};
use crate::support::{Account, Receiver, account, client, program, sandbox, send, within};

/// Sends a request as the user 20202.
async fn as_payee(account: &Account, method: Method, path: &str, document: &Value) -> Value {
    let key = format!("{}; user=20202", account.key);
    let request = account.client.request(method, account.url(path)).header("Authorization", key);
    let answer = send(request.header("Content-Type", "application/json").body(document.to_string())).await;
    assert!((200..300).contains(&answer.status), "{answer:?}");
    answer.body
}

fn url(url: Option<&str>) -> Value {
    json!({"data": {"type": "users", "attributes": {"webhook_url": url}}})
}

#[tokio::test]
async fn event_goes_to_the_maker_s_url_or_the_master_s() {
    account(async |s| {
        let (mut master, mut payee) = (Receiver::answering(OK).await, Receiver::answering(OK).await);
        listen(s, &master.url()).await;
        as_payee(s, Method::PATCH, "/api/users/me", &url(Some(&payee.url()))).await;
        // made by the master user for the payee
        let ours = draft(s, "ar_ars").await;
        pay(s, &ours, "", thousand()).await;
        // made by the payee
        let request = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}});
        let theirs = as_payee(s, Method::POST, "/api/concierge_requests", &request).await;
        let theirs = theirs["data"]["id"].as_str().unwrap();
        let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {}}}});
        as_payee(s, Method::POST, "/api/withdrawal_instructions", &instruction).await;
        let user = json!({"data": {"type": "users"}});
        as_payee(s, Method::POST, "/api/users", &user).await;
        let mut output = crate::support::documented_output();
        output["data"]["relationships"]["request"]["data"]["id"] = json!(theirs);
        as_payee(s, Method::POST, "/api/concierge_request_outputs", &output).await;
        // later actions of the master still concern the payee's resources
        s.act(theirs, "cancel").await.expect(200);
        s.tell(Duration::from_secs(1)).await;

        let (master, payee) = (master.calls(), payee.calls());
        assert_eq!(
            types(&about(&master, "concierge_request_outputs", "32323")),
            ["concierge_request_output_accepting", "concierge_request_output_accepted"]
        );
        assert_eq!(
            types(&about(&payee, "concierge_request_outputs", "32324")),
            ["concierge_request_output_accepting", "concierge_request_output_cancelled"]
        );
        let expected = ["concierge_request_draft", "concierge_request_cancelled"];
        assert_eq!(types(&about(&payee, "concierge_requests", theirs)), expected);
        assert_eq!((master.len(), payee.len()), (4, 6), "{:?} {:?}", types(&master), types(&payee));
        assert!(types(&payee).contains(&"user_enabled".to_owned()));
        assert!(types(&payee).contains(&"withdrawal_instruction_created".to_owned()));

        // without a URL of the payee, the master's again
        as_payee(s, Method::PATCH, "/api/users/me", &url(None)).await;
        as_payee(s, Method::POST, "/api/users", &user).await;
    })
    .await;
}

#[tokio::test]
async fn events_before_the_url_was_set_are_not_sent() {
    account(async |s| {
        s.create_output().await;
        s.tell(Duration::ZERO).await;
        let mut receiver = Receiver::answering(OK).await;
        listen(s, &receiver.url()).await;
        s.tell(Duration::from_secs(1)).await;
        assert_eq!(types(&receiver.calls()), ["concierge_request_output_accepted"]);
    })
    .await;
}

#[tokio::test]
async fn retry_goes_to_the_current_url() {
    account(async |s| {
        let (mut broken, mut repaired) = (Receiver::answering(DOWN).await, Receiver::answering(OK).await);
        listen(s, &broken.url()).await;
        s.create_output().await;
        s.tell(Duration::ZERO).await;
        assert_eq!(broken.calls().len(), 1);
        s.patch("/api/users/me", &url(None)).await.expect(200);
        s.tell(Duration::from_secs(10)).await;
        let made = attempts(s, "1").await;
        assert_eq!((made.len(), made[1].status), (2, None));
        assert_eq!(made[1].error.as_deref(), Some("`webhook_url` is no longer set"));
        listen(s, &repaired.url()).await;
        s.tell(Duration::from_mins(6)).await;
        // the event in between had no receiver
        assert_eq!(types(&repaired.calls()), ["concierge_request_output_accepting"]);
        assert_eq!(broken.calls(), []);
    })
    .await;
}

#[tokio::test]
async fn each_account_gets_its_events_with_its_key() {
    sandbox(async |s| {
        s.second_account("another").await;
        let (mut ours, mut theirs) = (Receiver::answering(OK).await, Receiver::answering(OK).await);
        listen(s, &ours.url()).await;
        let request = |method, path: &str, document: &Value| {
            let request = s.client.request(method, s.url(path)).header("Authorization", "another");
            send(request.header("Content-Type", "application/json").body(document.to_string()))
        };
        request(Method::PATCH, "/api/users/me", &url(Some(&theirs.url()))).await.expect(200);
        s.create_output().await;
        request(Method::POST, "/api/concierge_request_outputs", &crate::support::documented_output()).await.expect(201);
        s.tell(Duration::from_secs(1)).await;
        let (ours, theirs) = (ours.calls(), theirs.calls());
        assert_eq!((ours.len(), theirs.len()), (2, 2));
        assert_eq!(ours[0].body, theirs[0].body, "the same ids in each account");
        assert_ne!(ours[0].header("webhook-auth"), theirs[0].header("webhook-auth"));
    })
    .await;
}

#[tokio::test]
async fn events_of_a_removed_url_go_to_the_master_s() {
    sandbox(async |s| {
        let mut broken = Receiver::answering(DOWN).await;
        as_payee(s, Method::PATCH, "/api/users/me", &url(Some(&broken.url()))).await;
        let request = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}});
        let request = as_payee(s, Method::POST, "/api/concierge_requests", &request).await;
        let request = request["data"]["id"].as_str().unwrap();
        pay(s, request, "", thousand()).await;
        s.act(request, "request_quote").await.expect(200);
        s.tell(Duration::ZERO).await;
        assert_eq!(types(&broken.calls()), ["concierge_request_draft"]);
        let mut master = Receiver::answering(OK).await;
        listen(s, &master.url()).await;
        as_payee(s, Method::PATCH, "/api/users/me", &url(None)).await;
        let recover = s.request(Method::POST, "/_sandbox/events/recover");
        send(recover).await.expect(200);
        within(s.server().wait_until_delivered()).await;
        let expected = ["draft", "quote_requested", "quoted"].map(|state| format!("concierge_request_{state}"));
        assert_eq!(types(&about(&master.calls(), "concierge_requests", request)), expected);
    })
    .await;
}

#[tokio::test]
async fn attempt_shows_the_call() {
    account(async |s| {
        let mut receiver = Receiver::answering(DOWN).await;
        let url = format!("{}?token=1", receiver.url());
        listen(s, &url).await;
        draft(s, "ar_ars").await;
        s.tell(Duration::from_mins(1)).await;
        let calls = receiver.calls();
        let event = s.get("/_sandbox/events/1").await.expect(200);
        let attempts = event["data"]["attributes"]["attempts"].as_array().unwrap();
        assert_eq!((attempts.len(), calls.len()), (2, 2));
        for (attempt, call) in attempts.iter().zip(&calls) {
            assert_eq!(attempt["url"], url);
            let sent: BTreeMap<String, String> = call.headers.iter().cloned().collect();
            assert_eq!(attempt["headers"], json!(sent));
            assert!(sent.contains_key("webhook-auth") && sent.contains_key("webhook-signature"), "{sent:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn log_names_the_failing_receiver_without_secrets() {
    program(&[], async |server| {
        let receiver = Receiver::answering(DOWN).await;
        let client = client();
        let url = format!("{}/path?token=hidden", receiver.url());
        send(server.request(&client, Method::PATCH, "/api/users/me").json(&self::url(Some(&url)))).await.expect(200);
        let mut server = server;
        let output = server.create_output().await;
        let line = loop {
            let line = within(server.stderr.next()).await.unwrap();
            if line.contains("was not received") {
                break line;
            }
        };
        let account = server.get("/_sandbox/accounts/me").await["id"].as_str().unwrap().to_owned();
        for words in [
            format!("account=\"{account}\""),
            "event=1".to_owned(),
            "event_type=\"concierge_request_output_accepting\"".to_owned(),
            format!("resource=concierge_request_outputs/{output}"),
            format!("host=\"127.0.0.1:{}\"", receiver.port),
            "path=\"/hook/path\"".to_owned(),
            "attempt=1".to_owned(),
            "error=answered 500".to_owned(),
        ] {
            assert!(line.contains(&words), "{words}: {line}");
        }
        let log = server.ended_by_stop().await.join("\n") + &line;
        assert!(!log.contains("hidden"), "{log}");
    })
    .await;
}
