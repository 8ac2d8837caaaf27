//! Seed documents: every error points at a part of the document, and a document without errors is read whole.

use concierge_sandbox::concierge::requests::state::State;
use concierge_sandbox::events::address::AddressRules;
use concierge_sandbox::jsonapi::error::Errors;
use concierge_sandbox::sandbox::seed::document::read;
use concierge_sandbox::sandbox::seed::validate::{ExistingData, validate};
use concierge_sandbox::sandbox::seed::{KINDS, Seed, SeedType};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::edits::{apply, assert_well_founded, edits};
use crate::seed::payroll;

/// Returns the content of an account with the fixtures, and of one request that takes no outputs.
fn existing() -> ExistingData {
    ExistingData {
        next_ids: KINDS.map(|kind| (kind.name().to_owned(), 5000)).into(),
        taken: [(SeedType::User, 20202), (SeedType::Request, 1010)].into(),
        users: [20202, 50505].into(),
        instructions: [(2121, 20202)].into(),
        requests: [(1010, State::Draft), (1011, State::Cancelled)].into(),
    }
}

/// Reads and checks a seed like the server.
fn accept(body: &[u8]) -> Result<Seed, Errors> {
    let (seed, mut reader) = read(body, 50505, &AddressRules::default())?;
    validate(&mut reader, &seed, &existing());
    reader.finish(Some(seed))
}

/// Returns the number of resources in a seed.
fn count(seed: &Seed) -> usize {
    let Seed { users, instructions, requests, outputs, wallets, .. } = seed;
    users.len() + instructions.len() + requests.len() + outputs.len() + wallets.len()
}

#[test]
fn whole_seed_is_accepted() {
    let payroll = payroll();
    let seed = accept(payroll.to_string().as_bytes()).unwrap();
    assert_eq!(count(&seed), payroll["data"].as_array().unwrap().len());
}

/// Generates a number that is an id of the payroll or of the account, or none.
fn ids() -> impl Strategy<Value = Value> {
    let known = [0, 1, 100, 101, 7001, 9001, 9002, 20202, 2121, 1010, 1011, 4999, 5000, 40001];
    prop_oneof![
        select(known.to_vec()).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[0-9]{1,20}".prop_map(Value::from)
    ]
}

/// Generates an attribute that some resource has, with a value that some attribute takes.
fn attributes() -> impl Strategy<Value = (&'static str, Value)> {
    let names = [
        "state",
        "rejection_reason",
        "compliance_state",
        "currency",
        "balance",
        "webhook_url",
        "label",
        "port_code",
        "amount",
    ];
    let values = [
        "accepted",
        "rejected",
        "accepting",
        "working",
        "draft",
        "finished",
        "enabled",
        "ars",
        "nowhere",
        "1.5",
        "-1",
        "",
    ];
    let values =
        prop_oneof![6 => select(values.to_vec()).prop_map(Value::from), 1 => Just(Value::Null), 1 => Just(json!(1.5))];
    (select(names.to_vec()), values)
}

proptest! {
    #![proptest_config(super::cases(400))]

    #[test]
    fn edited_seed_is_read_whole_or_its_errors_point_at_its_parts(
        edits in edits(), others in prop::collection::vec((any::<Index>(), ids()), 0..3), repeated in prop::option::of(any::<Index>()),
        set in prop::collection::vec((any::<Index>(), attributes()), 0..3),
    ) {
        let mut document = payroll();
        let list = document["data"].as_array_mut().unwrap();
        if let Some(repeated) = repeated {
            list.push(list[repeated.index(list.len())].clone());
        }
        for (place, id) in others {
            let at = place.index(list.len());
            // an own id, or that of a relationship
            let related = list[at]["relationships"].as_object_mut().and_then(|all| all.values_mut().next());
            let whose = match related {
                Some(related) if id.is_string() => &mut related["data"]["id"],
                _ => &mut list[at]["id"],
            };
            *whose = id;
        }
        for (place, (name, value)) in set {
            let at = place.index(list.len());
            list[at]["attributes"][name] = value;
        }
        for (place, edit) in edits {
            apply(&mut document, place, edit);
        }
        match accept(document.to_string().as_bytes()) {
            Ok(seed) => prop_assert_eq!(count(&seed), document["data"].as_array().unwrap().len(), "{}", document),
            Err(errors) => assert_well_founded(&errors, Some(&document)),
        }
    }

    #[test]
    fn errors_of_a_list_of_anything_are_client_errors(edits in edits()) {
        let mut document = json!({ "data": [] });
        for (place, edit) in edits {
            apply(&mut document, place, edit);
        }
        if let Err(errors) = accept(document.to_string().as_bytes()) {
            assert_well_founded(&errors, Some(&document));
        }
    }
}
