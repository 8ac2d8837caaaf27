//! Links in events: those of the client that receives them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{FINISHED, SETTINGS, finish, get, links_of_event, listen_at, origin_of, send_to};
use crate::support::{Account, Receiver, database, sandbox, sandbox_with, send};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// Text that looks like the start of a link.
const LOOKALIKE: &str = r#""receipt_url":"http://127.0.0.1:1/receipts/"#;

/// Returns the received bodies of a type of event, as text.
fn bodies(receiver: &mut Receiver, event_type: &str) -> Vec<String> {
    let bodies = receiver.calls().into_iter().map(|call| String::from_utf8(call.body).unwrap());
    bodies.filter(|body| body.contains(&format!("\"event_type\":\"{event_type}\""))).collect()
}

fn attributes(body: &str) -> Value {
    serde_json::from_str::<Value>(body).unwrap()["included"][0]["attributes"].clone()
}

/// Sends the event of a type again, and returns the received bodies.
async fn redeliver(account: &Account, receiver: &mut Receiver, event_type: &str) -> Vec<String> {
    let page = account.get(&format!("/_sandbox/events?filter[type]={event_type}")).await.expect(200);
    let id = page["data"][0]["id"].as_str().unwrap();
    account.post(&format!("/_sandbox/events/{id}/redeliver"), &json!({})).await.expect(202);
    account.tell(Duration::ZERO).await;
    bodies(receiver, event_type)
}

async fn set_public_url(account: &Account, url: Value) {
    account.patch(SETTINGS, &json!({ "public_url": url })).await.expect(200);
}

#[tokio::test]
async fn event_and_api_show_a_client_the_same_links() {
    sandbox(async |s| {
        let mut receiver = Receiver::answering(OK).await;
        listen_at(s, "127.0.0.1:49153", &receiver.url()).await;
        let external_id = json!({"data": {"type": "concierge_requests", "id": "1010",
            "attributes": {"external_id": LOOKALIKE}}});
        s.patch("/api/concierge_requests/1010", &external_id).await.expect(200);
        finish(s).await;
        let shown = get(s, "/api/concierge_requests/1010", &[("Host", b"127.0.0.1:49153")]).await.expect(200);
        let shown = &shown["data"]["attributes"];
        assert_eq!(origin_of(&shown["receipt_url"], "/receipts/"), "http://127.0.0.1:49153");
        let calls = receiver.calls();
        for event_type in ["finished", "receipt_created", "credit_note_created"] {
            let event_type = format!("concierge_request_{event_type}");
            let sent = calls.iter().map(|call| String::from_utf8(call.body.clone()).unwrap());
            let sent: Vec<String> = sent.filter(|body| body.contains(&event_type)).collect();
            let [sent] = &sent[..] else { panic!("{event_type}: {sent:?}") };
            // the place of the asker does not matter: this is what the receiver got
            let event = links_of_event(s, "inner.test", &event_type).await;
            for attributes in [&attributes(sent), &event] {
                for name in ["receipt_url", "credit_note_url", "external_id"] {
                    assert_eq!(attributes[name], shown[name], "{name} of {event_type}");
                }
            }
            let id = sent.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap();
            let event = get(s, &format!("/_sandbox/events/{id}"), &[]).await.text;
            let resource = sent.split_once("\"included\":").unwrap().1;
            assert!(event.contains(resource.trim_end_matches('}')), "{event} has other bytes than {resource}");
        }
    })
    .await;
}

#[tokio::test]
async fn event_sent_again_has_new_links_only_after_a_change() {
    sandbox(async |s| {
        let mut receiver = Receiver::answering(OK).await;
        listen_at(s, "one.test", &receiver.url()).await;
        finish(s).await;
        let first = bodies(&mut receiver, FINISHED);
        assert_eq!(first.len(), 1);
        assert_eq!(redeliver(s, &mut receiver, FINISHED).await, first);
        let under = |origin: &str| first[0].replace("http://one.test/", &format!("{origin}/"));
        listen_at(s, "two.test", &receiver.url()).await;
        assert_eq!(redeliver(s, &mut receiver, FINISHED).await, [under("http://two.test")]);
        set_public_url(s, json!("https://three.test/a/")).await;
        assert_eq!(redeliver(s, &mut receiver, FINISHED).await, [under("https://three.test/a")]);
        set_public_url(s, Value::Null).await;
        assert_eq!(redeliver(s, &mut receiver, FINISHED).await, [under("http://two.test")]);
        // other changes of the user leave the origin, and a new URL brings its own
        let name = json!({"data": {"type": "users", "attributes": {"name": "x"}}});
        send_to(s, "four.test", Method::PATCH, "/api/users/me", &name).await.expect(200);
        assert_eq!(redeliver(s, &mut receiver, FINISHED).await, [under("http://two.test")]);
        let webhook = json!({"data": {"type": "webhooks", "attributes": {"url": receiver.url()}}});
        assert!(send_to(s, "five.test", Method::POST, "/api/webhooks", &webhook).await.status < 300);
        assert_eq!(redeliver(s, &mut receiver, FINISHED).await, [under("http://five.test")]);
    })
    .await;
}

#[tokio::test]
async fn event_without_a_receiver_is_shown_with_the_asker_s_links() {
    sandbox(async |s| {
        finish(s).await;
        let links = links_of_event(s, "asker.test", FINISHED).await;
        assert_eq!(origin_of(&links["receipt_url"], "/receipts/"), "http://asker.test");
        set_public_url(s, json!("https://own.test")).await;
        let links = links_of_event(s, "asker.test", FINISHED).await;
        assert_eq!(origin_of(&links["credit_note_url"], "/credit_notes/"), "https://own.test");
    })
    .await;
}

