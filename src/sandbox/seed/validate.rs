//! Checks a seed against its account: ids must be free, references must exist and fit. Pure.

use std::collections::{HashMap, HashSet};

use super::{ID_TAKEN, Seed, SeedReference, SeedType};
use crate::accounts::reserved::FIRST_IDS;
use crate::concierge::outputs::document::{INSTRUCTION_OF_ANOTHER_USER, REQUEST_NOT_DRAFT};
use crate::concierge::requests::state::State;
use crate::jsonapi::document::Reader;

/// The account's data that a seed refers to.
#[derive(Debug, Default)]
pub struct ExistingData {
    /// The next id of each type, by type name. Servers have leased all ids below.
    pub next_ids: HashMap<String, i64>,
    /// Requested ids that are taken.
    pub taken: HashSet<(SeedType, i64)>,
    pub users: HashSet<i64>,
    /// Ids of instructions, each with the id of its user.
    pub instructions: HashMap<i64, i64>,
    pub requests: HashMap<i64, State>,
}

/// Records every fault in the reader.
pub fn validate(reader: &mut Reader, seed: &Seed, found: &ExistingData) {
    let mut named: HashMap<(SeedType, i64), usize> = HashMap::new();
    for (kind, id, place) in &seed.ids {
        reader.turn_to(*place);
        if let Some(first) = named.get(&(*kind, *id)) {
            let detail = format!("`id` is {id}, also the id of the resource at /data/{first}; ids must be unique");
            reader.fault_of_id(ID_TAKEN, detail);
            continue;
        }
        named.insert((*kind, *id), *place);
        if let Some(detail) = why_taken(*kind, *id, found) {
            reader.fault_of_id(ID_TAKEN, detail);
        }
    }
    for reference in &seed.references {
        let SeedReference { place, name, kind, id } = reference;
        let number = id.number();
        let is_there = named.contains_key(&(*kind, number))
            || match kind {
                SeedType::User => found.users.contains(&number),
                SeedType::WithdrawalInstruction => found.instructions.contains_key(&number),
                SeedType::Request => found.requests.contains_key(&number),
                SeedType::Output => false,
            };
        reader.turn_to(*place);
        if !is_there {
            reader.not_found(name, kind.name(), id);
        } else if let (SeedType::Request, Some(state)) = (kind, found.requests.get(&number))
            && !state.takes_outputs()
        {
            let detail =
                format!("`request` names a request that is {}; outputs can be added only to a draft", state.name());
            reader.fault_of_linkage(REQUEST_NOT_DRAFT, name, detail);
        }
    }
    check_instructions(reader, seed, found);
}

/// Checks that each output's instruction belongs to its payee.
fn check_instructions(reader: &mut Reader, seed: &Seed, found: &ExistingData) {
    let seeded: HashMap<i64, i64> = seed.instructions.iter().map(|(id, user_id, _)| (*id, *user_id)).collect();
    for output in &seed.outputs {
        let id = output.withdrawal_instruction_id;
        let owner = seeded.get(&id).or_else(|| found.instructions.get(&id)).copied();
        if let Some(owner) = owner.filter(|owner| output.user_id != 0 && *owner != 0 && *owner != output.user_id) {
            let detail =
                format!("`withdrawal_instruction` belongs to user {owner}; the output's user is {}", output.user_id);
            reader.turn_to(output.place);
            reader.fault_of_linkage(INSTRUCTION_OF_ANOTHER_USER, "withdrawal_instruction", detail);
        }
    }
}

/// Explains why an id can't be used; `None` if it can.
///
/// Counting starts at the next id of a fresh account. Ids below are never leased.
/// A server may give a leased id to a new resource at any time.
fn why_taken(kind: SeedType, id: i64, found: &ExistingData) -> Option<String> {
    let name = kind.name();
    if found.taken.contains(&(kind, id)) {
        return Some(format!(
            "`id` is {id}, which one of the {name} already has; choose another id, or leave the resource out"
        ));
    }
    let first = FIRST_IDS.iter().find(|(counted, _)| *counted == name).map(|(_, first)| *first)?;
    let next = found.next_ids.get(name).copied()?;
    (first..next).contains(&id).then(|| {
        let last = next - 1;
        format!(
            "`id` is {id}; the ids {first} to {last} are reserved for new {name}. Choose an id from {next} on, or \
             below {first}"
        )
    })
}
