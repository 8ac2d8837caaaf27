//! Passwords in multipart documents (RFC 7578).

use memchr::memmem::find;

use super::{REDACTED, names_password};

/// Line break of a multipart document, and the empty line after the headers of a part.
const LINE: &[u8] = b"\r\n";
const EMPTY_LINE: &[u8] = b"\r\n\r\n";

/// Returns a multipart document with [`REDACTED`] for the content of each part named as a password. The document may be
/// cut anywhere.
pub(super) fn redact(body: &[u8]) -> Vec<u8> {
    // the first line is the delimiter of all parts
    let Some(end) = find(body, LINE) else { return body.to_vec() };
    let delimiter = [LINE, body[..end].trim_ascii()].concat();
    let mut kept = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(place) = find(rest, EMPTY_LINE) {
        let (headers, content) = rest.split_at(place + EMPTY_LINE.len());
        let (content, next) = content.split_at(find(content, &delimiter).unwrap_or(content.len()));
        kept.extend_from_slice(headers);
        kept.extend_from_slice(if is_password(headers) { REDACTED.as_bytes() } else { content });
        rest = next;
    }
    kept.extend_from_slice(rest);
    kept
}

/// Returns whether the headers of a part give it the name of a password.
fn is_password(headers: &[u8]) -> bool {
    let parameters = headers.split(|byte| matches!(byte, b';' | b'\r' | b'\n')).map(<[u8]>::trim_ascii);
    let mut names = parameters.filter_map(|parameter| {
        let end = parameter.iter().position(|byte| *byte == b'=')?;
        parameter[..end].trim_ascii().eq_ignore_ascii_case(b"name").then(|| &parameter[end + 1..])
    });
    names.any(|name| {
        let name = name.trim_ascii();
        let bare = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name);
        names_password(bare)
    })
}
