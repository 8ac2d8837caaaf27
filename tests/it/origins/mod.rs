//! The origin of links: where they lead, and whose word counts.

mod addresses;
mod events;
mod proxies;
mod public_urls;

use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use crate::support::{Account, Answer, documented_output, send};

const REQUESTS: &str = "/api/concierge_requests";
const FINISHED: &str = "concierge_request_finished";
const SETTINGS: &str = "/_sandbox/settings";

/// Sends a GET with further headers.
async fn get(account: &Account, path: &str, headers: &[(&'static str, &[u8])]) -> Answer {
    let request = headers.iter().fold(account.request(Method::GET, path), |request, (name, value)| {
        request.header(*name, HeaderValue::from_bytes(value).unwrap())
    });
    send(request).await
}

/// Returns the origin of the first link of a collection, for a request with these headers.
async fn origin(account: &Account, headers: &[(&'static str, &str)]) -> String {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let page = get(account, REQUESTS, &headers).await.expect(200);
    origin_of(&page["links"]["self"], "/api/")
}

/// Returns the part of a link before its path.
#[track_caller]
fn origin_of(link: &Value, path: &str) -> String {
    let link = link.as_str().unwrap_or_else(|| panic!("no link: {link}"));
    link.split_once(path).unwrap_or_else(|| panic!("{link} has no {path}")).0.to_owned()
}

/// Sends a body to a host.
async fn send_to(account: &Account, host: &str, method: Method, path: &str, body: &Value) -> Answer {
    let request = account.request(method, path).header("Host", host).header("Content-Type", "application/json");
    send(request.body(body.to_string())).await
}

/// Sets the `webhook_url` of the acting user by a call to a host.
async fn listen_at(account: &Account, host: &str, url: &str) {
    let document = json!({"data": {"type": "users", "attributes": {"webhook_url": url}}});
    send_to(account, host, Method::PATCH, "/api/users/me", &document).await.expect(200);
}

/// Returns the attributes of the resource in the event of a type, as a call to a host sees them.
async fn links_of_event(account: &Account, host: &str, event_type: &str) -> Value {
    let page = account.get(&format!("/_sandbox/events?filter[type]={event_type}")).await.expect(200);
    let id = page["data"][0]["id"].as_str().unwrap_or_else(|| panic!("no {event_type}: {page}"));
    let event = get(account, &format!("/_sandbox/events/{id}"), &[("Host", host.as_bytes())]).await.expect(200);
    event["included"][0]["attributes"].clone()
}

/// Finishes request 1010 with one settled and one returned output.
async fn finish(account: &Account) {
    for amount in [1000, 2000] {
        let mut output = documented_output();
        output["data"]["attributes"]["amount"] = json!(amount);
        account.create("/api/concierge_request_outputs", &output).await;
    }
    for (resource, state) in [
        ("concierge_requests/1010", "working"),
        ("concierge_request_outputs/32323", "settled"),
        ("concierge_request_outputs/32324", "returned"),
    ] {
        let path = format!("/_sandbox/simulations/{resource}/transition");
        account.post(&path, &json!({"state": state, "through": true})).await.expect(200);
    }
    account.tell(Duration::ZERO).await;
}
