//! Receipts and credit notes of finished requests: what was spent, what became of each output, what came back. Public
//! pages, outside of `/api` and without a key, because a person opens them from an e-mail; the token in their address
//! is the secret. They are the same figures twice: a page for people, JSON for programs.

mod document;
mod page;
mod routes;
mod store;

use axum::Router;
use axum::routing::get;
use bigdecimal::BigDecimal;
use time::OffsetDateTime;

use crate::web::app::App;
use crate::web::guard::{guarded, time_limited};

/// Every route of the receipts.
pub fn routes(app: &App) -> Router {
    let routes = Router::new()
        .route("/receipts/{token}", get(routes::show_receipt))
        .route("/credit_notes/{token}", get(routes::show_credit_note));
    guarded(time_limited(routes, app)).with_state(app.clone())
}

/// Outputs that are listed one by one; the figures are of all.
const LISTED: i64 = 100;

/// What a page is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All of a request.
    Receipt,
    /// What came back of its money. There is none where nothing came back.
    CreditNote,
}

/// A finished request with its outputs: all of them on a receipt, those whose money came back on a credit note.
/// Everything is in the request's currency except the amounts of outputs, which are in that of the output's port.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub request_id: i64,
    pub external_id: Option<String>,
    pub payer_name: Option<String>,
    pub port_code: String,
    /// ISO 4217, in lower case.
    pub currency: String,
    pub state: String,
    pub quote_requested_at: Option<OffsetDateTime>,
    pub quote_accepted_at: Option<OffsetDateTime>,
    pub finished_at: OffsetDateTime,
    pub total_to_spend: BigDecimal,
    pub money_returned: BigDecimal,
    pub figures: Vec<Figures>,
    /// The first of the outputs, by id.
    pub outputs: Vec<Line>,
}

impl Receipt {
    /// What was paid in the end.
    fn paid(&self) -> BigDecimal {
        &self.total_to_spend - &self.money_returned
    }

    /// How many outputs there are beyond those listed.
    fn more(&self) -> i64 {
        let all: i64 = self.figures.iter().map(|figures| figures.count).sum();
        all - i64::try_from(self.outputs.len()).unwrap_or(all)
    }
}

/// What the outputs in one state come to.
#[derive(Debug, Clone)]
pub struct Figures {
    pub state: String,
    pub count: i64,
    pub budgets: BigDecimal,
    pub money_returned: BigDecimal,
}

/// One output.
#[derive(Debug, Clone)]
pub struct Line {
    pub id: i64,
    pub payee_name: Option<String>,
    pub port_code: String,
    pub amount: Option<BigDecimal>,
    pub budget: Option<BigDecimal>,
    pub fee_and_cost: Option<BigDecimal>,
    pub state: String,
    pub money_returned: BigDecimal,
}

impl Line {
    /// What was kept of the budget of an output whose money came back.
    fn fee_kept(&self) -> Option<BigDecimal> {
        self.budget.as_ref().map(|budget| budget - &self.money_returned)
    }
}