#[tokio::test]
async fn events_of_a_managed_user_have_the_links_of_its_own_address() {
    sandbox(async |s| {
        let (mut master, mut payee) = (Receiver::answering(OK).await, Receiver::answering(OK).await);
        listen_at(s, "master.test", &master.url()).await;
        let document = json!({"data": {"type": "users", "id": "20202", "attributes": {"webhook_url": payee.url()}}});
        send_to(s, "payee.test", Method::PATCH, "/api/users/20202", &document).await.expect(200);
        let trigger = json!({"event_type": FINISHED});
        for user in ["", "; user=20202"] {
            let request = s.client.post(s.url("/_sandbox/events/trigger")).header("Content-Type", "application/json");
            let request = request.header("Authorization", format!("{}{user}", s.key)).header("Host", "asker.test");
            let made = send(request.body(trigger.to_string())).await.expect(201);
            let expected = if user.is_empty() { "http://master.test" } else { "http://payee.test" };
            let attributes = &made["included"][0]["attributes"];
            assert_eq!(origin_of(&attributes["receipt_url"], "/receipts/"), expected);
        }
        s.tell(Duration::from_secs(1)).await;
        for (receiver, expected) in [(&mut master, "http://master.test"), (&mut payee, "http://payee.test")] {
            let sent = bodies(receiver, FINISHED);
            assert_eq!(sent.len(), 1);
            assert_eq!(origin_of(&attributes(&sent[0])["receipt_url"], "/receipts/"), expected);
        }
    })
    .await;
}

#[tokio::test]
async fn seeded_address_has_the_origin_of_the_seeding_call() {
    sandbox(async |s| {
        let mut receiver = Receiver::answering(OK).await;
        let seed = json!({"data": [{"type": "users", "id": "7", "attributes": {"webhook_url": receiver.url(),
            "compliance_state": "enabled"}}]});
        assert_eq!(send_to(s, "seeder.test", Method::POST, "/_sandbox/seed", &seed).await.status, 201);
        let request = s.client.post(s.url("/_sandbox/events/trigger")).header("Content-Type", "application/json");
        let request = request.header("Authorization", format!("{}; user=7", s.key));
        send(request.body(json!({"event_type": FINISHED}).to_string())).await.expect(201);
        s.tell(Duration::ZERO).await;
        let sent = bodies(&mut receiver, FINISHED);
        assert_eq!(origin_of(&attributes(&sent[0])["receipt_url"], "/receipts/"), "http://seeder.test");
    })
    .await;
}

#[tokio::test]
async fn unknown_origin_leaves_the_listening_address() {
    sandbox(async |s| {
        let mut receiver = Receiver::answering(OK).await;
        listen_at(s, "one.test", &receiver.url()).await;
        // as a seed file leaves it, and an address set before origins were kept
        s.sql("update users set webhook_origin = null").await;
        finish(s).await;
        let sent = bodies(&mut receiver, FINISHED);
        assert_eq!(origin_of(&attributes(&sent[0])["receipt_url"], "/receipts/"), s.url(""));
        let shown = links_of_event(s, "asker.test", FINISHED).await;
        assert_eq!(origin_of(&shown["receipt_url"], "/receipts/"), s.url(""));
        // an event recorded before the places of its links were kept is sent as it was recorded
        s.sql("update events set links = null").await;
        set_public_url(s, json!("https://own.test")).await;
        assert_eq!(redeliver(s, &mut receiver, FINISHED).await, sent);
    })
    .await;
}

#[tokio::test]
async fn public_url_of_the_server_leads_every_link() {
    sandbox_with(
        |config| config.public_url = Some("https://server.test/p".into()),
        async |s| {
            let mut receiver = Receiver::answering(OK).await;
            listen_at(s, "one.test", &receiver.url()).await;
            let made = s.post("/api/users", &json!({"data": {"type": "users"}})).await;
            let location = made.headers["location"].to_str().unwrap();
            assert!(location.starts_with("https://server.test/p/api/users/"), "{location}");
            finish(s).await;
            let sent = bodies(&mut receiver, FINISHED);
            let shown = s.attributes_of("1010").await;
            let event = links_of_event(s, "one.test", FINISHED).await;
            for attributes in [&attributes(&sent[0]), &shown, &event] {
                assert_eq!(origin_of(&attributes["receipt_url"], "/receipts/"), "https://server.test/p");
            }
            set_public_url(s, json!("https://own.test")).await;
            let again = redeliver(s, &mut receiver, FINISHED).await;
            assert_eq!(again, [sent[0].replace("https://server.test/p", "https://own.test")]);
        },
    )
    .await;
}

#[tokio::test]
async fn change_on_one_server_holds_for_every_other() {
    database(async |database| {
        let (one, other) = (database.server().await, database.server().await);
        let mut receiver = Receiver::answering(OK).await;
        listen_at(&one, "one.test", &receiver.url()).await;
        finish(&one).await;
        receiver.calls();
        one.clock.advance(Duration::from_secs(1));
        for url in [json!("https://a.test"), json!("https://b.test/x"), Value::Null] {
            set_public_url(&one, url.clone()).await;
            let origin = url.as_str().map_or_else(|| other.url(""), str::to_owned);
            let page = other.get("/api/users").await.expect(200);
            assert_eq!(origin_of(&page["links"]["self"], "/api/"), origin);
            let sent = redeliver(&other, &mut receiver, FINISHED).await;
            let expected = url.as_str().unwrap_or("http://one.test");
            assert_eq!(origin_of(&attributes(&sent[0])["receipt_url"], "/receipts/"), expected);
        }
    })
    .await;
}
