//! Lists of faults, their patterns, and durations: what is accepted is kept as it was read.
//!
//! The first line of the input is a pattern or a duration, the second a path or an event type; all of it is a body.

#![no_main]

use concierge_sandbox::faults::document::{read_list, read_stored, render};
use concierge_sandbox::faults::pattern::{EventPattern, PathPattern};
use concierge_sandbox::jsonapi::duration;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (first, second) = text.split_once('\n').unwrap_or((text, ""));
    if let Some(pattern) = PathPattern::read(first) {
        assert_eq!(PathPattern::read(pattern.as_str()).as_ref(), Some(&pattern));
        // what matches as a path, matches as a template
        assert!(!pattern.matches(second) || pattern.matches_template(second));
    }
    if let Some(pattern) = EventPattern::read(first) {
        assert_eq!(pattern.matches(second), glob(first.as_bytes(), second.as_bytes()));
    }
    if let Some(span) = duration::read(first) {
        assert!(span <= duration::LONGEST_SPAN);
        assert_eq!(duration::read(&duration::render(span)), Some(span));
    }
    match read_list(text.as_bytes(), |_| None) {
        Ok(faults) => {
            for fault in faults {
                let stored = serde_json::to_string(&render(&fault)).expect("a fault is JSON");
                assert_eq!(read_stored(&stored), Some(fault));
            }
        }
        Err(errors) => assert!((400..500).contains(&errors.status()), "{errors:?}"),
    }
});

/// Matches asterisks one by one: slow, and simple.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let mut fits = vec![false; text.len() + 1];
    fits[0] = true;
    for part in pattern {
        for at in (0..=text.len()).rev() {
            fits[at] = match part {
                b'*' => fits[..=at].contains(&true),
                byte => at > 0 && fits[at - 1] && text[at - 1] == *byte,
            };
        }
    }
    fits[text.len()]
}
