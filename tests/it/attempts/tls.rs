//! Receivers over TLS, with valid and invalid certificates.

use std::sync::Arc;

use concierge_sandbox::events::address::AddressRules;
use concierge_sandbox::webhooks::client::{AttemptOutcome, WebhookClient};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{FixedResolver, PATIENCE, attempt, error_without_answer, webhook_request};
use crate::support::{Call, Receiver, within};

/// Makes an issuer of certificates, and the roots of a client that trusts it.
fn issuer() -> (CertifiedIssuer<'static, KeyPair>, RootCertStore) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(issuer.der().clone()).unwrap();
    (issuer, roots)
}

/// Calls `https://receiver.test`, which answers 200, and returns the outcome.
/// Its certificate is valid for this name, except for the changes of the test.
async fn call(trusted: bool, change: impl FnOnce(&mut CertificateParams)) -> AttemptOutcome {
    let (issuer, roots) = issuer();
    let mut params = CertificateParams::new(vec!["receiver.test".to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok()?;
        let call = Call::read(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsafe").await.unwrap();
        stream.shutdown().await.ok();
        Some(call)
    });
    let roots = if trusted { roots } else { RootCertStore::empty() };
    let resolver = Arc::new(FixedResolver(Some(vec!["127.0.0.1"])));
    let client = WebhookClient::with(AddressRules::default(), PATIENCE, resolver, roots).unwrap();
    let outcome = within(client.attempt(&webhook_request(format!("https://receiver.test:{port}/")))).await;
    let call = within(receiving).await.unwrap();
    assert_eq!(call.is_some(), outcome.is_received(), "secrets go only to the trusted receiver");
    outcome
}

#[tokio::test]
async fn receiver_with_a_valid_certificate_is_called() {
    let outcome = call(true, |_| {}).await;
    assert_eq!((outcome.status, outcome.body.as_str()), (Some(200), "safe"), "{outcome:?}");
}

#[tokio::test]
async fn receiver_with_an_invalid_certificate_is_not_called() {
    let expired = call(true, |params| params.not_after = date_time_ymd(2020, 1, 1)).await;
    assert_eq!(error_without_answer(&expired), "the certificate is not valid: it has expired");
    let early = call(true, |params| params.not_before = date_time_ymd(4000, 1, 1)).await;
    assert_eq!(error_without_answer(&early), "the certificate is not valid: its validity has not begun");
    let other = call(true, |params| params.subject_alt_names.clear()).await;
    assert_eq!(error_without_answer(&other), "the certificate is not valid: it is for another name");
    let unknown = call(false, |_| {}).await;
    assert_eq!(error_without_answer(&unknown), "the certificate is not valid: its issuer is not trusted");
}

#[tokio::test]
async fn receiver_without_tls_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // keep the connection until the caller closes it
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.ok();
    });
    let outcome = attempt(format!("https://127.0.0.1:{port}/")).await;
    assert_eq!(error_without_answer(&outcome), "the receiver does not speak TLS");
    within(receiving).await.unwrap();
    // a receiver that closes at once
    let closing = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closing.local_addr().unwrap().port();
    let receiving = tokio::spawn(async move { drop(closing.accept().await.unwrap()) });
    let outcome = attempt(format!("https://127.0.0.1:{port}/")).await;
    assert_eq!(error_without_answer(&outcome), "the connection was closed before the answer");
    within(receiving).await.unwrap();
}

#[tokio::test]
async fn trusted_roots_of_the_machine_are_found() {
    assert!(!concierge_sandbox::webhooks::trust::machine_roots().is_empty());
    let plain = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert!(attempt(plain.url()).await.is_received());
}
