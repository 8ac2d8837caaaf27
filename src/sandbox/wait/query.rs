//! What is waited for, read from the query.

use std::time::Duration;

use crate::concierge::event_types::{EventType, NAMES};
use crate::concierge::outputs::state as outputs;
use crate::concierge::requests::state as requests;
use crate::concierge::users::state::ComplianceState;
use crate::jsonapi::document::id_number;
use crate::jsonapi::duration;
use crate::jsonapi::error::{Error, Errors, PARAMETER_INVALID, PARAMETER_UNKNOWN};
use crate::jsonapi::query::split_resource;
use crate::sandbox::timeline::Subject;

/// How long to wait unless it is said.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest that anybody can wait.
const LONGEST: Duration = Duration::from_mins(10);

/// A resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub subject: Subject,
    /// As it was sent.
    pub text: String,
    pub id: i64,
}

/// What is waited for.
#[derive(Debug, Clone)]
pub enum Awaited {
    /// That a resource is in a state.
    State { resource: Named, state: String },
    /// That there is an event, behind one, and that it was delivered.
    Event { event_type: &'static EventType, resource: Option<Named>, since: i64, delivered: bool },
}

/// What is waited for, and how long.
#[derive(Debug, Clone)]
pub struct Wait {
    pub awaited: Awaited,
    pub timeout: Duration,
}

/// Reads what to wait for.
///
/// # Errors
/// 400 for every parameter that can't be used.
pub fn read<N: AsRef<str>, V: AsRef<str>>(parameters: impl Iterator<Item = (N, V)>) -> Result<Wait, Errors> {
    let mut faults = Vec::new();
    let mut given = Given::default();
    for (name, value) in parameters {
        if let Err(fault) = given.take(name.as_ref(), value.as_ref()) {
            faults.push(fault);
        }
    }
    if given.event.is_none() {
        for (name, is_given) in [("delivered", given.delivered.is_some()), ("since", given.since.is_some())] {
            if is_given {
                let detail = "says something of an event; name its type with `event`, or leave this out";
                faults.push(Error::new(PARAMETER_INVALID, detail).parameter(name));
            }
        }
    }
    if !faults.is_empty() {
        return Err(Errors::new(faults));
    }
    let missing = |name: &str, detail: &str| Errors::from(Error::new(PARAMETER_INVALID, detail).parameter(name));
    let timeout = given.timeout.unwrap_or(TIMEOUT);
    let awaited = match (given.event, given.state, given.resource) {
        (None, Some(state), Some(resource)) => {
            check_state(resource.subject, &state)?;
            Awaited::State { resource, state }
        }
        (Some(event_type), None, resource) => {
            let expected = event_type.schema().type_name;
            if let Some(other) = resource.as_ref().filter(|other| other.subject.schema().type_name != expected) {
                let detail = format!("is \"{}\"; a {} tells of {expected}", other.text, event_type.name);
                return Err(missing("resource", &detail));
            }
            let (since, delivered) = (given.since.unwrap_or_default(), given.delivered.unwrap_or_default());
            Awaited::Event { event_type, resource, since, delivered }
        }
        (None, Some(_), None) => {
            let detail = "is missing; name what is to come to the state, such as concierge_request_outputs/32323";
            return Err(missing("resource", detail));
        }
        (Some(_), Some(_), _) => return Err(missing("event", "is there beside `state`; wait for one of the two")),
        (None, None, _) => {
            let detail = "is missing; say which state of the resource to wait for, or which `event`";
            return Err(missing("state", detail));
        }
    };
    Ok(Wait { awaited, timeout })
}

#[derive(Debug, Default)]
struct Given {
    resource: Option<Named>,
    state: Option<String>,
    event: Option<&'static EventType>,
    delivered: Option<bool>,
    since: Option<i64>,
    timeout: Option<Duration>,
}

impl Given {
    fn take(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let invalid = |expected: &str| {
            let detail = format!("is \"{}\"; it must be {expected}", value.escape_default());
            Error::new(PARAMETER_INVALID, detail).parameter(name)
        };
        match name {
            "resource" => {
                let (type_name, id) = split_resource(value);
                let named = Subject::named(type_name).zip(id);
                let (subject, id) =
                    named.ok_or_else(|| invalid("a type and an id, such as concierge_request_outputs/32323"))?;
                self.resource = Some(Named { subject, text: value.to_owned(), id: id_number(id) });
            }
            "state" => self.state = Some(value.to_owned()),
            "event" => {
                let expected = || invalid(&format!("one of {}", NAMES.join(", ")));
                self.event = Some(EventType::named(value).ok_or_else(expected)?);
            }
            "delivered" => {
                self.delivered = Some(value.parse().map_err(|_| invalid("true or false"))?);
            }
            "since" => {
                self.since =
                    Some(value.parse().ok().filter(|id| *id >= 0).ok_or_else(|| invalid("the id of an event"))?);
            }
            "timeout" => {
                let read = duration::read(value).filter(|timeout| *timeout <= LONGEST);
                self.timeout =
                    Some(read.ok_or_else(|| invalid("a span of time such as 5s or PT5S, of at most ten minutes"))?);
            }
            _ => {
                let detail = "is not known here; resource, state, event, delivered, since and timeout are";
                return Err(Error::new(PARAMETER_UNKNOWN, detail).parameter(name));
            }
        }
        Ok(())
    }
}

/// Checks that something can be in a state at all.
fn check_state(subject: Subject, state: &str) -> Result<(), Errors> {
    const USERS: [ComplianceState; 4] =
        [ComplianceState::New, ComplianceState::Enabled, ComplianceState::Disabled, ComplianceState::Rejected];
    let known: Vec<&str> = match subject {
        Subject::Output => outputs::NAMES.to_vec(),
        Subject::Request => requests::NAMES.to_vec(),
        Subject::User => USERS.map(ComplianceState::name).to_vec(),
        Subject::WithdrawalInstruction => Vec::new(),
    };
    if known.contains(&state) {
        return Ok(());
    }
    let type_name = subject.schema().type_name;
    let known = if known.is_empty() { "they have no states".to_owned() } else { known.join(", ") };
    let detail = format!("is \"{}\"; that of {type_name}: {known}", state.escape_default());
    Err(Error::new(PARAMETER_INVALID, detail).parameter("state").into())
}
