//! Reading prices: an object with a member for every port, `{"cl_clp": {"per_usd": 739, "fee": 0.005, "cost": 0}, …}`.

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, One, Zero};
use serde_json::{Map, Value};

use super::{ONE, PortPrice, Prices, units};
use crate::concierge::ports::{self, PORTS, Port};
use crate::jsonapi::{decimal, json};

/// Why prices can't be used; each message names what is wrong and says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PricesError {
    #[error("they are not JSON: {0}")]
    Json(String),
    #[error("they are {0}; they must be an object with a member for every port")]
    NotAnObject(String),
    #[error("\"{0}\" is no port; the ports are {ports}", ports = codes())]
    UnknownPort(String),
    #[error("the port {0} is missing; give it {MEMBERS}")]
    MissingPort(&'static str),
    #[error("{port} is {found}; it must be an object with {MEMBERS}")]
    NotAPrice { port: &'static str, found: String },
    #[error("{port} has a member \"{member}\", which is not known; it must have {MEMBERS} only")]
    UnknownMember { port: &'static str, member: String },
    #[error("{port} has no `{member}`; it must be {expected}")]
    MissingMember { port: &'static str, member: &'static str, expected: &'static str },
    #[error("`{member}` of {port} is {found}; it must be {expected}")]
    Member { port: &'static str, member: &'static str, found: String, expected: &'static str },
}

const MEMBERS: &str = "`per_usd`, `fee` and `cost`";

const PER_USD: (&str, &str) = (
    "per_usd",
    "the units of its currency for one US dollar, above 0, with at most 12 digits before and 8 after the point",
);
const FEE: (&str, &str) =
    ("fee", "the share that is taken on its side, from 0 to less than 1, with at most 8 digits after the point");
const COST: (&str, &str) = (
    "cost",
    "the share of the net amount that delivery costs, 0 or more, with at most 12 digits before and 8 after the point",
);

fn codes() -> String {
    PORTS.map(|port| port.code).join(", ")
}

impl Prices {
    /// Reads the prices of every port.
    ///
    /// # Errors
    /// The first thing that is wrong: a port that is unknown or missing, a member that is unknown, missing or can't
    /// be used.
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

/// A member of a port's price, with the name it has and what it must be.
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

/// A value as a complaint shows it.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
