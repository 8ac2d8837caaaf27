//! Passwords in multipart documents (RFC 7578).

use memchr::memmem::find;

/// Line break of a multipart document, and the empty line after the headers of a part.
const LINE: &[u8] = b"\r\n";
const EMPTY_LINE: &[u8] = b"\r\n\r\n";

/// Returns a multipart document with `redacted` for the content of each part with a `secret` name. The document may be cut
/// anywhere.
pub(super) fn redact(body: &[u8], secret: fn(&[u8]) -> bool, redacted: &[u8]) -> Vec<u8> {
    // the first line is the delimiter of all parts
    let Some(end) = find(body, LINE) else { return body.to_vec() };
    let delimiter = [LINE, body[..end].trim_ascii()].concat();
    let mut kept = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(place) = find(rest, EMPTY_LINE) {
        let (headers, content) = rest.split_at(place + EMPTY_LINE.len());
        let (content, next) = content.split_at(find(content, &delimiter).unwrap_or(content.len()));
        kept.extend_from_slice(headers);
        kept.extend_from_slice(if names(headers).any(secret) { redacted } else { content });
        rest = next;
    }
    kept.extend_from_slice(rest);
    kept
}

/// Returns the names that its headers give a part.
fn names(headers: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parameters = headers.split(|byte| matches!(byte, b';' | b'\r' | b'\n')).map(<[u8]>::trim_ascii);
    let names = parameters.filter_map(|parameter| {
        let end = parameter.iter().position(|byte| *byte == b'=')?;
        parameter[..end].trim_ascii().eq_ignore_ascii_case(b"name").then(|| &parameter[end + 1..])
    });
    names.map(|name| {
        let name = name.trim_ascii();
        name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name)
    })
}
