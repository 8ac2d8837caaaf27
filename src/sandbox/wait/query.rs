//! Reads the awaited state or event from the query.

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
use crate::web::call::Call;

/// Default timeout.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum timeout.
const LONGEST: Duration = Duration::from_mins(10);

/// A resource named in the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedResource {
    pub subject: Subject,
    /// As it was sent.
    pub text: String,
    pub id: i64,
}

/// An awaited state or event.
#[derive(Debug, Clone)]
pub enum Awaited {
    /// A state of a resource.
    State { resource: NamedResource, state: String },
    /// The first event of a type after the event `since`. With `delivered`, also its delivery.
    Event { event_type: &'static EventType, resource: Option<NamedResource>, since: i64, delivered: bool },
}

/// An awaited state or event, and the timeout.
#[derive(Debug, Clone)]
pub struct WaitQuery {
    pub awaited: Awaited,
    pub timeout: Duration,
}

/// Reads the parameters of a wait.
///
/// # Errors
/// 400 for every unusable parameter.
pub fn read(call: &Call) -> Result<WaitQuery, Errors> {
    let mut given = Given::default();
    let mut faults = call.read_parameters(|name, value| given.take(name, value));
    if given.event.is_none() {
        for (name, is_given) in [("delivered", given.delivered.is_some()), ("since", given.since.is_some())] {
            if is_given {
                let detail = format!("`{name}` applies only to events; name an event type in `event`, or leave it out");
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
                let detail =
                    format!("`resource` is \"{}\"; the event {} is about {expected}", other.text, event_type.name);
                return Err(missing("resource", &detail));
            }
            let (since, delivered) = (given.since.unwrap_or_default(), given.delivered.unwrap_or_default());
            Awaited::Event { event_type, resource, since, delivered }
        }
        (None, Some(_), None) => {
            let detail =
                "`resource` is missing; name the resource to wait for, such as concierge_request_outputs/32323";
            return Err(missing("resource", detail));
        }
        (Some(_), Some(_), _) => return Err(missing("event", "`event` excludes `state`; send only one of them")),
        (None, None, _) => {
            let detail = "`state` is missing; name the state of the resource to wait for, or an `event`";
            return Err(missing("state", detail));
        }
    };
    Ok(WaitQuery { awaited, timeout })
}

#[derive(Debug, Default)]
struct Given {
    resource: Option<NamedResource>,
    state: Option<String>,
    event: Option<&'static EventType>,
    delivered: Option<bool>,
    since: Option<i64>,
    timeout: Option<Duration>,
}

impl Given {
    fn take(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let invalid = |expected: &str| {
            let detail = format!("`{name}` is \"{}\"; it must be {expected}", value.escape_default());
            Error::new(PARAMETER_INVALID, detail).parameter(name)
        };
        match name {
            "resource" => {
                let (type_name, id) = split_resource(value);
                let named = Subject::named(type_name).zip(id);
                let (subject, id) =
                    named.ok_or_else(|| invalid("a type and an id, such as concierge_request_outputs/32323"))?;
                self.resource = Some(NamedResource { subject, text: value.to_owned(), id: id_number(id) });
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
                let expected = "the id of an event; times are for filter[since] of /_sandbox/events";
                self.since = Some(value.parse().ok().filter(|id| *id >= 0).ok_or_else(|| invalid(expected))?);
            }
            "timeout" => {
                let read = duration::read(value).filter(|timeout| *timeout <= LONGEST);
                self.timeout = Some(read.ok_or_else(|| invalid("a duration such as 5s or PT5S, at most ten minutes"))?);
            }
            _ => {
                let detail = format!(
                    "`{}` is not known here; use resource, state, event, delivered, since or timeout",
                    name.escape_default()
                );
                return Err(Error::new(PARAMETER_UNKNOWN, detail).parameter(name));
            }
        }
        Ok(())
    }
}

/// Checks that resources of this type have such a state.
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
    let state = state.escape_default();
    let detail = if known.is_empty() {
        format!("`state` is \"{state}\"; {type_name} have no states, so wait for an `event`")
    } else {
        format!("`state` is \"{state}\"; the states of {type_name} are {}", known.join(", "))
    };
    Err(Error::new(PARAMETER_INVALID, detail).parameter("state").into())
}
