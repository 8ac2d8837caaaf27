//! Reads prices from JSON, an object with one member for each port:
//! `{"cl_clp": {"per_usd": 739, "fee": 0.005, "cost": 0}, …}`.

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, One, Zero};
use serde_json::{Map, Value};

use super::{ONE, PortPrice, Prices, units};
use crate::concierge::ports::{self, PORTS, Port};
use crate::jsonapi::{decimal, json};

/// Faults of prices; each message names the fault and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PricesError {
    #[error("the document is {0}")]
    Json(String),
    #[error("the document is {0}; it must be an object with a member for every port")]
    NotAnObject(String),
    #[error("\"{0}\" is not a port; the ports are {ports}", ports = codes())]
    UnknownPort(String),
    #[error("{0} is missing; it must be an object with {MEMBERS}")]
    MissingPort(&'static str),
    #[error("{port} is {found}; it must be an object with {MEMBERS}")]
    NotAPrice { port: &'static str, found: String },
    #[error("{port} has the unknown member \"{member}\"; it must have {MEMBERS} only")]
    UnknownMember { port: &'static str, member: String },
    #[error("{port} has no `{member}`; it must be {expected}")]
    MissingMember { port: &'static str, member: &'static str, expected: &'static str },
    #[error("`{member}` of {port} is {found}; it must be {expected}")]
    Member { port: &'static str, member: &'static str, found: String, expected: &'static str },
}

const MEMBERS: &str = "`per_usd`, `fee` and `cost`";

const PER_USD: (&str, &str) = (
    "per_usd",
    "units of its currency for one US dollar, above 0, with at most 12 digits before and 8 after the point",
);
const FEE: (&str, &str) =
    ("fee", "the share taken as a fee, from 0 to less than 1, with at most 8 digits after the point");
const COST: (&str, &str) = (
    "cost",
    "the cost of delivery as a share of the net amount, 0 or more, with at most 12 digits before and 8 after the point",
);

fn codes() -> String {
    PORTS.map(|port| port.code).join(", ")
}

impl Prices {
    /// Returns the default prices.
    /// They yield the documented estimate to the last digit.
    ///
    /// # Errors
    /// None in practice: a test reads them.
    pub fn built_in() -> Result<Self, PricesError> {
        Self::read(include_str!("../prices.json"))
    }

    /// Reads the prices of all ports.
    ///
    /// # Errors
    /// The first fault: an unknown or missing port, or an unknown, missing or invalid member.
    pub fn read(text: &str) -> Result<Self, PricesError> {
        let document = json::read(text.as_bytes()).map_err(|faults| {
            let details: Vec<&str> = faults.iter().map(|fault| fault.detail.as_str()).collect();
            PricesError::Json(details.join("; "))
        })?;
        let members = document.as_object().ok_or_else(|| PricesError::NotAnObject(shown(&document)))?;
        if let Some(unknown) = members.keys().find(|code| ports::find(code).is_none()) {
            return Err(PricesError::UnknownPort(unknown.clone()));
        }
        let prices: Result<Vec<PortPrice>, PricesError> = PORTS
            .iter()
            .map(|port| {
                members.get(port.code).ok_or(PricesError::MissingPort(port.code)).and_then(|price| read(port, price))
            })
            .collect();
        Ok(Self { ports: prices?, json: document.to_string() })
    }
}

fn read(port: &Port, price: &Value) -> Result<PortPrice, PricesError> {
    let members = price.as_object().ok_or_else(|| PricesError::NotAPrice { port: port.code, found: shown(price) })?;
    if let Some(unknown) = members.keys().find(|name| ![PER_USD.0, FEE.0, COST.0].contains(&name.as_str())) {
        return Err(PricesError::UnknownMember { port: port.code, member: unknown.clone() });
    }
    let per_usd = number(port, members, PER_USD, |per_usd| *per_usd > BigDecimal::zero())?;
    let fee = number(port, members, FEE, |fee| (BigDecimal::zero()..BigDecimal::one()).contains(fee))?;
    let cost = number(port, members, COST, |cost| *cost >= BigDecimal::zero())?;
    let one = BigInt::from(ONE);
    Ok(PortPrice { per_usd: units(&per_usd), kept: &one - units(&fee), delivered: one + units(&cost) })
}

/// Reads a number of a port's price, given its name and a description of valid values.
fn number(
    port: &Port,
    members: &Map<String, Value>,
    (member, expected): (&'static str, &'static str),
    fits: fn(&BigDecimal) -> bool,
) -> Result<BigDecimal, PricesError> {
    let port = port.code;
    let found = members.get(member).ok_or(PricesError::MissingMember { port, member, expected })?;
    let read = found.as_number().and_then(|number| decimal::read(&number.to_string())).filter(fits);
    read.ok_or_else(|| PricesError::Member { port, member, found: shown(found), expected })
}

/// Shortens a value for an error message.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
