//! Decimals, compared with arithmetic on digits.

use concierge_sandbox::jsonapi::decimal::{number, read as decimal};
use proptest::prelude::*;

/// A number's value: its digits without the zeros at either end, and the power of ten of the last of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Exact {
    negative: bool,
    digits: String,
    exponent: i128,
}

impl Exact {
    /// Reads a number in JSON's grammar.
    pub fn read(text: &str) -> Self {
        let negative = text.starts_with('-');
        let (mantissa, exponent) =
            text.trim_start_matches('-').split_once(['e', 'E']).unwrap_or((text.trim_start_matches('-'), "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_matches('0').to_owned();
        if digits.is_empty() {
            return Self { negative: false, digits, exponent: 0 };
        }
        let zeros = all.len() - all.trim_end_matches('0').len();
        let places = i128::try_from(zeros).unwrap() - i128::try_from(fraction.len()).unwrap();
        Self { negative, digits, exponent: exponent.parse::<i128>().unwrap() + places }
    }

    /// Returns true if it has at most 12 digits before the point and 8 after it.
    fn fits(&self) -> bool {
        let length = i128::try_from(self.digits.len()).unwrap();
        self.digits.is_empty() || (self.exponent >= -8 && length + self.exponent <= 12)
    }
}

/// Returns true if a text is a number in JSON's grammar.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// Generates numbers of every length around the limits, with zeros and exponents that cancel out.
fn spellings() -> impl Strategy<Value = String> {
    let exponent =
        prop_oneof!["", "[eE][+-]?[0-9]", "[eE]-?[1-5][0-9]", "[eE]-?0{0,30}[0-9]{1,2}", "[eE][+-]?[0-9]{1,25}"];
    let mantissa = prop_oneof![
        "-?(0|[1-9][0-9]{0,13})(\\.[0-9]{1,10})?",
        "-?[1-9][0-9]{0,20}0{0,45}(\\.0{1,40})?",
        "-?0\\.0{0,45}[0-9]{1,20}0{0,20}",
        "-?[1-9][0-9]{0,11}\\.[0-9]{0,8}0{1,60}",
    ];
    (mantissa, exponent).prop_map(|(mantissa, exponent)| mantissa + &exponent)
}

proptest! {
    #![proptest_config(super::cases(3000))]

    #[test]
    fn decimal_is_read_exactly_if_its_value_fits(text in spellings()) {
        let expected = Exact::read(&text);
        let read = decimal(&text);
        prop_assert_eq!(read.is_some(), expected.fits(), "{} was read as {:?}", text, read);
        if let Some(read) = read {
            let value = Exact::read(&{
                let (digits, scale) = read.as_bigint_and_exponent();
                format!("{digits}e{}", -scale)
            });
            prop_assert_eq!(value, expected);
        }
    }

    #[test]
    fn decimal_prints_the_shortest_exact_form(text in spellings()) {
        let Some(read) = decimal(&text) else { return Ok(()) };
        let printed = number(&read).unwrap().to_string();
        prop_assert_eq!(Exact::read(&printed), Exact::read(&text));
        prop_assert!(is_number(&printed) && !printed.contains(['e', 'E']), "{}", printed);
        prop_assert!(!printed.contains('.') || !printed.ends_with(['0', '.']), "{}", printed);
        prop_assert_eq!(decimal(&printed), Some(read));
    }

    #[test]
    fn text_outside_the_number_grammar_is_no_decimal(
        text in prop_oneof!["[-+0-9.eE _x\n]{0,8}", "\\PC{0,6}", " ?-?[0-9]{1,3} ?"],
    ) {
        prop_assert_eq!(decimal(&text).is_some(), is_number(&text) && Exact::read(&text).fits(), "{:?}", text);
    }
}
