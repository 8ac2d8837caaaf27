//! HTTPS: the certificate of the server.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

use crate::webhooks::trust::Trust;

/// Reasons for an unusable certificate or key. Each message names a remedy.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(
        "the certificate in {} can't be read: {cause}. Name a PEM file with --tls-cert: the server's certificate, then \
         those of its issuers", file.display()
    )]
    Certificate { file: PathBuf, cause: rustls::pki_types::pem::Error },
    #[error("{} has no certificate. Name a PEM file with --tls-cert: it has a line BEGIN CERTIFICATE", file.display())]
    NoCertificate { file: PathBuf },
    #[error(
        "the key in {} can't be read: {cause}. Name a PEM file with --tls-key: it has a line BEGIN PRIVATE KEY",
        file.display()
    )]
    Key { file: PathBuf, cause: rustls::pki_types::pem::Error },
    #[error("the certificate in {} and the key in {} can't be used: {cause}", certificate.display(), key.display())]
    Unusable { certificate: PathBuf, key: PathBuf, cause: rustls::Error },
}

/// The server's side of TLS.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tls")
    }
}

impl Tls {
    /// Reads the certificate with its chain, and its key, from PEM files.
    ///
    /// # Errors
    /// If a file can't be read, or both don't belong together.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = read_chain(certificate)?;
        let private =
            PrivateKeyDer::from_pem_file(key).map_err(|cause| TlsError::Key { file: key.to_owned(), cause })?;
        let unusable = |cause| TlsError::Unusable { certificate: certificate.to_owned(), key: key.to_owned(), cause };
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Does the handshake with a client.
    ///
    /// # Errors
    /// If the client speaks no TLS, or does not trust the certificate.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

/// Reads the certificates of a PEM file, at least one.
fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |cause| TlsError::Certificate { file: file.to_owned(), cause };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(unreadable)?.collect();
    let chain = chain.map_err(unreadable)?;
    if chain.is_empty() { Err(TlsError::NoCertificate { file: file.to_owned() }) } else { Ok(chain) }
}

/// Connects to a server of this machine over TLS. Its certificate must be the one in `certificate`, byte for byte:
/// it need not be trusted, nor be for this address.
///
/// # Errors
/// If the file can't be read, or the server has another certificate.
pub async fn connect(certificate: &Path, stream: TcpStream) -> Result<client::TlsStream<TcpStream>, String> {
    let expected = read_chain(certificate).map_err(|error| error.to_string())?.swap_remove(0);
    let name = stream.peer_addr().map_err(|error| error.to_string())?.ip().into();
    let config = Trust::not_checking().map_err(|error| error.to_string())?;
    let connector = TlsConnector::from(Arc::new(config));
    let connected = connector.connect(ServerName::IpAddress(name), stream).await.map_err(|error| error.to_string())?;
    let found = connected.get_ref().1.peer_certificates().and_then(<[_]>::first);
    if found == Some(&expected) {
        return Ok(connected);
    }
    Err(format!("it has another certificate than {}", certificate.display()))
}
