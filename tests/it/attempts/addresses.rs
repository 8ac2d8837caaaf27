//! Allowed targets of an attempt: the address in its URL, or the addresses of its name.

use concierge_sandbox::events::address::AddressRules;
use concierge_sandbox::webhooks::client::AttemptOutcome;
use concierge_sandbox::webhooks::trust::Trust;

use super::{attempt, client_resolving_to, error_without_answer, webhook_client, webhook_request};
use crate::support::{Receiver, within};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Makes an attempt at a name with these addresses.
async fn attempt_at(addresses: &[&'static str], port: u16) -> AttemptOutcome {
    let client = client_resolving_to(Some(addresses.to_vec()), AddressRules::default());
    within(client.attempt(&webhook_request(format!("http://receiver.test:{port}/")))).await
}

#[tokio::test]
async fn name_is_called_at_its_allowed_addresses() {
    let mut receiver = Receiver::answering(OK).await;
    assert!(attempt_at(&["127.0.0.1"], receiver.port).await.is_received());
    let host = format!("receiver.test:{}", receiver.port);
    assert_eq!(receiver.calls()[0].header("host"), Some(host.as_str()));
    // forbidden addresses are skipped
    let mixed = ["169.254.169.254", "fe80::1", "127.0.0.1", "0.0.0.0"];
    assert!(attempt_at(&mixed, receiver.port).await.is_received());
    let local = attempt(format!("http://localhost:{}/", receiver.port)).await;
    assert!(local.is_received(), "{local:?}");
    assert_eq!(receiver.calls().len(), 2);
}

#[tokio::test]
async fn name_with_only_forbidden_addresses_is_not_called() {
    for (addresses, error) in [
        (&["169.254.169.254"][..], "the address 169.254.169.254 may not be called: it is link-local"),
        (&["::ffff:169.254.1.1", "0.0.0.0"], "the address 169.254.1.1 may not be called: it is link-local"),
        (&["fd00:ec2::254"], "the address fd00:ec2::254 may not be called: it is a cloud's metadata"),
        (&[], "the name could not be resolved"),
    ] {
        assert_eq!(error_without_answer(&attempt_at(addresses, 80).await), error);
    }
}

#[tokio::test]
async fn unknown_name_is_reported() {
    let client = client_resolving_to(None, AddressRules::default());
    let outcome = within(client.attempt(&webhook_request("https://receiver.test/"))).await;
    assert_eq!(error_without_answer(&outcome), "the name could not be resolved");
    // the machine's resolver fails too: RFC 6761 reserves .invalid
    assert_eq!(error_without_answer(&attempt("http://receiver.invalid/").await), "the name could not be resolved");
}

#[tokio::test]
async fn name_is_resolved_anew_for_every_attempt() {
    use reqwest::dns::{Addrs, Name, Resolve, Resolving};
    use std::net::{IpAddr, SocketAddr};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Resolves to loopback the first time, and to a cloud's metadata ever after.
    struct Turning(AtomicBool);
    impl Resolve for Turning {
        fn resolve(&self, _: Name) -> Resolving {
            let turned = self.0.swap(true, Ordering::SeqCst);
            let address: IpAddr = if turned { [169, 254, 169, 254] } else { [127, 0, 0, 1] }.into();
            Box::pin(async move { Ok(Box::new([SocketAddr::new(address, 0)].into_iter()) as Addrs) })
        }
    }

    // an open connection is not reused
    let mut receiver = Receiver::scripted(|mut stream| async move {
        tokio::io::AsyncWriteExt::write_all(&mut stream, OK.as_bytes()).await.unwrap();
        tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 9]).await.ok();
    })
    .await;
    let resolver = Arc::new(Turning(AtomicBool::new(false)));
    let client = concierge_sandbox::webhooks::client::WebhookClient::with(
        AddressRules::default(),
        super::PATIENCE,
        resolver,
        Trust::default(),
    )
    .unwrap();
    let request = webhook_request(format!("http://receiver.test:{}/", receiver.port));
    assert!(within(client.attempt(&request)).await.is_received());
    let second = within(client.attempt(&request)).await;
    assert_eq!(error_without_answer(&second), "the address 169.254.169.254 may not be called: it is link-local");
    assert_eq!(receiver.calls().len(), 1);
}

#[tokio::test]
async fn address_in_the_url_is_checked() {
    let mut receiver = Receiver::answering(OK).await;
    let denying = webhook_client(|config| config.webhook_deny = vec!["127.0.0.0/8".parse().unwrap()]);
    let allowing = webhook_client(|config| config.webhook_allow = vec!["10.0.0.0/8".parse().unwrap()]);
    let port = receiver.port;
    for url in [receiver.url(), format!("http://localhost:{port}/"), format!("http://[::ffff:127.0.0.1]:{port}/")] {
        let denied = within(denying.attempt(&webhook_request(url.clone()))).await;
        assert!(error_without_answer(&denied).ends_with(" may not be called: --webhook-deny lists it"), "{denied:?}");
        let not_allowed = within(allowing.attempt(&webhook_request(url))).await;
        let error = error_without_answer(&not_allowed);
        assert!(error.ends_with(" may not be called: --webhook-allow does not list it"), "{error}");
    }
    assert_eq!(receiver.calls(), []);
    let forbidden = attempt("http://0xa9fea9fe/latest").await;
    assert_eq!(error_without_answer(&forbidden), "the address 169.254.169.254 may not be called: it is link-local");
}

#[tokio::test]
async fn invalid_url_is_not_called() {
    for (url, error) in [
        ("", "the URL must be an http or https URL, such as https://example.com/hook"),
        ("file:///etc/passwd", "the URL must be an http or https URL, such as https://example.com/hook"),
        ("http://:80/", "the URL must be a valid URL; this one has an empty host"),
    ] {
        let outcome = attempt(url).await;
        assert_eq!(error_without_answer(&outcome), error);
        let call = outcome.call.unwrap();
        assert_eq!((call.url.as_str(), call.headers), (url, None));
    }
    // stored by an older server
    for (url, shown) in [
        ("http://ana:secret@example.com/a@b", "http://example.com/a@b"),
        ("http://ana:se@cret@example.com?c@d", "http://example.com?c@d"),
        ("https://ana@:80", "https://:80"),
    ] {
        let outcome = attempt(url).await;
        assert!(error_without_answer(&outcome).starts_with("the URL must be "), "{outcome:?}");
        assert_eq!(outcome.call.unwrap().url, shown);
    }
}
