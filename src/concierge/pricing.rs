//! Prices of payouts: the budget for an amount, and the amount for a budget. Pure.
//!
//! The price of a port is data: units of its currency for one US dollar, and the shares for fee and cost.
//! With `fee` of both ports and `cost` of the destination,
//!
//! ```text
//! net    = budget × (1 − fee of the origin) × (1 − fee of the destination) ÷ (1 + cost of the destination)
//! amount = net × rate, where rate = per_usd of the destination ÷ per_usd of the origin
//! ```
//!
//! The computation is exact.
//! Results are truncated to 8 places, not rounded, as in the documented figures.
//! Internally, money and rates are integers in units of 10⁻⁸, the last place.

mod read;

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, Zero};

use super::ports::Port;
pub use read::PricesError;

/// Decimal places of money and rates.
const PLACES: i64 = 8;
/// One, in units of the last place.
const ONE: u32 = 100_000_000;

/// Price of an output: the payee's amount or the payer's budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Price {
    Amount(BigDecimal),
    Budget(BigDecimal),
}

impl Price {
    /// Returns amount and budget; only one is known.
    pub fn amount_and_budget(self) -> (Option<BigDecimal>, Option<BigDecimal>) {
        match self {
            Self::Amount(amount) => (Some(amount), None),
            Self::Budget(budget) => (None, Some(budget)),
        }
    }
}

/// The prices of all ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices {
    /// The source JSON without white space.
    json: String,
    /// One price for each port, in the order of [`PORTS`](super::ports::PORTS).
    ports: Vec<PortPrice>,
}

/// The price of one port, in units of the last place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PortPrice {
    /// Units of the port's currency for one US dollar, above 0.
    per_usd: BigInt,
    /// 1 minus the fee: above 0, at most 1.
    kept: BigInt,
    /// 1 plus the cost of delivery: at least 1.
    delivered: BigInt,
}

/// The price of an output.
/// No figure is negative or has more than 8 decimal places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    /// Sum for the payee, in the destination's currency.
    pub amount: BigDecimal,
    /// Sum from the payer, in the origin's currency.
    pub budget: BigDecimal,
    /// The part of the budget that is not exchanged, in the origin's currency.
    pub fee_and_cost: BigDecimal,
    /// Units of the destination's currency for one unit of the origin's.
    pub rate: BigDecimal,
    /// The rate with fees and costs: `amount` ÷ `budget`.
    pub all_in_rate: BigDecimal,
}

/// Deductions on both sides, for the older form of estimates.
/// The budget less `origin_taken`, exchanged and truncated, equals `result` plus `destination_taken`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deductions {
    /// Sum for the payee: the `amount` of the budget, in the destination's currency.
    pub result: BigDecimal,
    /// The origin's fee, in its currency.
    pub origin_taken: BigDecimal,
    /// The destination's fee and cost, in its currency.
    pub destination_taken: BigDecimal,
}

impl Prices {
    /// Returns the default prices.
    /// They yield the documented estimate to the last digit.
    ///
    /// # Errors
    /// None in practice: a test reads them.
    pub fn built_in() -> Result<Self, PricesError> {
        Self::read(include_str!("prices.json"))
    }

    /// Returns the prices as JSON for [`Prices::read`].
    pub fn json(&self) -> &str {
        &self.json
    }

    fn of(&self, port: &Port) -> &PortPrice {
        // every port has a price, and only `ports` creates ports
        &self.ports[port.place()]
    }

    /// Prices a payout from one port to another.
    /// `price` must be above zero; its places beyond the eighth have no effect.
    ///
    /// A computed budget below its last place becomes zero; its `all_in_rate` is then computed from the prices alone.
    pub fn price(&self, origin: &Port, destination: &Port, price: &Price) -> Priced {
        let (from, to) = (self.of(origin), self.of(destination));
        // 1 less both fees, in units of 10⁻¹⁶
        let kept = &from.kept * &to.kept;
        let (amount, budget, fee_and_cost) = match price {
            Price::Amount(amount) => {
                let amount = units(amount);
                // net budget = net ÷ to.per_usd
                let net = &amount * &from.per_usd;
                let budget = &net * &to.delivered * ONE / (&to.per_usd * &kept);
                // a truncated budget can be below its net by a part of the last place; division drops that part
                let fee_and_cost = (&budget * &to.per_usd - net) / &to.per_usd;
                (amount, budget, fee_and_cost)
            }
            Price::Budget(budget) => {
                let budget = units(budget);
                // net budget = net ÷ whole
                let (net, whole) = (&budget * &kept, &to.delivered * ONE);
                let amount = &net * &to.per_usd / (&whole * &from.per_usd);
                let fee_and_cost = (&budget * &whole - net) / whole;
                (amount, budget, fee_and_cost)
            }
        };
        let rate = &to.per_usd * ONE / &from.per_usd;
        let all_in_rate = if budget.is_zero() {
            &to.per_usd * kept / (&from.per_usd * &to.delivered)
        } else {
            &amount * ONE / &budget
        };
        Priced {
            amount: decimal(amount),
            budget: decimal(budget),
            fee_and_cost: decimal(fee_and_cost),
            rate: decimal(rate),
            all_in_rate: decimal(all_in_rate),
        }
    }

    /// Returns the deductions on both sides of a budget above zero.
    pub fn taken(&self, origin: &Port, destination: &Port, budget: &BigDecimal) -> Deductions {
        let (from, to) = (self.of(origin), self.of(destination));
        let result = self.price(origin, destination, &Price::Budget(budget.clone())).amount;
        let budget = units(budget);
        let origin_taken = &budget * (BigInt::from(ONE) - &from.kept) / ONE;
        let arrived = (budget - &origin_taken) * &to.per_usd / &from.per_usd;
        Deductions { destination_taken: decimal(arrived) - &result, result, origin_taken: decimal(origin_taken) }
    }
}

/// Converts a decimal to units of the last place.
fn units(value: &BigDecimal) -> BigInt {
    value.with_scale(PLACES).into_bigint_and_scale().0
}

/// Converts units of the last place to a decimal.
fn decimal(units: BigInt) -> BigDecimal {
    BigDecimal::new(units, PLACES)
}
