//! Whom a secure call trusts.

use rustls::RootCertStore;

/// The issuers this machine trusts, a developer's own among them; where it has no store, those that Mozilla trusts.
/// Reads files.
pub fn machine_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
