//! Prices, compared with separate integer arithmetic.

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, FromPrimitive};
use concierge_sandbox::concierge::estimates::fingerprint;
use concierge_sandbox::concierge::ports::{PORTS, Port, find};
use concierge_sandbox::concierge::pricing::{Price, Priced, Prices};
use proptest::prelude::*;
use serde_json::json;

/// Prices of two ports in units of the last decimal place (1e-8).
#[derive(Debug, Clone)]
struct Pair {
    per_usd: [u64; 2],
    fee: [u64; 2],
    cost: u64,
}

const ONE: u64 = 100_000_000;

impl Pair {
    /// Builds the prices of all ports, with this pair for [`origin`] and [`destination`].
    fn prices(&self) -> Prices {
        let mut all = serde_json::Map::new();
        for port in PORTS {
            all.insert(port.code.to_owned(), json!({"per_usd": 1, "fee": 0.25, "cost": 7}));
        }
        for (port, side) in [(origin(), 0), (destination(), 1)] {
            let text = format!(
                r#"{{"per_usd":{},"fee":{},"cost":{}}}"#,
                money(self.per_usd[side]),
                money(self.fee[side]),
                money(if side == 1 { self.cost } else { 5 * ONE })
            );
            all[port.code] = serde_json::from_str(&text).unwrap();
        }
        Prices::read(&serde_json::to_string_pretty(&all).unwrap()).unwrap()
    }

    /// Returns the share left after both fees, as a fraction.
    fn kept(&self) -> [BigInt; 2] {
        [big(ONE - self.fee[0]) * (ONE - self.fee[1]), big(ONE) * ONE]
    }

    /// Returns budget ÷ net budget, as a fraction.
    fn gross(&self) -> [BigInt; 2] {
        let [kept, one] = self.kept();
        [big(ONE + self.cost) * one, kept * ONE]
    }

    fn price(&self, price: &Price) -> Priced {
        self.prices().price(origin(), destination(), price)
    }
}

fn origin() -> &'static Port {
    find("ar_ars").unwrap()
}

fn destination() -> &'static Port {
    find("uy_uyu").unwrap()
}

fn big(number: impl Into<BigInt>) -> BigInt {
    number.into()
}

/// Converts units of the last decimal place to a decimal.
fn money(units: impl Into<BigInt>) -> BigDecimal {
    BigDecimal::new(units.into(), 8)
}

/// Converts a decimal to units of the last decimal place, and asserts that no fraction is left.
fn units(value: &BigDecimal) -> BigInt {
    let scaled = value * BigDecimal::from_u64(ONE).unwrap();
    assert!(scaled.is_integer(), "{value} has more than 8 places");
    scaled.with_scale(0).into_bigint_and_scale().0
}

/// Returns true if `value` is `above` ÷ `below` truncated to units of the last decimal place.
fn is_truncated(value: &BigDecimal, above: &BigInt, below: &BigInt) -> bool {
    let value = units(value);
    &value * below <= *above && (value + 1) * below > *above
}

/// Generates units of the last decimal place, in every magnitude a client may send.
fn sums() -> impl Strategy<Value = u128> {
    prop_oneof![1..1000_u128, 1..=u128::from(ONE), 1..1_000_000 * u128::from(ONE), 1..10_u128.pow(20)]
}

fn pairs() -> impl Strategy<Value = Pair> {
    let per_usd = || prop_oneof![Just(ONE), 1..1000_u64, 1..ONE, ONE..10_000 * ONE];
    let share = || prop_oneof![Just(0), Just(ONE / 200), 0..ONE / 10, 0..ONE];
    let cost = prop_oneof![Just(0), Just(300_000), 0..ONE, 0..5 * ONE];
    ([per_usd(), per_usd()], [share(), share()], cost).prop_map(|(per_usd, fee, cost)| Pair { per_usd, fee, cost })
}

