//! One attempt at calling a receiver, against receivers that do what real ones do, and worse.

mod answers;
mod names;
mod secure;
mod silence;

use std::sync::Arc;
use std::time::Duration;

use concierge_sandbox::config::Config;
use concierge_sandbox::events::address::AddressRules;
use concierge_sandbox::webhooks::client::{AttemptOutcome, WebhookClient, WebhookRequest};
use reqwest::header::{HeaderMap, HeaderValue};

use crate::support::{settings, within};

/// Long enough for any answer that comes at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// A sender with the default settings, and with what a test changes.
fn sender(change: impl FnOnce(&mut Config)) -> WebhookClient {
    let mut config = settings();
    config.webhook_timeout = PATIENCE;
    change(&mut config);
    WebhookClient::new(config.address_rules(), config.webhook_timeout).unwrap()
}

/// An event to a URL, with a secret header and a secret body.
fn event(url: impl Into<String>) -> WebhookRequest {
    let mut headers = HeaderMap::new();
    headers.insert("webhook-auth", HeaderValue::from_static("secret-hash"));
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    WebhookRequest { url: url.into(), headers, body: r#"{"data":"secret-ñ"}"#.into() }
}

/// What becomes of one attempt at a URL.
async fn attempt(url: impl Into<String>) -> AttemptOutcome {
    within(sender(|_| {}).attempt(&event(url))).await
}

/// The error of an attempt that got no answer at all.
#[track_caller]
fn unanswered(outcome: &AttemptOutcome) -> &str {
    assert_eq!((outcome.status, outcome.body.as_str(), outcome.retry_after), (None, "", None), "{outcome:?}");
    assert!(!outcome.is_received());
    outcome.error.as_deref().unwrap()
}

/// A resolver that knows these addresses for every name, or fails.
struct Knows(Option<Vec<&'static str>>);

impl reqwest::dns::Resolve for Knows {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let found = self.0.as_ref().map(|addresses| {
            let address = |text: &&str| std::net::SocketAddr::new(text.parse().unwrap(), 0);
            addresses.iter().map(address).collect::<Vec<_>>()
        });
        let name = name.as_str().to_owned();
        Box::pin(async move {
            match found {
                Some(found) => Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs),
                None => Err(format!("no idea where {name} is").into()),
            }
        })
    }
}

/// A sender to names that have these addresses.
fn sender_where_names_are(addresses: Option<Vec<&'static str>>, rules: AddressRules) -> WebhookClient {
    let roots = rustls::RootCertStore::empty();
    WebhookClient::with(rules, PATIENCE, Arc::new(Knows(addresses)), roots).unwrap()
}
