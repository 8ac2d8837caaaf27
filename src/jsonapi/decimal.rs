//! Exact decimals in JSON's number grammar.

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, Zero};

/// Reads a decimal in JSON's number grammar without rounding. Returns `None` for any other text, and for more than 12
/// digits before or 8 after the point. Only the value counts: 10e-1 is 1, with any number of zeros.
pub fn read(text: &str) -> Option<BigDecimal> {
    // reading JSON skips white space
    let is_number = !text.contains(char::is_whitespace) && serde_json::from_str::<serde_json::Number>(text).is_ok();
    if !is_number {
        return None;
    }
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_matches('0');
    if significant.is_empty() {
        return Some(BigDecimal::zero());
    }
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    // the power of ten of the last non-zero digit
    let last =
        exponent.parse::<i64>().ok()?.checked_add(i64::try_from(zeros).ok()? - i64::try_from(fraction.len()).ok()?)?;
    let before_point = last.checked_add(i64::try_from(significant.len()).ok()?)?;
    if last < -8 || before_point > 12 {
        return None;
    }
    let value = significant.parse::<i128>().ok()? * sign;
    Some(BigDecimal::new(BigInt::from(value), -last))
}

/// Returns a decimal as a JSON number without superfluous digits.
///
/// # Errors
/// None: the digits of a decimal are a number in JSON's grammar.
pub fn number(value: &BigDecimal) -> Result<serde_json::Number, serde_json::Error> {
    value.normalized().to_plain_string().parse()
}
