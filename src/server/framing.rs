//! The framing of request bodies: by length, or in chunks. The HTTP layer believes any list of transfer codings that ends
//! in `chunked`, and would pass on a body whose other codings nobody undid.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::jsonapi::error::{Error, Errors, HEADER_INVALID};

/// Answers 400 to a body in other transfer codings than chunks, and ends its connection.
pub async fn only_chunks(request: Request, next: Next) -> Response {
    let Err(error) = check(request.headers()) else { return next.run(request).await };
    let mut response = Errors::from(error).into_response();
    // another reader may see another end of this body
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn check(headers: &HeaderMap) -> Result<(), Error> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_none_or(is_chunked) && codings.next().is_none() {
        return Ok(());
    }
    let all: Vec<_> = headers.get_all(header::TRANSFER_ENCODING).iter().map(HeaderValue::as_bytes).collect();
    let detail = format!(
        "`Transfer-Encoding` is \"{}\"; it must be chunked, once and without other codings, or absent",
        all.join(b", ".as_slice()).escape_ascii()
    );
    Err(Error::new(HEADER_INVALID, detail).header("Transfer-Encoding"))
}
