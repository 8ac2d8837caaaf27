//! What holds for any input: documents, numbers and query strings that nobody would think of.

mod addresses;
mod concurrency;
mod documents;
mod json;
mod numbers;
mod pricing;
mod queries;
mod retries;
mod values;

use proptest::test_runner::Config;

/// How many cases of a property are tried; what fails is printed, and written nowhere.
fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}
