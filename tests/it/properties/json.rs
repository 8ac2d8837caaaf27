//! Reading JSON under stricter rules than its grammar.

use std::collections::BTreeSet;

use concierge_sandbox::jsonapi::error::{Error, Source};
use concierge_sandbox::jsonapi::json::{DEPTH, read};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::numbers::Exact;
use super::values::{Json, pointers, resolve, styles, texts, trees};

/// Compares two values: numbers by value, members in order.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => Exact::read(&one.to_string()) == Exact::read(&other.to_string()),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let pairs = one.iter().zip(other);
            one.len() == other.len() && pairs.into_iter().all(|(one, other)| one.0 == other.0 && same(one.1, other.1))
        }
        _ => one == other,
    }
}

/// Asserts that a text is refused as invalid JSON, with the place and a reason.
fn assert_invalid(errors: &[Error], reason: &str) {
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!((errors[0].code.name, &errors[0].source), ("json_invalid", &None));
    let detail = &errors[0].detail;
    assert!(
        detail.starts_with("invalid JSON at line ") && detail.contains(", column ") && detail.contains(reason),
        "{detail}"
    );
}

proptest! {
    #![proptest_config(super::cases(400))]

    #[test]
    fn every_spelling_reads_as_its_value(tree in trees(), mut style in styles()) {
        let mut text = String::new();
        tree.write(&mut style, &mut text);
        let read = read(text.as_bytes()).unwrap_or_else(|errors| panic!("{errors:?} in {text}"));
        prop_assert!(same(&read, &tree.value()), "{} was read as {}", text, read);
    }

    #[test]
    fn repeated_member_is_refused_at_any_place(
        tree in trees(), value in trees(), name in texts(), which in any::<Index>(), mut style in styles(),
    ) {
        let mut tree = Json::Object(vec![(name, tree)]);
        tree.repeat_a_member(which, &value);
        let mut text = String::new();
        tree.write(&mut style, &mut text);
        assert_invalid(&read(text.as_bytes()).unwrap_err(), "appears twice");
    }

    #[test]
    fn nesting_depth_is_limited_for_every_leaf(
        levels in prop::collection::vec(any::<bool>(), DEPTH - 5..DEPTH + 5),
        (leaf, more) in prop::sample::select(vec![("1", 0), ("-1.5e3", 0), ("\"x\"", 0), ("null", 0), ("true", 0), ("[]", 1), ("{}", 1)]),
    ) {
        let mut text = String::new();
        for is_array in &levels {
            text.push_str(if *is_array { "[" } else { "{\"a\":" });
        }
        text.push_str(leaf);
        for is_array in levels.iter().rev() {
            text.push(if *is_array { ']' } else { '}' });
        }
        match read(text.as_bytes()) {
            Ok(_) => prop_assert!(levels.len() + more <= DEPTH),
            Err(errors) => {
                prop_assert!(levels.len() + more > DEPTH, "{:?}", errors);
                assert_invalid(&errors, "nested deeper");
            }
        }
    }

    #[test]
    fn every_string_with_nul_is_reported(tree in trees(), places in prop::collection::vec(any::<Index>(), 1..5)) {
        let mut value = Json::Array(vec![tree]).value();
        for place in places {
            let all = pointers(&value);
            *value.pointer_mut(&all[place.index(all.len())]).unwrap() = Value::String("a\0b".into());
        }
        let with_nul = |pointer: &String| resolve(&value, pointer).unwrap().as_str().is_some_and(|text| text.contains('\0'));
        let expected: BTreeSet<String> = pointers(&value).into_iter().filter(with_nul).collect();
        let errors = read(value.to_string().as_bytes()).unwrap_err();
        let found = errors.iter().map(|error| match &error.source {
            Some(Source::Pointer(pointer)) => pointer.clone(),
            other => panic!("{other:?}"),
        });
        prop_assert_eq!(found.collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn reserved_parser_names_are_refused(
        name in prop::sample::select(vec!["$serde_json::private::Number", "$serde_json::private::RawValue"]),
        value in prop_oneof![texts().prop_map(Json::String), Just(Json::String("{\"a\":1,\"a\":2}".into())), trees()],
        mut style in styles(),
    ) {
        let tree = Json::Object(vec![("a".into(), Json::Object(vec![(name.into(), value)]))]);
        let mut text = String::new();
        tree.write(&mut style, &mut text);
        assert_invalid(&read(text.as_bytes()).unwrap_err(), "is reserved");
    }

    #[test]
    fn number_is_never_read_as_a_member(number in super::values::numbers()) {
        let read = read(format!("[{number},{{\"a\":{number}}}]").as_bytes()).unwrap();
        prop_assert!(read[0].is_number() && read[1]["a"].is_number());
    }
}
