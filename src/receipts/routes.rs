//! `/receipts/:token` and `/credit_notes/:token`

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::jsonapi::error::{Error, Errors, HEADER_INVALID, RESOURCE_NOT_FOUND};
use crate::jsonapi::schema::{Attribute, ValueType};
use crate::jsonapi::{MEDIA_TYPE, negotiation};
use crate::receipts::document::{self, CreditNoteOutput, ReceiptDocument, ReceiptOutput};
use crate::receipts::{PageKind, Receipt, page, store};
use crate::web::app::App;
use crate::web::call::PathOf;
use crate::web::guard::{bounded, guarded, time_limited};
use crate::web::route::{Answer, Key, Operation};
use axum::{Json, Router};
use schemars::SchemaGenerator;

/// The token of a page.
const TOKEN: &[Attribute] = &[Attribute::new(
    "token",
    ValueType::Text { longest: LONGEST_TOKEN },
    "Secret in the address, as in `receipt_url` and `credit_note_url`.",
    "",
)];
/// Headers of both pages.
const HEADERS: &[&str] =
    &["Cache-Control", "X-Content-Type-Options", "Referrer-Policy", "X-Robots-Tag", "Content-Security-Policy"];
const RECEIPT: Operation = Operation::plain(
    "getReceipt",
    "The receipt of a finished request: a page for browsers, JSON for programs.",
    Key::None,
    Answer::JsonOrPage(SchemaGenerator::subschema_for::<ReceiptDocument<ReceiptOutput>>),
)
.unchecked()
.answer_headers(HEADERS)
.codes(&[HEADER_INVALID])
.path(TOKEN);
const CREDIT_NOTE: Operation = Operation::plain(
    "getCreditNote",
    "The money that came back: a page for browsers, JSON for programs.",
    Key::None,
    Answer::JsonOrPage(SchemaGenerator::subschema_for::<ReceiptDocument<CreditNoteOutput>>),
)
.unchecked()
.answer_headers(HEADERS)
.codes(&[HEADER_INVALID])
.path(TOKEN);

crate::routes! {
    /// Paths of receipts and credit notes.
    ROUTES, table -> App;
    "/receipts/{token}": GET show_receipt => RECEIPT;
    "/credit_notes/{token}": GET show_credit_note => CREDIT_NOTE;
}

/// Returns the routes of receipts and credit notes.
pub fn routes(app: &App) -> Router {
    guarded(bounded(time_limited(table(), app), app), app.clone())
}

/// Maximum length of a token, in bytes. Longer texts get 404 without a query.
const LONGEST_TOKEN: usize = 128;

/// `GET /receipts/:token`
pub async fn show_receipt(State(app): State<App>, PathOf(token): PathOf<String>, parts: Parts) -> Response {
    respond(&app, &token, &parts, PageKind::Receipt).await
}

/// `GET /credit_notes/:token`
pub async fn show_credit_note(State(app): State<App>, PathOf(token): PathOf<String>, parts: Parts) -> Response {
    respond(&app, &token, &parts, PageKind::CreditNote).await
}

async fn respond(app: &App, token: &str, parts: &Parts, kind: PageKind) -> Response {
    let found = match app.origins.read(parts) {
        Ok(origin) => find(app, token, kind).await.map(|receipt| (receipt, origin)),
        Err(error) => Err(error.into()),
    };
    let response = match (found, prefers_html(&parts.headers)) {
        (Ok((receipt, origin)), true) => {
            let origin = receipt.public_url.as_deref().unwrap_or_else(|| origin.without_account());
            html(StatusCode::OK, page::render(&receipt, kind, token, origin))
        }
        (Ok((receipt, _)), false) => match kind {
            PageKind::Receipt => Json(document::receipt(&receipt)).into_response(),
            PageKind::CreditNote => Json(document::credit_note(&receipt)).into_response(),
        },
        (Err(errors), true) => {
            let content = page::render_errors(&errors);
            let explained = errors.into_response();
            // status and Retry-After are the same in both formats
            let retry_after = explained.headers().get(header::RETRY_AFTER).cloned();
            let mut response = html(explained.status(), content);
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, seconds);
            }
            response
        }
        (Err(errors), false) => errors.into_response(),
    };
    with_privacy_headers(response)
}

async fn find(app: &App, token: &str, kind: PageKind) -> Result<Receipt, Errors> {
    let is_well_formed = (1..=LONGEST_TOKEN).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let mut receipt = None;
    if is_well_formed {
        receipt = app.database.run(async |connection| store::find(connection, token, kind).await).await?;
    }
    receipt.ok_or_else(|| {
        let detail = match kind {
            PageKind::Receipt => "this address has no receipt; each finished request has one at its receipt_url",
            PageKind::CreditNote => {
                "this address has no credit note; each finished request with returned money has one at its \
                 credit_note_url"
            }
        };
        Error::new(RESOURCE_NOT_FOUND, detail).into()
    })
}

/// Returns true for a person's browser, false for a program.
fn prefers_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let accepted = accepted.collect::<Vec<_>>().join(", ");
    negotiation::prefers(&accepted, "text/html", &["application/json", MEDIA_TYPE])
}

fn html(status: StatusCode, content: String) -> Response {
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let mut response = (status, [(header::CONTENT_TYPE, html)], content).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, page::POLICY.clone());
    response
}

/// Adds the headers of every answer. The address is secret and the content is private.
/// Therefore shared caches must not store them, and browsers must not send the address on.
fn with_privacy_headers(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 4] = [
        (header::CACHE_CONTROL, "private"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
