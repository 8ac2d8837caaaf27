//! Receipts and credit notes as HTML pages, for people. A page loads no scripts and no other files.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bigdecimal::BigDecimal;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{Line, PageKind, Receipt};
use crate::jsonapi::error::Errors;
use crate::jsonapi::render::timestamp;

const STYLE: &str = "
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem }
h1 { font-size: 1.6rem; line-height: 1.2 }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
dl { display: grid; gap: .25rem 1.5rem; grid-template-columns: max-content 1fr }
dt, footer { opacity: .75 }
dd { margin: 0; overflow-wrap: anywhere }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid #8886; padding: .35rem .75rem .35rem 0; text-align: start; vertical-align: top }
th:last-child, td:last-child { padding-inline-end: 0 }
.money { font-variant-numeric: tabular-nums; text-align: end }
td.money { white-space: nowrap }
.detail::first-letter { text-transform: uppercase }
.total { font-weight: 600 }
footer { border-top: 1px solid #8886; font-size: .875rem; margin-top: 2rem; padding-top: .5rem }
@media print { body { max-width: none; padding: 0 } }
";

/// Content security policy of a page. It allows only the inline style, identified by its hash.
pub static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// Renders the page of a receipt or credit note. `token` is the token in its address, `origin` leads its links.
pub fn render(receipt: &Receipt, kind: PageKind, token: &str, origin: &str) -> String {
    let name = match kind {
        PageKind::Receipt => "Receipt",
        PageKind::CreditNote => "Credit note",
    };
    let title = format!("{name} for request {}", receipt.request_id);
    let content = html! {
        h1 { (title) }
        (render_facts(receipt))
        h2 #states { "Outputs by state" }
        (render_states(receipt, kind))
        h2 #outputs { "Outputs" }
        (render_outputs(receipt, kind))
        @if receipt.more() > 0 {
            p { "… and " (receipt.more()) " more. The figures above include them." }
        }
        @if kind == PageKind::CreditNote {
            p { a href={ (origin) "/receipts/" (token) } { "Receipt for this request" } }
        } @else if receipt.money_returned > BigDecimal::default() {
            p { a href={ (origin) "/credit_notes/" (token) } { "Credit note for the returned money" } }
        }
    };
    layout(&title, &content)
}

/// Renders the page of an error.
pub fn render_errors(errors: &Errors) -> String {
    let title = errors.as_slice().first().map_or("The server failed", |error| error.code.title);
    let content = html! {
        h1 { (title) }
        @for error in errors.as_slice() {
            p.detail { (error.detail) "." }
        }
    };
    layout(title, &content)
}

fn layout(title: &str, content: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                // a constant; unescaped, because the policy holds the hash of these bytes
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (content) }
                footer { "Issued by concierge-sandbox, a test server. No real money was moved." }
            }
        }
    };
    page.into_string()
}

fn render_facts(receipt: &Receipt) -> Markup {
    let currency = receipt.currency.to_ascii_uppercase();
    html! {
        dl {
            @if let Some(external_id) = &receipt.external_id {
                dt { "Your reference" } dd { (external_id) }
            }
            dt { "Payer" } dd { (display_name(receipt.payer_name.as_deref())) }
            dt { "Port" } dd { (receipt.port_code) }
            dt { "State" } dd { (receipt.state) }
            @for (name, time) in [("Quote requested", receipt.quote_requested_at),
                ("Quote accepted", receipt.quote_accepted_at), ("Finished", Some(receipt.finished_at))] {
                @if let Some(time) = time {
                    dt { (name) } dd { (instant(time)) }
                }
            }
            dt { "Total to spend" } dd { (money(&receipt.total_to_spend)) " " (currency) }
            dt { "Money returned" } dd { (money(&receipt.money_returned)) " " (currency) }
            dt { "Paid" } dd.total { (money(&receipt.paid())) " " (currency) }
        }
    }
}

fn render_states(receipt: &Receipt, kind: PageKind) -> Markup {
    let currency = receipt.currency.to_ascii_uppercase();
    html! {
        div.wide role="region" aria-labelledby="states" tabindex="0" {
            table aria-labelledby="states" {
                thead { tr {
                    th scope="col" { "State" }
                    th.money scope="col" { "Outputs" }
                    th.money scope="col" { "Budgets, " (currency) }
                    th.money scope="col" { "Returned, " (currency) }
                } }
                tbody { @for figures in &receipt.figures {
                    tr {
                        th scope="row" { (figures.state) }
                        td.money { (figures.count) }
                        td.money { (money(&figures.budgets)) }
                        td.money { (money(&figures.money_returned)) }
                    }
                } }
                @if kind == PageKind::CreditNote {
                    tfoot { tr {
                        th.total scope="row" colspan="3" { "Total" }
                        td.money.total { (money(&receipt.money_returned)) }
                    } }
                }
            }
        }
    }
}

fn render_outputs(receipt: &Receipt, kind: PageKind) -> Markup {
    let currency = receipt.currency.to_ascii_uppercase();
    html! {
        div.wide role="region" aria-labelledby="outputs" tabindex="0" {
            table aria-labelledby="outputs" {
                thead { tr {
                    th scope="col" { "Output" }
                    th scope="col" { "Payee" }
                    th scope="col" { "Port" }
                    th scope="col" { "State" }
                    @if kind == PageKind::Receipt { th.money scope="col" { "Amount" } }
                    th.money scope="col" { "Budget, " (currency) }
                    @match kind {
                        PageKind::Receipt => { th.money scope="col" { "Fee and cost, " (currency) } }
                        PageKind::CreditNote => {
                            th.money scope="col" { "Fee kept, " (currency) }
                            th.money scope="col" { "Returned, " (currency) }
                        }
                    }
                } }
                tbody { @for line in &receipt.outputs { (render_line(line, kind)) } }
            }
        }
    }
}

fn render_line(line: &Line, kind: PageKind) -> Markup {
    // the second part of a port's code is its currency
    let currency = line.port_code.split('_').nth(1).unwrap_or_default().to_ascii_uppercase();
    html! {
        tr {
            th scope="row" { (line.id) }
            td { (display_name(line.payee_name.as_deref())) }
            td { (line.port_code) }
            td { (line.state) }
            @if kind == PageKind::Receipt {
                td.money { @if let Some(amount) = &line.amount { (money(amount)) " " (currency) } @else { "–" } }
            }
            td.money { (line.budget.as_ref().map_or("–".to_owned(), money)) }
            @match kind {
                PageKind::Receipt => { td.money { (line.fee_and_cost.as_ref().map_or("–".to_owned(), money)) } }
                PageKind::CreditNote => {
                    td.money { (line.fee_kept().as_ref().map_or("–".to_owned(), money)) }
                    td.money { (money(&line.money_returned)) }
                }
            }
        }
    }
}

/// Returns the name of a user, or a placeholder: users may have no name.
fn display_name(name: Option<&str>) -> &str {
    name.unwrap_or("unnamed")
}

/// Formats an amount like the API, with as many digits as needed.
fn money(value: &BigDecimal) -> String {
    value.normalized().to_plain_string()
}

/// Renders an instant: to the second for people, exactly for programs.
fn instant(time: OffsetDateTime) -> Markup {
    let exact = timestamp(time);
    let readable = exact.get(..19).unwrap_or(&exact).replace('T', " ");
    html! { time datetime=(exact) { (readable) " UTC" } }
}
