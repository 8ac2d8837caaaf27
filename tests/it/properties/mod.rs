//! Properties that hold for any input: documents, numbers, query strings, addresses and prices.

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

/// Configures the number of cases of a property; a failing case is printed and not stored in a file.
fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}