proptest! {
    #![proptest_config(super::cases(500))]

    #[test]
    fn price_of_a_budget_is_truncated_exactly(pair in pairs(), sum in sums()) {
        let priced = pair.price(&Price::Budget(money(sum)));
        let [to, from] = [big(pair.per_usd[1]), big(pair.per_usd[0])];
        let [gross, net] = pair.gross();
        prop_assert_eq!(units(&priced.budget), big(sum));
        prop_assert!(is_truncated(&priced.amount, &(big(sum) * &net * &to), &(&gross * &from)), "{:?}", priced);
        prop_assert!(is_truncated(&priced.fee_and_cost, &(big(sum) * (&gross - &net)), &gross), "{:?}", priced);
        prop_assert!(is_truncated(&priced.rate, &(to * ONE), &from), "{:?}", priced);
        prop_assert!(is_truncated(&priced.all_in_rate, &(units(&priced.amount) * ONE), &big(sum)), "{:?}", priced);
    }

    #[test]
    fn price_of_an_amount_is_truncated_exactly(pair in pairs(), sum in sums()) {
        let priced = pair.price(&Price::Amount(money(sum)));
        let [to, from] = [big(pair.per_usd[1]), big(pair.per_usd[0])];
        let [gross, net] = pair.gross();
        prop_assert_eq!(units(&priced.amount), big(sum));
        prop_assert!(is_truncated(&priced.budget, &(big(sum) * &from * &gross), &(&to * &net)), "{:?}", priced);
        // the fee is never negative, though truncation may leave the budget below its net
        let (budget, exact_net) = (units(&priced.budget) * &to, big(sum) * &from);
        if budget >= exact_net {
            prop_assert!(is_truncated(&priced.fee_and_cost, &(&budget - exact_net), &to), "{:?}", priced);
        } else {
            prop_assert_eq!(units(&priced.fee_and_cost), big(0));
        }
        let [kept, one] = pair.kept();
        if priced.budget == money(0) {
            let (above, below) = (to * ONE * ONE * kept, from * (ONE + pair.cost) * one);
            prop_assert!(is_truncated(&priced.all_in_rate, &above, &below));
        } else {
            prop_assert!(is_truncated(&priced.all_in_rate, &(big(sum) * ONE), &units(&priced.budget)), "{:?}", priced);
        }
    }

    #[test]
    fn price_parts_add_up_and_are_never_negative(pair in pairs(), sum in sums(), is_amount in any::<bool>()) {
        let price = if is_amount { Price::Amount(money(sum)) } else { Price::Budget(money(sum)) };
        let priced = pair.price(&price);
        let parts = [&priced.amount, &priced.budget, &priced.fee_and_cost, &priced.rate, &priced.all_in_rate];
        prop_assert!(parts.iter().all(|part| **part >= money(0)), "{:?}", priced);
        prop_assert!(priced.fee_and_cost <= priced.budget, "{:?}", priced);
        // the net budget, exchanged, equals the amount within one last decimal place of each
        let net = units(&(&priced.budget - &priced.fee_and_cost));
        let (exchanged, amount) = (net * pair.per_usd[1], units(&priced.amount) * pair.per_usd[0]);
        let difference = if exchanged > amount { exchanged - amount } else { amount - exchanged };
        prop_assert!(difference < big(pair.per_usd[0]) + pair.per_usd[1], "{:?}", priced);
    }

    /// Truncation takes less than one unit of the budget's last decimal place.
    /// The amount lost is bound by the value of this unit, in whole units of the amount's last decimal place.
    /// The bound is one, or more if the budget is coarser than the amount.
    #[test]
    fn amount_survives_a_round_trip_through_its_budget(pair in pairs(), sum in sums()) {
        let there = pair.price(&Price::Amount(money(sum)));
        let back = pair.price(&Price::Budget(there.budget));
        let lost = big(sum) - units(&back.amount);
        let [gross, net] = pair.gross();
        let (unit, of) = (net * pair.per_usd[1], gross * pair.per_usd[0]);
        prop_assert!(lost >= big(0), "{:?}", back);
        prop_assert!(&lost * &of < unit + of, "{} lost of {}", lost, sum);
    }

    #[test]
    fn higher_price_never_lowers_budget_or_amount(pair in pairs(), sum in sums(), more in 0..1000_u64) {
        let prices = pair.prices();
        let price = |price: Price| prices.price(origin(), destination(), &price);
        let (less, rather) = (money(sum), money(big(sum) + more));
        let [amount, larger] = [price(Price::Amount(less.clone())), price(Price::Amount(rather.clone()))];
        prop_assert!(amount.budget <= larger.budget);
        let [budget, wider] = [price(Price::Budget(less)), price(Price::Budget(rather))];
        prop_assert!(budget.amount <= wider.amount && budget.fee_and_cost <= wider.fee_and_cost);
    }

    #[test]
    fn parts_taken_on_both_sides_add_up(pair in pairs(), sum in sums()) {
        let prices = pair.prices();
        let taken = prices.taken(origin(), destination(), &money(sum));
        prop_assert_eq!(&taken.result, &pair.price(&Price::Budget(money(sum))).amount);
        prop_assert!(taken.origin_taken >= money(0) && taken.destination_taken >= money(0), "{:?}", taken);
        prop_assert!(is_truncated(&taken.origin_taken, &(big(sum) * pair.fee[0]), &big(ONE)), "{:?}", taken);
        let sent = big(sum) - units(&taken.origin_taken);
        let arrived = taken.result + taken.destination_taken;
        prop_assert!(is_truncated(&arrived, &(sent * pair.per_usd[1]), &big(pair.per_usd[0])), "{}", arrived);
    }

    #[test]
    fn fingerprint_ignores_order_and_sees_every_change(
        outputs in prop::collection::vec((0..3_usize, any::<bool>(), 1..4_u64), 1..6), seed in any::<u64>(),
    ) {
        let price = |is_amount, sum: BigDecimal| if is_amount { Price::Amount(sum) } else { Price::Budget(sum) };
        let read = |scale: i64| {
            move |(port, is_amount, sum): &(usize, bool, u64)| {
                (PORTS[*port].code, price(*is_amount, BigDecimal::from(*sum).with_scale(scale)))
            }
        };
        let of = |outputs: &[(&'static str, Price)]| fingerprint(outputs.iter().map(|(port, price)| (*port, price)));
        let plain: Vec<_> = outputs.iter().map(read(0)).collect();
        let mut other: Vec<_> = outputs.iter().map(read(5)).collect();
        for place in 1..other.len() {
            other.swap(place, usize::try_from(seed).unwrap_or(7) % (place + 1));
        }
        prop_assert_eq!(of(&plain), of(&other));
        for place in 0..outputs.len() {
            let (port, is_amount, sum) = outputs[place];
            for changed in [(port + 1, is_amount, sum), (port, !is_amount, sum), (port, is_amount, sum * 10)] {
                let mut different = plain.clone();
                different[place] = read(0)(&changed);
                prop_assert_ne!(of(&plain), of(&different));
            }
        }
        prop_assert_ne!(of(&plain), of(&plain[1..]));
    }
}

#[test]
fn built_in_prices_give_the_documented_estimate() {
    let prices = Prices::built_in().unwrap();
    let decimal = |text: &str| text.parse::<BigDecimal>().unwrap();
    let from = find("cl_clp").unwrap();
    let dollars = prices.price(from, find("us_usd").unwrap(), &Price::Budget(decimal("100000")));
    let [amount, rate, all_in_rate, fee_and_cost] = ["133.96820027", "0.00135317", "0.00133968", "997.5"].map(decimal);
    let budget = decimal("100000");
    assert_eq!(dollars, Priced { amount, budget, fee_and_cost, rate, all_in_rate });
    let pesos = prices.price(from, find("mx_mxn").unwrap(), &Price::Amount(decimal("500.000000009")));
    let [amount, budget, fee_and_cost] = ["500", "19132.65420936", "247.50367733"].map(decimal);
    let [rate, all_in_rate] = ["0.02647582", "0.02613333"].map(decimal);
    assert_eq!(pesos, Priced { amount, budget, fee_and_cost, rate, all_in_rate });
    assert_eq!(Prices::read(prices.json()), Ok(prices));
}

#[test]
fn invalid_prices_are_refused_with_the_valid_form() {
    let built_in = Prices::built_in().unwrap();
    let good: serde_json::Value = serde_json::from_str(built_in.json()).unwrap();
    let complaint = |text: &str| Prices::read(text).unwrap_err().to_string();
    let with = |pointer: &str, text: &str| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = serde_json::from_str(text).unwrap();
        complaint(&bad.to_string())
    };
    for (pointer, values, expected) in [
        ("/cl_clp/per_usd", ["0", "-1", "1000000000000", "0.000000001", "\"739\"", "null"], "`per_usd` of cl_clp is "),
        ("/us_usd/fee", ["1", "-0.1", "1.5", "0.123456789", "[]", "true"], "`fee` of us_usd is "),
        ("/mx_mxn/cost", ["-0.1", "-1", "1000000000000", "0.000000001", "{}", "\"\""], "`cost` of mx_mxn is "),
        ("/py_pyg", ["1", "null", "[]", "\"x\"", "true", "1.5"], "py_pyg is "),
    ] {
        for value in values {
            let message = with(pointer, value);
            assert!(
                message.starts_with(expected) && message.contains(value) && message.contains("; it must be "),
                "{message}"
            );
        }
    }
    for (port, member) in [("cl_clp", "per_usd"), ("us_usd", "fee"), ("mx_mxn", "cost")] {
        let mut bad = good.clone();
        bad[port].as_object_mut().unwrap().remove(member);
        assert!(complaint(&bad.to_string()).starts_with(&format!("{port} has no `{member}`; it must be ")));
        bad[port]["spread"] = json!(0);
        assert!(
            complaint(&bad.to_string()).starts_with(&format!("{port} has the unknown member \"spread\"; it must have"))
        );
        bad.as_object_mut().unwrap().remove(port);
        assert!(complaint(&bad.to_string()).starts_with(&format!("{port} is missing; it must be an object")));
        bad["xx_xxx"] = json!({});
        assert!(complaint(&bad.to_string()).starts_with("\"xx_xxx\" is not a port; the ports are ar_ars, "));
    }
    assert!(complaint("[]").starts_with("the document is []; it must be an object"));
    assert!(complaint("{\n  \"a\": }").starts_with("the document is invalid JSON at line 2, column 8: "));
    assert!(complaint(r#"{"a":1,"a":2}"#).contains("appears twice"));
    // the limits themselves are allowed
    for (pointer, value) in [("/cl_clp/per_usd", "0.00000001"), ("/us_usd/fee", "0.99999999"), ("/mx_mxn/cost", "12")] {
        let mut edge = good.clone();
        *edge.pointer_mut(pointer).unwrap() = serde_json::from_str(value).unwrap();
        Prices::read(&edge.to_string()).unwrap();
    }
}
