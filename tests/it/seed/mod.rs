//! Seeds: resources with chosen ids, stored as a whole document or not at all.

mod applying;
mod files;
mod rejecting;

use serde_json::{Value, json};

use crate::support::Account;

const PATH: &str = "/_sandbox/seed";

const OUTPUTS: &str = "/api/concierge_request_outputs";

/// Builds a relationship to a resource.
fn to(type_name: &str, id: impl Into<Value>) -> Value {
    json!({"data": {"type": type_name, "id": id.into()}})
}

fn user(id: impl Into<Value>, attributes: impl Into<Value>) -> Value {
    json!({"type": "users", "id": id.into(), "attributes": attributes.into()})
}

fn instruction(id: impl Into<Value>, user: i64) -> Value {
    json!({"type": "withdrawal_instructions", "id": id.into(), "attributes": {"label": "savings", "body": {"a": 1.50}},
        "relationships": {"user": to("users", user)}})
}

fn request(id: impl Into<Value>) -> Value {
    json!({"type": "concierge_requests", "id": id.into(), "attributes": {"port_code": "ar_ars"}})
}

fn output(id: impl Into<Value>, request: i64, user: i64, instruction: i64, state: &str) -> Value {
    json!({"type": "concierge_request_outputs", "id": id.into(),
        "attributes": {"port_code": "cl_clp", "amount": 1000, "state": state},
        "relationships": {"request": to("concierge_requests", request), "user": to("users", user),
            "withdrawal_instruction": to("withdrawal_instructions", instruction.to_string())}})
}

fn wallet(currency: &str, user: i64, balance: impl Into<Value>) -> Value {
    json!({"type": "cash_wallets", "id": currency, "attributes": {"balance": balance.into()},
        "relationships": {"user": to("users", user)}})
}

/// Builds a payroll; some resources precede the targets of their relationships.
pub fn payroll() -> Value {
    json!({"data": [
        output(40001, 7001, 100, 9001, "accepted"),
        output("40002", 7001, 101, 9002, "rejected"),
        output(40003, 7001, 101, 9002, "accepting"),
        output(40004, 1010, 20202, 2121, "accepting"),
        instruction(9001, 100),
        instruction(9002, 101),
        request(7001),
        user(100, json!({"email": "ana@example.com", "name": "Ana", "compliance_state": "enabled", "otp_enabled": true})),
        user("101", json!({"compliance_state": "new"})),
        wallet("ars", 50505, "200.5"),
        wallet("BRL", 100, 0),
    ]})
}

async fn seed(account: &Account, document: &Value) -> Value {
    account.post(PATH, document).await.expect(201)
}
