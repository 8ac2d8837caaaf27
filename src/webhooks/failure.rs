//! Descriptions of failed calls. The words are stable: they are stored, shown, and compared by tests.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter::successors;

use rustls::{AlertDescription, CertificateError};

use super::resolve::Unresolved;
use super::trust::is_about_the_issuer;
use crate::events::address::Refusal;

const CLOSED: &str = "the connection was closed before the answer";

/// Describes a failed call, without its URL.
pub fn describe(error: &reqwest::Error) -> String {
    let words = causes(error).find_map(|cause| {
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            Some(refusal.to_string())
        } else if let Some(unresolved) = cause.downcast_ref::<Unresolved>() {
            Some(unresolved.to_string())
        } else if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            Some(describe_tls(error))
        } else if let Some(error) = cause.downcast_ref::<io::Error>() {
            describe_io(error.kind()).map(str::to_owned)
        } else if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            describe_http(error).map(str::to_owned)
        } else {
            None
        }
    });
    words.unwrap_or_else(|| if error.is_connect() { "no connection" } else { "the call failed" }.to_owned())
}

/// Returns an error and its causes, the deepest last.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| {
        // `source` of an io::Error skips the wrapped error
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}

fn describe_io(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::ConnectionRefused => Some("connection refused"),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => Some(CLOSED),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Some("the host can't be reached"),
        ErrorKind::TimedOut => Some("no connection: the host does not answer"),
        _ => None,
    }
}

fn describe_http(error: &hyper::Error) -> Option<&'static str> {
    if error.is_parse() {
        Some("the answer is not HTTP")
    } else if error.is_incomplete_message() {
        Some(CLOSED)
    } else {
        None
    }
}

fn describe_tls(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(fault) => format!("the certificate is not valid: {}", describe_fault(fault)),
        rustls::Error::InvalidMessage(_) => "the receiver does not speak TLS".to_owned(),
        rustls::Error::PeerIncompatible(_) => {
            "the TLS handshake failed: the receiver has neither TLS 1.2 nor TLS 1.3, or no common cipher".to_owned()
        }
        rustls::Error::AlertReceived(alert) => {
            format!("the TLS handshake failed: the receiver refused it ({})", describe_alert(*alert))
        }
        _ => "the TLS handshake failed".to_owned(),
    }
}

/// Returns the name of an alert as in RFC 8446, such as `handshake_failure`.
fn describe_alert(alert: AlertDescription) -> String {
    let Some(name) = alert.as_str() else { return format!("alert {}", u8::from(alert)) };
    let mut words = String::new();
    let mut previous = 'A';
    for character in name.chars() {
        // an abbreviation such as CA is one word
        if character.is_ascii_uppercase() && previous.is_ascii_lowercase() {
            words.push('_');
        }
        words.push(character.to_ascii_lowercase());
        previous = character;
    }
    words
}

fn describe_fault(fault: &CertificateError) -> String {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its validity has not begun".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".to_owned()
        }
        CertificateError::Revoked => "it is revoked".to_owned(),
        CertificateError::BadEncoding => "it can't be read".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not for servers".to_owned()
        }
        fault if is_about_the_issuer(fault) => "its issuer is not trusted; name its file with --webhook-ca".to_owned(),
        _ => "it has an unknown or unsafe form".to_owned(),
    }
}
