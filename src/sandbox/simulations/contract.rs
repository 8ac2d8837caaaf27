//! The simulations as operations, one for each verb of each type, taken from the state machines.

use super::document::{MONEY, OUTPUT_TARGET, PRICES, REASON, REQUEST_TARGET};
use super::{FUNDS_MISSING, outputs};
use crate::concierge::machine::{Machine, Named};
use crate::concierge::outputs::document::AMOUNT_NOT_POSITIVE;
use crate::concierge::requests::actions::{ACTION_NOT_POSSIBLE, OUTPUTS_MISSING};
use crate::concierge::requests::state::Trigger;
use crate::concierge::{self, users};
use crate::jsonapi::error::ATTRIBUTE_INVALID;
use crate::jsonapi::schema::{Attribute, Schema};
use crate::sandbox::simulations::routes::{TRANSITION, USER_VERBS};
use crate::web::route::{Answer, Body, Operation};

/// A simulation as an operation.
#[derive(Debug, Clone)]
pub struct SimulationOperation {
    pub path: String,
    pub id: String,
    pub summary: String,
    pub operation: Operation,
}

/// Returns all simulations.
pub fn operations() -> Vec<SimulationOperation> {
    let outputs = verbs(&concierge::outputs::state::MACHINE).into_iter().map(|(verb, name)| {
        let members = if outputs::has_reason(verb) { REASON } else { &[] };
        (name, members, "")
    });
    let outputs = outputs.chain([(TRANSITION, OUTPUT_TARGET, r#"{"state":"settled","through":true}"#)]);
    let requests = verbs(&concierge::requests::state::MACHINE).into_iter().map(|(verb, name)| {
        let members = if verb == Trigger::Quote { PRICES } else { &[] };
        (name, members, "")
    });
    let requests = requests.chain([(TRANSITION, REQUEST_TARGET, r#"{"state":"finished","through":true}"#)]);
    let users = USER_VERBS.into_iter().map(|verb| match verb {
        "credit" | "debit" => (verb, MONEY, r#"{"currency":"ars","amount":1000}"#),
        _ => (verb, &[][..], ""),
    });
    let of_outputs = outputs.map(|verb| operation(&concierge::outputs::document::SCHEMA, "Output", verb));
    let of_requests = requests.map(|verb| operation(&concierge::requests::document::SCHEMA, "Request", verb));
    let of_users = users.map(|verb| operation(&users::document::SCHEMA, "User", verb));
    of_outputs.chain(of_requests).chain(of_users).collect()
}

/// Returns the triggers of a machine with their names, each once.
fn verbs<S: Named, T: Named>(machine: &Machine<S, T>) -> Vec<(T, &'static str)> {
    let mut verbs: Vec<(T, &'static str)> = Vec::new();
    for arrow in machine.transitions {
        if verbs.iter().all(|(known, _)| *known != arrow.trigger) {
            verbs.push((arrow.trigger, arrow.trigger.name()));
        }
    }
    verbs
}

fn operation(
    schema: &'static Schema,
    what: &str,
    (verb, members, example): (&'static str, &'static [Attribute], &'static str),
) -> SimulationOperation {
    let body = if members.is_empty() { Body::Empty } else { Body::Plain(members) };
    let operation = Operation::write("", "", schema, body, Answer::Document(200, schema))
        .codes(&[ACTION_NOT_POSSIBLE, FUNDS_MISSING, OUTPUTS_MISSING, ATTRIBUTE_INVALID, AMOUNT_NOT_POSITIVE])
        .on("POST");
    let operation = if example.is_empty() { operation } else { operation.example(example) };
    // a request finishes by itself after its last output
    let is_refused = verb == Trigger::Finish.name();
    let operation = if is_refused { Operation { answer: Answer::Never, ..operation } } else { operation };
    let words: String = verb.split('_').map(capitalized).collect();
    SimulationOperation {
        path: format!("/_sandbox/simulations/{}/{{id}}/{verb}", schema.type_name),
        id: format!("simulate{what}{words}"),
        summary: match verb {
            TRANSITION => {
                format!("Takes the {} to a state, on request through states in between.", what.to_lowercase())
            }
            _ if is_refused => format!("Always refused: the {} finishes by itself.", what.to_lowercase()),
            verb => format!("Makes the {}'s transition `{verb}` happen.", what.to_lowercase()),
        },
        operation,
    }
}

fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
    first.to_uppercase() + rest
}
