//! Values that resemble a test value and are none, so that the payment takes the happy path. Pure.
//!
//! A value resembles a test value in few ways, so that ordinary ones never do:
//! * a label or the local part of an e-mail address: with at most two typing errors, after its case and outer blanks;
//! * a label that begins with `sandbox:`, in any case, even if every test value is far;
//! * a bank account number: with at most one typing error in its digits, or ten digits that begin with
//!   7263269. Of ordinary account numbers of ten digits, fewer than one in a million does.

use std::fmt;

use super::scenario::{ScenarioSource, TEST_VALUES, TestValue};

/// SANDBOX on a telephone keypad, the beginning of every reserved bank account number.
const NUMBER_PREFIX: &str = "7263269";
/// The beginning of every reserved label.
const LABEL_PREFIX: &str = "sandbox:";
/// Maximum number of typing errors in a text: a letter too many, too few, wrong, or exchanged with its neighbour.
const ERRORS: usize = 2;
/// Maximum length of a compared value, in bytes.
const LONGEST: usize = 64;

/// A value that resembles a test value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misspelling {
    source: ScenarioSource,
    value: String,
    /// `None` if all are far.
    nearest: Option<&'static str>,
}

impl Misspelling {
    /// Returns the misspelling in an instruction's label. Text after `#` is ignored.
    pub fn of_label(label: &str) -> Option<Self> {
        let value = label.split('#').next()?;
        let text = comparable(value)?;
        let is_reserved = text.starts_with(LABEL_PREFIX);
        let nearest = nearest(&text, |known| known.label, if is_reserved { ERRORS + 1 } else { ERRORS });
        let resembles = nearest.is_some() || is_reserved;
        (resembles && nearest != Some(value)).then(|| Self::new(ScenarioSource::Label, value, nearest))
    }

    /// Returns the misspelling in an instruction's bank account number.
    pub fn of_bank_account_number(value: &str) -> Option<Self> {
        let digits: String = comparable(value)?.chars().filter(char::is_ascii_digit).collect();
        let is_reserved = digits.len() == TEST_VALUES[0].bank_account_number.len() && digits.starts_with(NUMBER_PREFIX);
        let errors = if is_reserved { ERRORS + 1 } else { 1 };
        let nearest = nearest(&digits, |known| known.bank_account_number, errors)?;
        (nearest != value).then(|| Self::new(ScenarioSource::BankAccountNumber, value, Some(nearest)))
    }

    /// Returns the misspelling in a user's e-mail address. Case, and text after `+` or `#`, are ignored.
    pub fn of_email(email: &str) -> Option<Self> {
        let value = email.split(['@', '+', '#']).next()?;
        let nearest = nearest(&comparable(value)?, |known| known.email, ERRORS)?;
        (!nearest.eq_ignore_ascii_case(value)).then(|| Self::new(ScenarioSource::Email, value, Some(nearest)))
    }

    fn new(source: ScenarioSource, value: &str, nearest: Option<&'static str>) -> Self {
        Self { source, value: value.to_owned(), nearest }
    }
}

impl fmt::Display for Misspelling {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, value, nearest } = self;
        write!(formatter, "`{value}` ({}) is no test value", source.name())?;
        nearest.map_or(Ok(()), |nearest| write!(formatter, "; the nearest is `{nearest}`"))
    }
}

/// Returns a value without outer blanks, in lower case; `None` if it is too long to resemble a test value.
fn comparable(value: &str) -> Option<String> {
    let value = value.trim();
    (value.len() <= LONGEST).then(|| value.to_lowercase())
}

/// Returns the nearest test value with at most so many typing errors. Of equally near numbers, the value decides.
fn nearest(text: &str, of: impl Fn(&TestValue) -> &'static str, errors: usize) -> Option<&'static str> {
    let number = |text: &str| text.parse().unwrap_or(0_u64);
    let known = TEST_VALUES.iter().map(of);
    let near = known.map(|known| (strsim::osa_distance(text, known), known)).filter(|(found, _)| *found <= errors);
    near.min_by_key(|(found, known)| (*found, number(text).abs_diff(number(known)))).map(|(_, known)| known)
}
