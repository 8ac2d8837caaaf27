//! Receipts and credit notes as JSON, for programs. Amounts and times have the format of the API.

use bigdecimal::BigDecimal;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Figures, Line, Receipt};
use crate::jsonapi::values::{DecimalNumber, NumericId, Timestamp};

/// A receipt, or a credit note, of a finished request.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DocumentOf{Output}s")]
pub struct ReceiptDocument<Output> {
    /// Id of the request.
    request_id: NumericId,
    /// The payer's own reference.
    external_id: Option<String>,
    /// Name of the payer.
    payer_name: Option<String>,
    /// Origin port.
    port_code: String,
    /// Currency of all money but the outputs' amounts, ISO 4217 in lower case.
    currency: String,
    /// State of the request.
    state: String,
    /// Time of the request for a quote.
    quote_requested_at: Option<Timestamp>,
    /// Time of acceptance.
    quote_accepted_at: Option<Timestamp>,
    /// Time of the last output's end.
    finished_at: Timestamp,
    /// Price of all outputs.
    total_to_spend: DecimalNumber,
    /// Money that came back.
    money_returned: DecimalNumber,
    /// Money paid in the end.
    paid: DecimalNumber,
    /// Totals of the outputs in each state.
    states: Vec<ReceiptFigures>,
    /// The first outputs, by id; on a credit note, the refunded ones.
    outputs: Vec<Output>,
    /// Number of further outputs.
    outputs_not_listed: i64,
}

/// Totals of the outputs in one state.
#[derive(Debug, Serialize, JsonSchema)]
struct ReceiptFigures {
    /// State of the outputs.
    state: String,
    /// Number of outputs.
    outputs_count: i64,
    /// Sum of their budgets.
    budgets: DecimalNumber,
    /// Sum of the money that came back.
    money_returned: DecimalNumber,
}

/// An output on a receipt.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReceiptOutput {
    /// Id of the output.
    id: NumericId,
    /// Name of the payee.
    payee_name: Option<String>,
    /// Destination port.
    port_code: String,
    /// State of the output.
    state: String,
    /// Money from the payer.
    budget: Option<DecimalNumber>,
    /// Money for the payee, in the destination port's currency.
    amount: Option<DecimalNumber>,
    /// Fees.
    fee_and_cost: Option<DecimalNumber>,
}

/// A refunded output on a credit note.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CreditNoteOutput {
    /// Id of the output.
    id: NumericId,
    /// Name of the payee.
    payee_name: Option<String>,
    /// Destination port.
    port_code: String,
    /// State of the output.
    state: String,
    /// Money from the payer.
    budget: Option<DecimalNumber>,
    /// Fees that were kept.
    fee_kept: Option<DecimalNumber>,
    /// Money that came back.
    money_returned: DecimalNumber,
}

/// Returns a receipt.
pub fn receipt(receipt: &Receipt) -> ReceiptDocument<ReceiptOutput> {
    document(receipt, |line| ReceiptOutput {
        id: NumericId(line.id),
        payee_name: line.payee_name.clone(),
        port_code: line.port_code.clone(),
        state: line.state.clone(),
        budget: line.budget.as_ref().map(money),
        amount: line.amount.as_ref().map(money),
        fee_and_cost: line.fee_and_cost.as_ref().map(money),
    })
}

/// Returns a credit note.
pub fn credit_note(receipt: &Receipt) -> ReceiptDocument<CreditNoteOutput> {
    document(receipt, |line| CreditNoteOutput {
        id: NumericId(line.id),
        payee_name: line.payee_name.clone(),
        port_code: line.port_code.clone(),
        state: line.state.clone(),
        budget: line.budget.as_ref().map(money),
        fee_kept: line.fee_kept().map(DecimalNumber),
        money_returned: money(&line.money_returned),
    })
}

fn document<Output>(receipt: &Receipt, output: impl Fn(&Line) -> Output) -> ReceiptDocument<Output> {
    ReceiptDocument {
        request_id: NumericId(receipt.request_id),
        external_id: receipt.external_id.clone(),
        payer_name: receipt.payer_name.clone(),
        port_code: receipt.port_code.clone(),
        currency: receipt.currency.clone(),
        state: receipt.state.clone(),
        quote_requested_at: receipt.quote_requested_at.map(Timestamp),
        quote_accepted_at: receipt.quote_accepted_at.map(Timestamp),
        finished_at: Timestamp(receipt.finished_at),
        total_to_spend: money(&receipt.total_to_spend),
        money_returned: money(&receipt.money_returned),
        paid: DecimalNumber(receipt.paid()),
        states: receipt.figures.iter().map(figures).collect(),
        outputs: receipt.outputs.iter().map(output).collect(),
        outputs_not_listed: receipt.more(),
    }
}

fn figures(figures: &Figures) -> ReceiptFigures {
    ReceiptFigures {
        state: figures.state.clone(),
        outputs_count: figures.count,
        budgets: money(&figures.budgets),
        money_returned: money(&figures.money_returned),
    }
}

fn money(value: &BigDecimal) -> DecimalNumber {
    DecimalNumber(value.clone())
}
