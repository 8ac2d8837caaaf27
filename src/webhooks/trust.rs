//! Trust in the certificates of receivers: issuers, and certificates that are trusted themselves.
//!
//! Left to others: which receivers need none ([`super::client`]), and the words of a refusal (`failure`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Reasons for an unusable file of trusted certificates. Each message names a remedy.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("the certificates in {} can't be read: {cause}. Name a PEM file with --webhook-ca, or leave it out", file.display())]
    Unreadable { file: PathBuf, cause: pem::Error },
    #[error("{} has no certificate. Name a PEM file with --webhook-ca: it has a line BEGIN CERTIFICATE", file.display())]
    Empty { file: PathBuf },
    #[error(
        "certificate {number} in {} can't be trusted, because it is no X.509 certificate of version 3. Name another file \
         with --webhook-ca", file.display()
    )]
    Unusable { file: PathBuf, number: usize },
}

/// The certificates that are trusted for receivers.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Issuers, or certificates of receivers.
    certificates: Vec<CertificateDer<'static>>,
    /// True if the issuers trusted by Mozilla are trusted, too.
    trusts_mozilla: bool,
    /// True if receivers on loopback and private addresses need no valid certificate.
    pub is_insecure: bool,
}

impl Trust {
    /// Trusts these certificates alone.
    pub fn of(certificates: Vec<CertificateDer<'static>>) -> Self {
        Self { certificates, ..Self::default() }
    }

    /// Reads certificates from PEM files.
    ///
    /// # Errors
    /// If a file can't be read, has no certificate, or one that can't be trusted.
    pub fn read(files: &[PathBuf], is_insecure: bool) -> Result<Self, TrustError> {
        let mut certificates = Vec::new();
        for file in files {
            certificates.extend(read(file)?);
        }
        Ok(Self { is_insecure, ..Self::of(certificates) })
    }

    /// Adds the certificates trusted by this machine, including a developer's own. Reads files.
    /// Without a store on this machine, adds the issuers trusted by Mozilla.
    #[must_use]
    pub fn with_machine(mut self) -> Self {
        let machine = rustls_native_certs::load_native_certs().certs;
        self.trusts_mozilla = machine.is_empty();
        self.certificates.extend(machine);
        self
    }

    /// Returns the issuers.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.certificates.iter().cloned());
        if self.trusts_mozilla {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        roots
    }

    /// Returns the TLS settings for receivers with a trusted certificate.
    ///
    /// # Errors
    /// Errors of the TLS library.
    pub fn checking(self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(default_provider());
        let roots = self.roots();
        let issuers = if roots.is_empty() {
            None
        } else {
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
            Some(verifier.map_err(|error| Error::General(error.to_string()))?)
        };
        let known = Known { issuers, certificates: self.certificates };
        settings(Verifier { known: Some(known), provider })
    }

    /// Returns the TLS settings for receivers with any certificate.
    ///
    /// # Errors
    /// Errors of the TLS library.
    pub fn not_checking() -> Result<ClientConfig, Error> {
        settings(Verifier { known: None, provider: Arc::new(default_provider()) })
    }
}

/// Reads the certificates of a PEM file, at least one.
fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let unreadable = |cause| TrustError::Unreadable { file: file.to_owned(), cause };
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(unreadable)?.collect();
    let read = read.map_err(unreadable)?;
    if read.is_empty() {
        return Err(TrustError::Empty { file: file.to_owned() });
    }
    let mut roots = RootCertStore::empty();
    match read.iter().position(|certificate| roots.add(certificate.clone()).is_err()) {
        Some(at) => Err(TrustError::Unusable { file: file.to_owned(), number: at + 1 }),
        None => Ok(read),
    }
}

fn settings(verifier: Verifier) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

/// The check of a receiver's certificate.
#[derive(Debug)]
struct Verifier {
    /// `None`: any certificate will do.
    known: Option<Known>,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Known {
    /// `None`: there are no issuers.
    issuers: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates that need no issuer.
    certificates: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(known) = &self.known else { return Ok(ServerCertVerified::assertion()) };
        let Some(issuers) = &known.issuers else { return Err(CertificateError::UnknownIssuer.into()) };
        match issuers.verify_server_cert(certificate, intermediates, name, ocsp_response, now) {
            Err(Error::InvalidCertificate(fault))
                if is_about_the_issuer(&fault) && known.certificates.contains(certificate) =>
            {
                // the dates were checked before the issuer
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Returns whether a certificate is good by itself, but no trusted issuer has signed it.
// OpenSSL makes self-signed certificates as those of issuers, and another issuer may have the same name.
pub(super) fn is_about_the_issuer(fault: &CertificateError) -> bool {
    match fault {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => true,
        CertificateError::Other(other) => {
            matches!(other.0.downcast_ref::<webpki::Error>(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}
