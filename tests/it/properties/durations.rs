//! Spans of time, in the settings and in bodies: one that is accepted comes back as the same span.

use std::cell::RefCell;
use std::time::Duration;

use clap::{Command, CommandFactory, FromArgMatches};
use concierge_sandbox::config::{Cli, Config};
use concierge_sandbox::jsonapi::duration::{LONGEST_SPAN, read, render};
use concierge_sandbox::jsonapi::error::Source;
use concierge_sandbox::sandbox::clock::document::{Distance, read_advance};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

/// Milliseconds of the units of ISO 8601, from the largest down.
const ISO: [(&str, u128); 5] = [("W", 7 * 86_400_000), ("D", 86_400_000), ("H", 3_600_000), ("M", 60_000), ("S", 1000)];
/// Milliseconds of the units that people write, from the largest down.
const SPOKEN: [(&str, u128); 6] =
    [("w", 7 * 86_400_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// Settings that take a time.
const DELAYS: [&str; 5] = ["check-delay", "approval-delay", "quote-delay", "step-delay", "database-wait"];
/// Settings that take a time of more than 0.
const LIMITS: [&str; 5] = ["body-timeout", "header-timeout", "idle-timeout", "write-timeout", "webhook-timeout"];

/// Generates numbers of units, some of them beyond ten years and some beyond 64 bits of milliseconds.
fn counts(units: usize) -> impl Strategy<Value = Vec<Option<u64>>> {
    let count = prop_oneof![6 => 0..100_u64, 2 => 0..10_000_000_u64, 1 => any::<u64>()];
    prop::collection::vec(prop::option::weighted(0.4, count), units)
}

/// Returns the sum of these numbers of units, in milliseconds.
fn sum(counts: &[Option<u64>], units: &[(&str, u128)]) -> u128 {
    counts.iter().zip(units).map(|(count, (_, length))| u128::from(count.unwrap_or_default()) * length).sum()
}

/// Returns the span of a sum, if it may be one.
fn span(sum: u128) -> Option<Duration> {
    let span = u64::try_from(sum).ok().map(Duration::from_millis)?;
    (span <= LONGEST_SPAN).then_some(span)
}

/// Generates text that resembles a duration.
fn resembling() -> impl Strategy<Value = String> {
    let pieces = [
        "P",
        "T",
        "PT",
        "-",
        "+",
        " ",
        ",",
        ".",
        "0",
        "1",
        "5",
        "48",
        "99999999999999999999",
        "1e9",
        "H",
        "M",
        "S",
        "D",
        "W",
        "Y",
        "h",
        "m",
        "s",
        "ms",
        "us",
        "ns",
        "d",
        "days",
        "weeks",
        "months",
        "y",
        "year",
        "hours",
        "min",
        "sec",
        "ago",
        ":",
        "µs",
        "é",
    ];
    let known = prop::collection::vec(select(pieces.to_vec()), 0..9).prop_map(|pieces| pieces.concat());
    let units = [
        "ns", "us", "µs", "ms", "s", "sec", "m", "min", "h", "hours", "d", "days", "weeks", "months", "years", "S",
        "H", "M", "D",
    ];
    let number = "[0-9]{1,4}(\\.[0-9]{1,10})?|[0-9]{1,22}";
    let single = (select(vec!["", "", "", "-", "PT", "P"]), number, select(units.to_vec()));
    prop_oneof![
        3 => known,
        3 => single.prop_map(|(start, number, unit)| format!("{start}{number}{unit}")),
        1 => "\\PC{0,12}",
    ]
}

/// Reads the settings of a command line.
fn settings(flag: &str, text: &str) -> Option<Config> {
    thread_local! {
        // making it takes much longer than using it
        static COMMAND: RefCell<Command> = RefCell::new(Cli::command().mut_args(|arg| arg.env(None::<&str>)));
    }
    let line = ["concierge-sandbox".to_owned(), format!("--{flag}={text}")];
    let read = COMMAND.with_borrow_mut(|command| command.try_get_matches_from_mut(line)).ok()?;
    Some(Cli::from_arg_matches(&read).unwrap().config)
}

/// Returns the value of a setting.
fn value(config: &Config, flag: &str) -> Duration {
    match flag {
        "check-delay" => config.check_delay,
        "approval-delay" => config.approval_delay,
        "quote-delay" => config.quote_delay,
        "step-delay" => config.step_delay,
        "database-wait" => config.database_wait,
        "body-timeout" => config.body_timeout,
        "header-timeout" => config.header_timeout,
        "idle-timeout" => config.idle_timeout,
        "write-timeout" => config.write_timeout,
        "webhook-timeout" => config.webhook_timeout,
        other => panic!("{other} is no setting of these"),
    }
}

proptest! {
    #![proptest_config(super::cases(1000))]

    #[test]
    fn duration_is_the_sum_of_its_units(iso in counts(ISO.len()), spoken in counts(SPOKEN.len()), blank in any::<bool>()) {
        let mut text = String::from("P");
        for (place, (unit, _)) in ISO.iter().enumerate() {
            if place == 2 && iso[2..].iter().any(Option::is_some) {
                text.push('T');
            }
            text.extend(iso[place].map(|count| format!("{count}{unit}")));
        }
        if iso.iter().any(Option::is_some) {
            prop_assert_eq!(read(&text), span(sum(&iso, &ISO)), "{}", text);
        }
        let parts = spoken.iter().zip(SPOKEN).filter_map(|(count, (unit, _))| Some(format!("{}{unit}", (*count)?)));
        let text = parts.collect::<Vec<_>>().join(if blank { " " } else { "" });
        if !text.is_empty() {
            prop_assert_eq!(read(&text), span(sum(&spoken, &SPOKEN)), "{}", text);
        }
    }

    #[test]
    fn rendered_duration_is_read_as_itself(milliseconds in 0..=LONGEST_SPAN.as_millis()) {
        let span = span(milliseconds).unwrap();
        prop_assert_eq!(read(&render(span)), Some(span));
        let spoken = humantime::format_duration(span).to_string();
        prop_assert_eq!(settings("check-delay", &spoken).map(|config| config.check_delay), Some(span), "{}", spoken);
    }

    #[test]
    fn text_is_a_duration_of_whole_milliseconds_or_a_client_error(text in resembling()) {
        let read = read(&text);
        if let Some(span) = read {
            prop_assert!(span <= LONGEST_SPAN && span.subsec_nanos() % 1_000_000 == 0, "{:?}", span);
            prop_assert_eq!(self::read(&render(span)), Some(span));
        }
        match read_advance(json!({ "by": text }).to_string().as_bytes()) {
            Ok(distance) => prop_assert_eq!(Some(distance), read.map(Distance::By)),
            Err(errors) => {
                prop_assert!(read.is_none() && errors.status() == 422, "{:?}", errors);
                prop_assert_eq!(&errors.as_slice()[0].source, &Some(Source::Pointer("/by".into())));
            }
        }
    }

    #[test]
    fn text_is_a_setting_of_at_most_ten_years_or_refused(
        text in prop_oneof![resembling(), (any::<u64>(), select(vec!["ns", "us", "ms", "s", "m", "h", "days", "years"]))
            .prop_map(|(count, unit)| format!("{}{unit}", count >> (count % 64)))],
        (delay, limit) in (select(&DELAYS), select(&LIMITS)),
    ) {
        let (delayed, limited) = (settings(delay, &text), settings(limit, &text));
        let delayed = delayed.map(|config| value(&config, delay));
        // a limit may not be 0, and is read like a delay otherwise
        prop_assert_eq!(limited.map(|config| value(&config, limit)), delayed.filter(|span| !span.is_zero()));
        if let Some(span) = delayed {
            prop_assert!(span <= LONGEST_SPAN, "{:?}", span);
            let spoken = humantime::format_duration(span).to_string();
            prop_assert_eq!(settings(delay, &spoken).map(|config| value(&config, delay)), Some(span), "{}", spoken);
        }
    }
}
