//! Properties that hold for any input: documents, queries, seeds, faults, durations, numbers, addresses and prices.

mod addresses;
mod concurrency;
mod documents;
mod durations;
pub mod edits;
mod faults;
mod json;
mod numbers;
mod pricing;
mod queries;
mod retries;
mod seeds;
mod values;

use proptest::test_runner::Config;

/// Configures a number of cases that the environment does not change, for a property whose cases take long.
fn slow_cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Configures the number of cases of a property, unless `PROPTEST_CASES` does. A failing case is printed and not stored in
/// a file.
pub fn cases(cases: u32) -> Config {
    // the default has the number of the environment
    let read = Config::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { read.cases } else { cases };
    Config { cases, failure_persistence: None, ..read }
}
