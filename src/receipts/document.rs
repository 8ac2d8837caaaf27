//! Receipts and credit notes as JSON, for programs. Amounts and times have the format of the API.

use bigdecimal::BigDecimal;
use serde_json::{Value, json};

use super::{Figures, Line, PageKind, Receipt};
use crate::jsonapi::decimal::number;
use crate::jsonapi::render::timestamp;

/// Renders a receipt or credit note as JSON.
pub fn render(receipt: &Receipt, kind: PageKind) -> Vec<u8> {
    let outputs: Vec<Value> = receipt.outputs.iter().map(|line| render_line(line, kind)).collect();
    json!({
        "request_id": receipt.request_id.to_string(),
        "external_id": receipt.external_id,
        "payer_name": receipt.payer_name,
        "port_code": receipt.port_code,
        "currency": receipt.currency,
        "state": receipt.state,
        "quote_requested_at": receipt.quote_requested_at.map(timestamp),
        "quote_accepted_at": receipt.quote_accepted_at.map(timestamp),
        "finished_at": timestamp(receipt.finished_at),
        "total_to_spend": money(&receipt.total_to_spend),
        "money_returned": money(&receipt.money_returned),
        "paid": money(&receipt.paid()),
        "states": receipt.figures.iter().map(render_figures).collect::<Vec<_>>(),
        "outputs": outputs,
        "outputs_not_listed": receipt.more(),
    })
    .to_string()
    .into_bytes()
}

fn render_figures(figures: &Figures) -> Value {
    json!({
        "state": figures.state,
        "outputs_count": figures.count,
        "budgets": money(&figures.budgets),
        "money_returned": money(&figures.money_returned),
    })
}

/// Renders an output: its cost on a receipt, its refund on a credit note.
fn render_line(line: &Line, kind: PageKind) -> Value {
    let mut rendered = json!({
        "id": line.id.to_string(),
        "payee_name": line.payee_name,
        "port_code": line.port_code,
        "state": line.state,
        "budget": line.budget.as_ref().map(money),
    });
    match kind {
        PageKind::Receipt => {
            rendered["amount"] = line.amount.as_ref().map(money).into();
            rendered["fee_and_cost"] = line.fee_and_cost.as_ref().map(money).into();
        }
        PageKind::CreditNote => {
            rendered["fee_kept"] = line.fee_kept().as_ref().map(money).into();
            rendered["money_returned"] = money(&line.money_returned);
        }
    }
    rendered
}

fn money(value: &BigDecimal) -> Value {
    number(value).map_or(Value::Null, Value::Number)
}
