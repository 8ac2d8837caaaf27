//! Bodies of simulations: plain JSON.

use bigdecimal::BigDecimal;
use serde_json::Value;

use crate::concierge::cash_wallets::currencies;
use crate::concierge::machine::{Machine, Named};
use crate::concierge::outputs::document::{AMOUNT_NOT_POSITIVE, LONGEST_REASON};
use crate::concierge::pricing::Prices;
use crate::concierge::{outputs, requests};
use crate::jsonapi::document::Reader;
use crate::jsonapi::error::{ATTRIBUTE_INVALID, Errors};
use crate::jsonapi::json;
use crate::jsonapi::schema::{Attribute, Input, ValueType};

/// Members of a simulation that gives a reason.
pub const REASON: &[Attribute] = &[Attribute::new(
    "reason",
    ValueType::Text { longest: LONGEST_REASON },
    "Reason, shown by the output.",
    r#""the account is closed""#,
)
.on_create(Input::Optional)];
/// Members of a quote.
pub const PRICES: &[Attribute] = &[Attribute::new(
    "prices",
    ValueType::Free,
    "Prices of this quote, in the form of a price file, merged over the prices of the day.",
    "{}",
)
.on_create(Input::Optional)];
/// Members of a credit or debit.
pub const MONEY: &[Attribute] = &[
    Attribute::new("currency", ValueType::Text { longest: 100 }, "Currency of a port, in either case.", r#""ars""#)
        .on_create(Input::Required),
    Attribute::new("amount", ValueType::Decimal, "Amount in units of the currency.", "1000").on_create(Input::Required),
];
/// Members of a transition of an output.
pub const OUTPUT_TARGET: &[Attribute] = &[state_of(&outputs::state::NAMES), THROUGH];
/// Members of a transition of a request.
pub const REQUEST_TARGET: &[Attribute] = &[state_of(&requests::state::NAMES), THROUGH];
const THROUGH: Attribute =
    Attribute::new("through", ValueType::Boolean, "True to pass through the states in between.", "true")
        .on_create(Input::Optional);

const fn state_of(names: &'static [&'static str]) -> Attribute {
    Attribute::new("state", ValueType::OneOf(names), "State to reach.", "").on_create(Input::Required)
}

/// Reads a `reason`, if the transition takes one.
///
/// # Errors
/// Every fault of the body.
pub fn read_reason(body: &[u8], has_reason: bool) -> Result<Option<String>, Errors> {
    let mut reader = Reader::open_plain(body, if has_reason { REASON } else { &[] })?;
    let reason = reader.text("reason", LONGEST_REASON);
    reader.finish(Some(reason))
}

/// Reads the `prices` of a quote, merged over the prices of the day.
///
/// # Errors
/// Every fault of the body.
pub fn read_prices(body: &[u8], of_the_day: &Prices) -> Result<Option<String>, Errors> {
    let mut reader = Reader::open_plain(body, PRICES)?;
    let Some(own) = reader.object("prices").cloned() else { return reader.finish(Some(None)) };
    let Ok(Value::Object(mut prices)) = json::read(of_the_day.json().as_bytes()) else { return Ok(None) };
    prices.extend(own);
    let prices = Value::Object(prices).to_string();
    match Prices::read(&prices) {
        Ok(read) => reader.finish(Some(Some(read.json().to_owned()))),
        Err(fault) => {
            reader.fault(ATTRIBUTE_INVALID, "/prices", format!("`prices`: {fault}"));
            reader.finish(None)
        }
    }
}

/// An amount of a currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    pub currency: String,
    pub amount: BigDecimal,
}

/// Reads an `amount` and its `currency`.
///
/// # Errors
/// Every fault of the body.
pub fn read_money(body: &[u8]) -> Result<Money, Errors> {
    let mut reader = Reader::open_plain(body, MONEY)?;
    let known = currencies();
    let expected = format!("one of {}", known.join(", "));
    let mut currency = None;
    if reader.is_null("currency") {
        reader.missing("currency", &expected);
    } else if let Some(text) = reader.text("currency", 100) {
        currency = Some(text.to_ascii_lowercase()).filter(|currency| known.contains(currency));
        if currency.is_none() {
            reader.invalid("currency", &expected);
        }
    }
    if reader.is_null("amount") {
        reader.missing("amount", "a number greater than 0");
    }
    let amount = reader.positive_decimal("amount", AMOUNT_NOT_POSITIVE);
    reader.finish(currency.zip(amount).map(|(currency, amount)| Money { currency, amount }))
}

/// A target state, and permission to pass through intermediate states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetState<S> {
    pub to: S,
    pub through: bool,
}

/// Reads a target `state` and the optional flag `through`.
///
/// # Errors
/// Every fault of the body.
pub fn read_transition<S: Named, T>(body: &[u8], machine: &Machine<S, T>) -> Result<TargetState<S>, Errors>
where
    T: Named,
{
    let mut reader = Reader::open_plain(body, OUTPUT_TARGET)?;
    let through = reader.boolean("through").unwrap_or_default();
    let names: Vec<&str> = machine.states.iter().map(|state| state.name()).collect();
    let expected = format!("one of {}", names.join(", "));
    let mut to = None;
    if reader.is_null("state") {
        reader.missing("state", &expected);
    } else if let Some(text) = reader.text("state", 100) {
        to = machine.named(&text);
        if to.is_none() {
            reader.invalid("state", &expected);
        }
    }
    reader.finish(to.map(|to| TargetState { to, through }))
}
