//! Single webhook attempts, against receivers that behave like real ones, and worse.

mod addresses;
mod answers;
mod timeouts;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use concierge_sandbox::config::Config;
use concierge_sandbox::events::address::AddressRules;
use concierge_sandbox::webhooks::client::{AttemptOutcome, WebhookClient, WebhookRequest};
use concierge_sandbox::webhooks::trust::Trust;
use reqwest::header::{HeaderMap, HeaderValue};

use crate::support::{settings, within};

/// Long enough for every answer of these receivers.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes a client with the default settings and the changes of a test.
fn webhook_client(change: impl FnOnce(&mut Config)) -> WebhookClient {
    let mut config = settings();
    config.webhook_timeout = PATIENCE;
    change(&mut config);
    WebhookClient::new(config.address_rules(), config.webhook_timeout, Trust::default()).unwrap()
}

/// Builds an event for a URL, with a secret header and a secret body.
fn webhook_request(url: impl Into<String>) -> WebhookRequest {
    let mut headers = HeaderMap::new();
    headers.insert("webhook-auth", HeaderValue::from_static("secret-hash"));
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    WebhookRequest { url: url.into(), headers, body: r#"{"data":"secret-ñ"}"#.into() }
}

/// Makes one attempt at a URL, and returns its outcome.
async fn attempt(url: impl Into<String>) -> AttemptOutcome {
    within(webhook_client(|_| {}).attempt(&webhook_request(url))).await
}

/// Returns the error of an attempt without an answer.
#[track_caller]
fn error_without_answer(outcome: &AttemptOutcome) -> &str {
    assert_eq!((outcome.status, outcome.body.as_str(), outcome.retry_after), (None, "", None), "{outcome:?}");
    assert!(!outcome.is_received());
    outcome.error.as_deref().unwrap()
}

/// A resolver with the same addresses for every name, or none at all: then it fails.
struct FixedResolver(Option<Vec<&'static str>>);

impl reqwest::dns::Resolve for FixedResolver {
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

/// Makes a client that resolves every name to these addresses.
fn client_resolving_to(addresses: Option<Vec<&'static str>>, rules: AddressRules) -> WebhookClient {
    WebhookClient::with(rules, PATIENCE, Arc::new(FixedResolver(addresses)), Trust::default()).unwrap()
}
