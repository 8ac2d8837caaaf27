//! Changes of valid documents, and the errors that may follow.

use concierge_sandbox::jsonapi::error::{Errors, Source};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::values::{pointers, resolve, texts, trees};

/// Asserts that errors are 4xx and point at existing parts of the document.
pub fn assert_well_founded(errors: &Errors, document: Option<&Value>) {
    assert!((400..500).contains(&errors.status()), "{errors:?}");
    assert!(!errors.as_slice().is_empty());
    for error in errors.as_slice() {
        assert!((400..500).contains(&error.code.status) && !error.detail.is_empty(), "{error:?}");
        match &error.source {
            Some(Source::Pointer(pointer)) => {
                let document = document.unwrap_or_else(|| panic!("{error:?} points into invalid JSON"));
                assert!(resolve(document, pointer).is_some(), "{error:?} points at nothing in {document}");
            }
            Some(other) => panic!("{other:?} is not a part of a document"),
            None => assert_eq!(error.code.name, "json_invalid", "{error:?}"),
        }
    }
}

/// A change of one part of a document.
#[derive(Debug, Clone)]
pub enum Edit {
    Replace(Value),
    Remove,
    Add(String, Value),
}

/// Generates a few changes at any places.
pub fn edits() -> impl Strategy<Value = Vec<(Index, Edit)>> {
    let text = prop_oneof![8 => texts(), 1 => Just("\0".to_owned())];
    let value = prop_oneof![3 => trees().prop_map(|tree| tree.value()), 2 => text.prop_map(Value::String)];
    let known =
        ["id", "type", "attributes", "relationships", "data", "amount", "budget", "body", "user", "a/b", "~", ""];
    let name = prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), texts()];
    let edit = prop_oneof![
        4 => value.clone().prop_map(Edit::Replace),
        3 => Just(Edit::Remove),
        2 => (name, value).prop_map(|(name, value)| Edit::Add(name, value)),
    ];
    prop::collection::vec((any::<Index>(), edit), 0..5)
}

/// Applies a change at a place of a document.
pub fn apply(document: &mut Value, place: Index, edit: Edit) {
    let all = pointers(document);
    let pointer = &all[place.index(all.len())];
    match edit {
        Edit::Replace(value) => *document.pointer_mut(pointer).unwrap() = value,
        Edit::Remove => {
            let Some((parent, name)) = pointer.rsplit_once('/') else { return };
            match document.pointer_mut(parent).unwrap() {
                Value::Object(members) => drop(members.shift_remove(&name.replace("~1", "/").replace("~0", "~"))),
                Value::Array(items) => drop(items.remove(name.parse().unwrap())),
                _ => unreachable!("every part has a parent"),
            }
        }
        Edit::Add(name, value) => match document.pointer_mut(pointer).unwrap() {
            Value::Object(members) => drop(members.insert(name, value)),
            Value::Array(items) => items.push(value),
            _ => {}
        },
    }
}
