//! What a payout costs: how much has to be spent for an amount, and what arrives of a budget. Pure.
//!
//! A port's price is data: how many units of its currency one US dollar is, and which shares are taken. With `fee` of
//! both ports and `cost` of the destination,
//!
//! ```text
//! net    = budget × (1 − fee of the origin) × (1 − fee of the destination) ÷ (1 + cost of the destination)
//! amount = net × rate, where rate = per_usd of the destination ÷ per_usd of the origin
//! ```
//!
//! Computing is exact; what comes out is cut, not rounded, to 8 places, as the documented figures are. Inside, money
//! and rates are whole numbers of 10⁻⁸, the last place.

mod read;

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, Zero};

use super::outputs::Price;
use super::ports::Port;
pub use read::PricesError;

/// Places after the point of every sum of money and every rate.
const PLACES: i64 = 8;
/// One, in units of the last place.
const ONE: u32 = 100_000_000;

/// The price of every port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices {
    /// What they were read from, without white space.
    json: String,
    /// In the order of the ports.
    ports: Vec<PortPrice>,
}

/// The price of one port, in units of the last place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PortPrice {
    /// Units of the port's currency for one US dollar, above 0.
    per_usd: BigInt,
    /// What the fee leaves of one: above 0, at most 1.
    kept: BigInt,
    /// What it costs to deliver one, that one included: at least 1.
    delivered: BigInt,
}

/// What an output costs. Nothing of it is negative, and none of it has more than 8 places after the point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    /// What the payee receives, in the destination's currency.
    pub amount: BigDecimal,
    /// What the payer spends, in the origin's currency.
    pub budget: BigDecimal,
    /// The part of the budget that isn't exchanged, in the origin's currency.
    pub fee_and_cost: BigDecimal,
    /// Units of the destination's currency for one of the origin's.
    pub rate: BigDecimal,
    /// The same with fees and costs: `amount` ÷ `budget`.
    pub all_in_rate: BigDecimal,
}

/// What is taken on each side when a sum is sent, as the older form of estimates tells it: what is sent less
/// `origin_taken`, exchanged and cut, is `result` and `destination_taken` together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What arrives: the `amount` of that budget, in the destination's currency.
    pub result: BigDecimal,
    /// The origin's fee, in its currency.
    pub origin_taken: BigDecimal,
    /// The destination's fee and cost, in its currency.
    pub destination_taken: BigDecimal,
}

impl Prices {
    /// The prices of a server that is told no others. They give the documented estimate to the last digit.
    ///
    /// # Errors
    /// None: a test reads them.
    pub fn built_in() -> Result<Self, PricesError> {
        Self::read(include_str!("prices.json"))
    }

    /// What [`Prices::read`] reads these prices from.
    pub fn json(&self) -> &str {
        &self.json
    }

    fn of(&self, port: &Port) -> &PortPrice {
        // there is one for every port, and nobody else can make ports
        &self.ports[port.place()]
    }

    /// What it costs to pay `price`, which is above zero, from one port to another. Of what is given, places beyond
    /// the eighth have no effect.
    ///
    /// A budget that comes to less than its last place is zero; its `all_in_rate` is that of any other.
    pub fn price(&self, origin: &Port, destination: &Port, price: &Price) -> Priced {
        let (from, to) = (self.of(origin), self.of(destination));
        // what both fees leave of one, in units of 10⁻¹⁶
        let kept = &from.kept * &to.kept;
        let (amount, budget, fee_and_cost) = match price {
            Price::Amount(amount) => {
                let amount = units(amount);
                // the net budget is this ÷ to.per_usd
                let net = &amount * &from.per_usd;
                let budget = &net * &to.delivered * ONE / (&to.per_usd * &kept);
                // a budget that was cut can be less than its own net: by a part of its last place, which division drops
                let fee_and_cost = (&budget * &to.per_usd - net) / &to.per_usd;
                (amount, budget, fee_and_cost)
            }
            Price::Budget(budget) => {
                let budget = units(budget);
                // the net budget is this ÷ whole
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

    /// What is taken on each side of a budget, which is above zero.
    pub fn taken(&self, origin: &Port, destination: &Port, budget: &BigDecimal) -> Taken {
        let (from, to) = (self.of(origin), self.of(destination));
        let result = self.price(origin, destination, &Price::Budget(budget.clone())).amount;
        let budget = units(budget);
        let origin_taken = &budget * (BigInt::from(ONE) - &from.kept) / ONE;
        let arrived = (budget - &origin_taken) * &to.per_usd / &from.per_usd;
        Taken { destination_taken: decimal(arrived) - &result, result, origin_taken: decimal(origin_taken) }
    }
}

/// A decimal in units of the last place.
fn units(value: &BigDecimal) -> BigInt {
    value.with_scale(PLACES).into_bigint_and_scale().0
}

/// The decimal of so many units of the last place.
fn decimal(units: BigInt) -> BigDecimal {
    BigDecimal::new(units, PLACES)
}
