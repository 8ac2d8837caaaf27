//! Trusted issuers of TLS certificates.

use rustls::RootCertStore;

/// Returns the issuers trusted by this machine, including a developer's own. Reads files.
/// Without a store on this machine, returns the issuers trusted by Mozilla.
pub fn machine_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
