//! Receipts and credit notes of finished requests: money spent, the outcome of each output, money returned.
//!
//! The pages are public, outside of `/api` and without a key, because a person opens them from an e-mail.
//! The token in the address is the secret. Each address has two formats: HTML for people, JSON for programs.

mod document;
mod page;
pub mod routes;
mod store;

use bigdecimal::BigDecimal;
use time::OffsetDateTime;

/// Maximum number of outputs listed one by one. The figures cover all outputs.
const LISTED: i64 = 100;

/// PageKind of page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    /// Covers the whole request.
    Receipt,
    /// Covers the returned money. Exists only if money was returned.
    CreditNote,
}

/// A finished request with its outputs: all of them on a receipt, the refunded ones on a credit note.
///
/// Money is in the request's currency. Only the amounts of outputs are in the currency of the output's port.
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
    /// The first outputs, by id.
    pub outputs: Vec<Line>,
    /// The account's own origin of links.
    pub public_url: Option<String>,
}

impl Receipt {
    /// Returns the money paid in the end: the total minus the returned money.
    fn paid(&self) -> BigDecimal {
        &self.total_to_spend - &self.money_returned
    }

    /// Counts the outputs beyond the listed ones.
    fn more(&self) -> i64 {
        let all: i64 = self.figures.iter().map(|figures| figures.count).sum();
        all - i64::try_from(self.outputs.len()).unwrap_or(all)
    }
}

/// Totals of the outputs in one state.
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
    /// Returns the part of a refunded output's budget that was kept.
    fn fee_kept(&self) -> Option<BigDecimal> {
        self.budget.as_ref().map(|budget| budget - &self.money_returned)
    }
}
