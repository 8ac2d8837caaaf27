//! Reading arbitrary documents: every error is a 4xx and points at a part of the document.

use concierge_sandbox::concierge::{estimates, outputs, requests, users, withdrawal_instructions};
use concierge_sandbox::events::address::AddressRules;
use concierge_sandbox::jsonapi::document::Purpose;
use concierge_sandbox::jsonapi::error::{Errors, Source};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

use super::edits::{apply, assert_well_founded, edits};
use super::values::{Json, pointers, resolve, trees};
use crate::support::documented_output;

/// Lists a valid document of each type.
fn valid() -> Vec<Value> {
    let user = json!({"user": {"data": {"type": "users", "id": "20202"}}});
    vec![
        documented_output(),
        json!({"data": {"type": "users", "attributes": {"email": "a@example.com", "name": null}}}),
        json!({"data": {"type": "users", "id": "20202", "attributes": {"email": null, "webhook_url": "http://x", "do_not_email": true}}}),
        json!({"data": {"type": "withdrawal_instructions", "attributes": {"label": "x", "schema": "bitex",
            "body": {"payment_method": "third_party", "a": [1]}}, "relationships": user}}),
        json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars", "external_id": "x"}, "relationships": user}}),
        json!({"data": {"type": "concierge_estimates", "attributes": {"port_code": "cl_clp", "outputs": [
            {"port_code": "us_usd", "budget": 100_000}, {"port_code": "mx_mxn", "amount": 500}]}}}),
        json!({"data": {"type": "concierge_estimates", "attributes": {"from_code": "cl_clp", "to_code": "us_usd", "amount": 5}}}),
    ]
}

/// Reads a body with each reader and collects the errors.
fn read_by_all(body: &[u8]) -> Vec<Errors> {
    let all = [
        outputs::document::read_new(body).err(),
        users::document::read_new(body).err(),
        users::document::read_changes(body, Purpose::Update("20202"), &AddressRules::default()).err(),
        users::document::read_changes(body, Purpose::UpdateByRole, &AddressRules::default()).err(),
        withdrawal_instructions::document::read_new(body).err(),
        requests::document::read_new(body).err(),
        estimates::document::read_new(body).err(),
    ];
    all.into_iter().flatten().collect()
}

/// Returns the same value with the members of its objects in another order.
fn reordered(value: &Value, seed: u64) -> Value {
    let place =
        |name: &str| name.bytes().fold(seed, |place, byte| (place ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    match value {
        Value::Array(items) => items.iter().map(|item| reordered(item, seed)).collect(),
        Value::Object(members) => {
            let mut all: Vec<(&String, &Value)> = members.iter().collect();
            all.sort_by_key(|(name, _)| place(name));
            Value::Object(
                all.into_iter().map(|(name, item)| (name.clone(), reordered(item, seed))).collect::<Map<_, _>>(),
            )
        }
        other => other.clone(),
    }
}

/// Reads a document with the reader of its type, and prints the result.
fn meaning(document: &Value, of: usize) -> String {
    let body = document.to_string();
    let body = body.as_bytes();
    match of {
        0 => format!("{:?}", outputs::document::read_new(body).unwrap().0),
        1 => format!("{:?}", users::document::read_new(body).unwrap().0),
        2 => format!(
            "{:?}",
            users::document::read_changes(body, Purpose::Update("20202"), &AddressRules::default()).unwrap().0
        ),
        3 => format!("{:?}", withdrawal_instructions::document::read_new(body).unwrap().0),
        4 => format!("{:?}", requests::document::read_new(body).unwrap().0),
        _ => format!("{:?}", estimates::document::read_new(body).unwrap().0),
    }
}

proptest! {
    #![proptest_config(super::cases(800))]

    #[test]
    fn errors_of_an_edited_document_point_at_its_parts(which in any::<Index>(), edits in edits()) {
        let mut document = valid().swap_remove(which.index(valid().len()));
        for (place, edit) in edits {
            apply(&mut document, place, edit);
        }
        for errors in read_by_all(document.to_string().as_bytes()) {
            assert_well_founded(&errors, Some(&document));
        }
    }

    #[test]
    fn errors_of_arbitrary_bytes_are_client_errors(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let all = read_by_all(&bytes);
        prop_assert_eq!(all.len(), 7);
        for errors in all {
            assert_well_founded(&errors, serde_json::from_slice(&bytes).ok().as_ref());
        }
    }

    #[test]
    fn errors_of_a_damaged_document_point_at_its_parts(
        which in any::<Index>(), damages in prop::collection::vec((any::<Index>(), 0..3, any::<u8>()), 1..4),
    ) {
        let mut bytes = valid()[which.index(valid().len())].to_string().into_bytes();
        for (place, kind, byte) in damages {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ => drop(bytes.remove(place)),
            }
        }
        for errors in read_by_all(&bytes) {
            assert_well_founded(&errors, serde_json::from_slice(&bytes).ok().as_ref());
        }
    }

    #[test]
    fn unknown_members_and_member_order_are_ignored(
        which in any::<Index>(),
        extra in prop::collection::vec((any::<Index>(), "[a-z@ é~/]{0,3}", trees()), 0..8),
        seed in any::<u64>(),
    ) {
        let which = which.index(valid().len());
        let plain = valid().swap_remove(which);
        // `body` is the client's own object, so its members have a meaning
        let places: Vec<String> = pointers(&plain).into_iter().filter(|pointer| {
            resolve(&plain, pointer).is_some_and(Value::is_object) && !pointer.contains("/body")
        }).collect();
        let mut decorated = plain.clone();
        for (place, name, value) in extra {
            let object = decorated.pointer_mut(&places[place.index(places.len())]).unwrap().as_object_mut().unwrap();
            if name != "id" {
                object.entry(name).or_insert_with(|| Json::value(&value));
            }
        }
        let keep_body = decorated.pointer("/data/attributes/body").cloned();
        let mut reordered = reordered(&decorated, seed);
        if let Some(body) = keep_body {
            reordered["data"]["attributes"]["body"] = body;
        }
        prop_assert_eq!(meaning(&reordered, which), meaning(&plain, which), "{}", reordered);
    }

    #[test]
    fn every_fault_is_reported_beside_other_faults(faulty in prop::collection::vec(any::<bool>(), 5)) {
        let mut document = documented_output();
        let mut expected = Vec::new();
        let faults = [
            ("/data/attributes/port_code", json!("nowhere")),
            ("/data/attributes/amount", json!(-1)),
            ("/data/relationships/request/data", json!(null)),
            ("/data/relationships/user/data/type", json!("people")),
            ("/data/relationships/withdrawal_instruction/data/id", json!([])),
        ];
        for ((pointer, wrong), _) in faults.into_iter().zip(&faulty).filter(|(_, faulty)| **faulty) {
            *document.pointer_mut(pointer).unwrap() = wrong;
            expected.push(Some(Source::Pointer(pointer.to_owned())));
        }
        let found = match outputs::document::read_new(document.to_string().as_bytes()) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.as_slice().iter().map(|error| error.source.clone()).collect(),
        };
        prop_assert_eq!(found, expected);
    }
}
