//! Faults to inject: their patterns, compared with simple ones, and their documents.

use concierge_sandbox::api::ROUTES;
use concierge_sandbox::concierge::event_types;
use concierge_sandbox::faults::Fault;
use concierge_sandbox::faults::document::{read_list, read_stored, render};
use concierge_sandbox::faults::pattern::{EventPattern, PathPattern};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::edits::{apply, assert_well_founded, edits};

/// Returns whether a pattern of segments fits a path of segments.
fn fits(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        (["**"], _) | ([], []) => true,
        ([first, pattern @ ..], [segment, path @ ..]) => {
            (*first == "*" || first.starts_with('{') || first == segment) && fits(pattern, path)
        }
        _ => false,
    }
}

/// Returns whether a pattern with asterisks fits a text.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([b'*', rest @ ..], _) => glob(rest, text) || text.split_first().is_some_and(|(_, text)| glob(pattern, text)),
        ([first, rest @ ..], [byte, text @ ..]) => first == byte && glob(rest, text),
        (pattern, text) => pattern.is_empty() && text.is_empty(),
    }
}

/// Returns whether a text is a pattern of paths.
fn is_pattern(text: &str) -> bool {
    let text = text.strip_suffix('/').unwrap_or(text);
    let Some(rest) = text.strip_prefix('/').filter(|_| text.len() <= PathPattern::LONGEST) else { return false };
    let segments: Vec<&str> = rest.split('/').collect();
    let segments = match &segments[..] {
        [before @ .., "**"] => before,
        all => all,
    };
    let is_valid = |segment: &&str| match segment.as_bytes() {
        b"*" => true,
        [b'{', name @ .., b'}'] => !name.iter().any(|byte| b"{}".contains(byte)),
        plain => {
            !plain.is_empty()
                && plain.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@%".contains(byte))
        }
    };
    segments.first() == Some(&"api") && segments.iter().all(is_valid)
}

fn segments() -> impl Strategy<Value = String> {
    let known = [
        "*",
        "**",
        "{id}",
        "{}",
        "{a{b}",
        "api",
        "users",
        "me",
        "20202",
        "concierge_requests",
        "cancel",
        "ars",
        "",
        "a b",
        "é",
        "us*",
        "%41",
        "a?b",
        "#",
        "{id",
    ];
    prop_oneof![6 => select(known.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,3}", 1 => "[a-z]{1,9}"]
}

/// Generates patterns of paths, valid or not.
fn patterns() -> impl Strategy<Value = String> {
    let start = prop_oneof![8 => Just("/api"), 1 => Just("api"), 1 => Just("/apis"), 1 => Just("")];
    let end = prop_oneof![4 => Just(""), 1 => Just("/"), 1 => Just("/**"), 1 => Just("//")];
    (start, prop::collection::vec(segments(), 0..4), end).prop_map(|(start, segments, end)| {
        let path = segments.iter().fold(start.to_owned(), |path, segment| format!("{path}/{segment}"));
        path + end
    })
}

/// Generates paths near the routes.
fn paths() -> impl Strategy<Value = String> {
    let segment = select(vec!["users", "me", "20202", "concierge_requests", "cancel", "ars", "%41", "x"]);
    let near = prop::collection::vec(segment, 0..4)
        .prop_map(|segments| segments.iter().fold("/api".to_owned(), |path, segment| format!("{path}/{segment}")));
    prop_oneof![near, instances().prop_map(|(_, path)| path)]
}

/// Generates a route's path and a path that it answers.
fn instances() -> impl Strategy<Value = (&'static str, String)> {
    (any::<Index>(), select(vec!["20202", "me", "ars", "x", "cancel"])).prop_map(|(which, value)| {
        let template = ROUTES[which.index(ROUTES.len())].path;
        let fill = |segment: &str| if segment.starts_with('{') { value.to_owned() } else { segment.to_owned() };
        (template, template.split('/').map(fill).collect::<Vec<_>>().join("/"))
    })
}

fn valid() -> Vec<Value> {
    vec![
        json!({"path": "/api/**", "status": 503, "retry_after": 5, "times": 2, "after": 1}),
        json!({"path": "/api/users/*", "method": "GET", "latency": "1m 30ms", "truncate": true}),
        json!({"path": "/api/concierge_requests/{id}", "close": "after"}),
        json!({"path": "/api/users", "reset": true, "hits": 3, "remaining": null}),
        json!({"webhook": "concierge_*", "delay": "P30D"}),
        json!({"webhook": "*", "bad_auth": true, "times": 1}),
        json!({"webhook": "user_enabled", "duplicate": true}),
    ]
}

proptest! {
    #![proptest_config(super::cases(1000))]

    #[test]
    fn path_pattern_is_read_if_it_is_one(text in patterns()) {
        prop_assert_eq!(PathPattern::read(&text).is_some(), is_pattern(&text), "{:?}", text);
    }

    #[test]
    fn path_pattern_matches_like_its_segments(text in patterns(), path in paths()) {
        let Some(pattern) = PathPattern::read(&text) else { return Ok(()) };
        let of = |text: &str| text.strip_suffix('/').unwrap_or(text).split('/').map(str::to_owned).collect::<Vec<_>>();
        let (wanted, found) = (of(&text), of(&path));
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        prop_assert_eq!(pattern.matches(&path), fits(&wanted, &found), "{} {}", text, path);
        prop_assert_eq!(PathPattern::read(pattern.as_str()), Some(pattern));
    }

    #[test]
    fn pattern_of_an_answered_path_belongs_to_its_route(text in patterns(), (template, path) in instances()) {
        let Some(pattern) = PathPattern::read(&text) else { return Ok(()) };
        prop_assert!(pattern.matches_template(template) || !pattern.matches(&path), "{} {} {}", text, template, path);
    }

    #[test]
    fn event_pattern_matches_around_its_asterisks(
        text in prop_oneof!["[ab*]{1,8}", "(\\*|user|output|_|enabled|concierge){1,5}", "\\PC{0,4}"],
        event_type in prop_oneof![select(event_types::NAMES.to_vec()).prop_map(str::to_owned), "[ab]{0,8}"],
    ) {
        let is_pattern = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || b"_*".contains(&byte));
        let pattern = EventPattern::read(&text);
        prop_assert_eq!(pattern.is_some(), is_pattern, "{:?}", text);
        if let Some(pattern) = pattern {
            let expected = glob(text.as_bytes(), event_type.as_bytes());
            prop_assert_eq!(pattern.matches(&event_type), expected, "{} {}", text, event_type);
        }
    }

    #[test]
    fn edited_fault_is_kept_as_it_was_read_or_its_errors_point_at_parts(
        which in any::<Index>(), edits in edits(), path in patterns(), patterned in any::<bool>(),
    ) {
        let mut document = json!({ "data": [valid().swap_remove(which.index(valid().len())), {"path": "/api/users", "status": 500}] });
        if patterned {
            document["data"][1]["path"] = json!(path);
        }
        for (place, edit) in edits {
            apply(&mut document, place, edit);
        }
        match read_list(document.to_string().as_bytes(), |_| None) {
            Ok(faults) => for fault in faults {
                let stored = serde_json::to_string(&render(&fault)).unwrap();
                prop_assert_eq!(read_stored(&stored), Some(fault.clone()), "{}", stored);
                let listed = format!("{{\"data\":[{stored}]}}");
                let read: Vec<Fault> = read_list(listed.as_bytes(), |_| None).unwrap();
                prop_assert_eq!(read, [fault]);
            },
            Err(errors) => assert_well_founded(&errors, Some(&document)),
        }
    }
}
