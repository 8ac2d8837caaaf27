//! HTTPS.

use std::fs;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use crate::support::{Program, database, send};

#[tokio::test]
async fn server_speaks_https_with_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let der: CertificateDer<'static> = made.cert.der().clone();
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    database(async |database| {
        let server = database.program(&["--tls-cert", certificate, "--tls-key", key]).await;
        assert!(server.base.starts_with("https://127.0.0.1:"), "{}", server.base);
        let mut roots = RootCertStore::empty();
        roots.add(der).unwrap();
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap();
        let created = send(server.post(&client)).await;
        // links lead where the client came from
        assert_eq!(created.headers["location"], format!("{}/api/concierge_request_outputs/32323", server.base));
        assert_eq!(created.expect(201)["data"]["id"], "32323");
        let health = ["healthcheck", "--listen", server.address(), "--tls-cert", certificate, "--tls-key", key];
        let checked = Program::run(&health, &[]).ended().await;
        assert!(checked.status.success(), "{checked:?}");
        let other = folder.path().join("other.pem");
        fs::write(&other, rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.pem()).unwrap();
        let health =
            ["healthcheck", "--listen", server.address(), "--tls-cert", other.to_str().unwrap(), "--tls-key", key];
        let refused = Program::run(&health, &[]).ended().await;
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.stderr[0].contains("another certificate than"), "{refused:?}");
        let plain = Program::run(&["healthcheck", "--listen", server.address()], &[]).ended().await;
        assert!(!plain.status.success(), "{plain:?}");
    })
    .await;
    for (arguments, expected) in [
        (["--tls-cert", "nowhere.pem", "--tls-key", key], "nowhere.pem"),
        (["--tls-cert", key, "--tls-key", key], "has no certificate"),
        (["--tls-cert", certificate, "--tls-key", certificate], "--tls-key"),
    ] {
        let ended = Program::run(&arguments, &[]).ended().await;
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ended.stderr.last().unwrap().contains(expected), "{ended:?}");
    }
}
