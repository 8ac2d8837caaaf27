//! Receivers over TLS, with valid and invalid certificates.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use concierge_sandbox::events::address::AddressRules;
use concierge_sandbox::webhooks::client::{AttemptOutcome, WebhookClient};
use concierge_sandbox::webhooks::trust::Trust;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::{FixedResolver, PATIENCE, attempt, error_without_answer, webhook_request};
use crate::support::{Call, Program, Receiver, sandbox_with, within};

const UNTRUSTED: &str = "the certificate is not valid: its issuer is not trusted; name its file with --webhook-ca";

/// Makes an issuer of certificates.
fn issuer() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Makes the settings of a certificate for this name.
fn params(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

/// Makes a certificate as `openssl req -x509` does: it is its own issuer, and one of others.
fn self_signed(name: &str, change: impl FnOnce(&mut CertificateParams)) -> (Certificate, KeyPair) {
    let (mut params, key) = (params(name), KeyPair::generate().unwrap());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "localhost");
    change(&mut params);
    (params.self_signed(&key).unwrap(), key)
}

/// Returns the server's side of TLS with this certificate.
fn tls_acceptor(certificate: &Certificate, key: &KeyPair) -> TlsAcceptor {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A receiver with this certificate, which answers one call with 200.
struct TlsReceiver {
    port: u16,
    receiving: JoinHandle<Option<Call>>,
}

impl TlsReceiver {
    async fn start(certificate: &Certificate, key: &KeyPair) -> Self {
        let acceptor = tls_acceptor(certificate, key);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.ok()?;
            let call = Call::read(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsafe").await.unwrap();
            stream.shutdown().await.ok();
            Some(call)
        });
        Self { port, receiving }
    }

    /// Calls it as `https://receiver.test`, a name with these addresses.
    async fn called_at(self, addresses: &[&'static str], trust: Trust) -> AttemptOutcome {
        let resolver = Arc::new(FixedResolver(Some(addresses.to_vec())));
        let client = WebhookClient::with(AddressRules::default(), PATIENCE, resolver, trust).unwrap();
        let url = format!("https://receiver.test:{}/", self.port);
        let outcome = within(client.attempt(&webhook_request(url))).await;
        let call = within(self.receiving).await.unwrap();
        assert_eq!(call.is_some(), outcome.is_received(), "secrets go only to the trusted receiver");
        outcome
    }

    async fn called(self, trust: Trust) -> AttemptOutcome {
        self.called_at(&["127.0.0.1"], trust).await
    }
}

/// Calls a receiver. A known issuer signed its certificate, which is valid except for the changes of the test.
async fn call(is_trusted: bool, change: impl FnOnce(&mut CertificateParams)) -> AttemptOutcome {
    let (issuer, mut params, key) = (issuer(), params("receiver.test"), KeyPair::generate().unwrap());
    change(&mut params);
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let trust = if is_trusted { Trust::of(vec![issuer.der().clone()]) } else { Trust::default() };
    TlsReceiver::start(&certificate, &key).await.called(trust).await
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
    let client = call(true, |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    assert_eq!(error_without_answer(&client.await), "the certificate is not valid: it is not for servers");
    assert_eq!(error_without_answer(&call(false, |_| {}).await), UNTRUSTED);
}

#[tokio::test]
async fn self_signed_certificate_is_trusted_by_its_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let in_file = |certificates: &[&Certificate]| {
        let file = folder.path().join("trusted.pem");
        fs::write(&file, certificates.iter().map(|certificate| certificate.pem()).collect::<String>()).unwrap();
        Trust::read(&[file], false).unwrap()
    };
    let (other, _) = self_signed("receiver.test", |_| {});
    let (certificate, key) = self_signed("receiver.test", |_| {});
    let outcome = TlsReceiver::start(&certificate, &key).await.called(in_file(&[&other, &certificate])).await;
    assert!(outcome.is_received(), "{outcome:?}");
    for trust in [in_file(&[&other]), Trust::default()] {
        let outcome = TlsReceiver::start(&certificate, &key).await.called(trust).await;
        assert_eq!(error_without_answer(&outcome), UNTRUSTED);
    }
    // names and dates still count
    let (expired, key) = self_signed("receiver.test", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let outcome = TlsReceiver::start(&expired, &key).await.called(in_file(&[&expired])).await;
    assert_eq!(error_without_answer(&outcome), "the certificate is not valid: it has expired");
    let (misnamed, key) = self_signed("other.test", |_| {});
    let outcome = TlsReceiver::start(&misnamed, &key).await.called(in_file(&[&misnamed])).await;
    assert_eq!(error_without_answer(&outcome), "the certificate is not valid: it is for another name");
    // one that is signed by somebody else
    let key = KeyPair::generate().unwrap();
    let signed = params("receiver.test").signed_by(&key, &issuer()).unwrap();
    let outcome = TlsReceiver::start(&signed, &key).await.called(in_file(&[&signed])).await;
    assert!(outcome.is_received(), "{outcome:?}");
}

#[tokio::test]
async fn insecure_setting_covers_private_addresses_only() {
    let insecure = || Trust::read(&[], true).unwrap();
    let (certificate, key) = self_signed("other.test", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let outcome = TlsReceiver::start(&certificate, &key).await.called(insecure()).await;
    assert!(outcome.is_received(), "{outcome:?}");
    // one public address of the name is enough for the check
    let outcome = TlsReceiver::start(&certificate, &key).await.called_at(&["127.0.0.1", "192.0.2.1"], insecure()).await;
    assert!(error_without_answer(&outcome).starts_with("the certificate is not valid"), "{outcome:?}");
    let client = WebhookClient::new(AddressRules::default(), PATIENCE, insecure()).unwrap();
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost"] {
        let receiver = TlsReceiver::start(&certificate, &key).await;
        let url = format!("https://{host}:{}/", receiver.port);
        let outcome = within(client.attempt(&webhook_request(url))).await;
        assert!(outcome.is_received(), "{host}: {outcome:?}");
    }
}

#[tokio::test]
async fn settings_name_trusted_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let (certificate, key) = self_signed("localhost", |_| {});
    let (good, empty) = (file("good.pem", &certificate.pem()), file("empty.pem", ""));
    let receiver = TlsReceiver::start(&certificate, &key).await;
    let change = |config: &mut concierge_sandbox::config::Config| config.webhook_ca = vec![good.clone()];
    sandbox_with(change, async |s| {
        let url = format!("https://localhost:{}/hook", receiver.port);
        let document = json!({"data": {"type": "users", "attributes": {"webhook_url": url}}});
        s.patch("/api/users/me", &document).await.expect(200);
        s.create_output().await;
        assert!(within(receiver.receiving).await.unwrap().is_some());
    })
    .await;

    let missing = folder.path().join("missing.pem");
    let text = |file: &PathBuf| file.to_str().unwrap().to_owned();
    let broken = file("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (wrong, reason) in [(&missing, "can't be read"), (&empty, "has no certificate"), (&broken, "certificate 1 in ")]
    {
        let arguments = ["--webhook-ca", &text(&good), "--webhook-ca", &text(wrong)];
        let list = format!("{},{}", text(&good), text(wrong));
        let runs = [Program::run(&arguments, &[]), Program::run(&[], &[("SANDBOX_WEBHOOK_CA", &list)])];
        for run in runs {
            let ended = run.ended().await;
            assert_eq!((ended.status.code(), ended.stderr.len()), (Some(1), 1), "{ended:?}");
            let message = &ended.stderr[0];
            assert!(message.contains(&text(wrong)) && message.contains(reason), "{message}");
            assert!(message.contains("--webhook-ca"), "{message}");
        }
    }
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
    // a receiver that refuses the handshake: a fatal alert, number 40
    let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = refusing.local_addr().unwrap().port();
    let receiving = tokio::spawn(async move {
        let (mut stream, _) = refusing.accept().await.unwrap();
        stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).await.unwrap();
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.ok();
    });
    let outcome = attempt(format!("https://127.0.0.1:{port}/")).await;
    let refused = "the TLS handshake failed: the receiver refused it (handshake_failure)";
    assert_eq!(error_without_answer(&outcome), refused);
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
    assert!(!Trust::default().with_machine().roots().is_empty());
    let plain = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert!(attempt(plain.url()).await.is_received());
}
