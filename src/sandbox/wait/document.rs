//! The answer of a wait as plain JSON, and the facts in the error of a wait without success.

use schemars::JsonSchema;
use serde::Serialize;

use super::query::NamedResource;
use super::store::AwaitedDelivery;
use crate::accounts::time::AccountTime;
use crate::concierge::event_types::{EventType, EventTypeName, ResourceReference};
use crate::jsonapi::values::{NumericId, Timestamp};
use crate::sandbox::events::DeliveryState;
use crate::sandbox::timeline::Present;
use crate::sandbox::timeline::document::{OutlookDocument, outlook};
use crate::sandbox::timeline::names::StateName;

/// The awaited state or event.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum WaitResult {
    State(ReachedState),
    Event(OccurredEvent),
}

/// A resource in the awaited state.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReachedState {
    /// The resource.
    resource: ResourceReference,
    /// Its state.
    state: StateName,
}

/// The awaited event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OccurredEvent {
    /// The event.
    event: AwaitedEvent,
}

/// An awaited event and its delivery.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AwaitedEvent {
    /// Id of the event.
    id: NumericId,
    /// Type of the event.
    event_type: EventTypeName,
    /// State of the delivery.
    delivery_state: DeliveryState,
    /// Number of delivery attempts.
    attempts_count: i32,
}

/// The facts in the error of a wait: the present state, the delivery of the event, or the clock alone.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum WaitFacts {
    State(PresentState),
    Delivery(OpenDelivery),
    Clock(WaitClock),
}

/// Present state of a resource.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PresentState {
    /// Its state.
    state: StateName,
    /// Time of its entry into the state, or null if it is not recorded.
    since: Option<Timestamp>,
    /// Its next transition.
    next: OutlookDocument,
    /// The account's clock.
    clock: FrozenClock,
}

/// An event without a successful delivery.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OpenDelivery {
    /// The event.
    event: UndeliveredEvent,
    /// The account's clock.
    clock: FrozenClock,
}

/// An undelivered event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UndeliveredEvent {
    /// Id of the event.
    id: NumericId,
    /// State of the delivery.
    delivery_state: DeliveryState,
    /// Number of delivery attempts.
    attempts_count: i32,
    /// Due time of the next attempt, or null.
    next_attempt_at: Option<Timestamp>,
    /// Error of the last attempt, or null.
    last_error: Option<String>,
}

/// The account's clock, if nothing else is known.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WaitClock {
    /// The account's clock.
    clock: FrozenClock,
}

/// An account's clock, as far as a wait depends on it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FrozenClock {
    /// Time of a frozen clock, or null for a running one.
    frozen_at: Option<Timestamp>,
}

/// Renders a resource in the awaited state.
pub fn reached(resource: &NamedResource, present: &Present) -> WaitResult {
    let resource = ResourceReference::new(resource.subject.schema().type_name, resource.id);
    WaitResult::State(ReachedState { resource, state: StateName(present.state) })
}

/// Renders the awaited event.
pub fn occurred(event_type: &EventType, found: &AwaitedDelivery) -> WaitResult {
    WaitResult::Event(OccurredEvent {
        event: AwaitedEvent {
            id: NumericId(found.event_id),
            event_type: EventTypeName(event_type.name.to_owned()),
            delivery_state: found.state,
            attempts_count: found.attempts,
        },
    })
}

/// Renders the facts about a resource without the awaited state.
pub fn present(present: &Present, time: AccountTime) -> WaitFacts {
    WaitFacts::State(PresentState {
        state: StateName(present.state),
        since: present.since.map(Timestamp),
        next: outlook(&present.outlook),
        clock: clock(time),
    })
}

/// Renders the facts about an undelivered event.
pub fn undelivered(found: &AwaitedDelivery, time: AccountTime) -> WaitFacts {
    WaitFacts::Delivery(OpenDelivery {
        event: UndeliveredEvent {
            id: NumericId(found.event_id),
            delivery_state: found.state,
            attempts_count: found.attempts,
            next_attempt_at: found.next_attempt_at.map(Timestamp),
            last_error: found.last_error.clone(),
        },
        clock: clock(time),
    })
}

/// Renders the facts about an event of any resource.
pub fn clock_alone(time: AccountTime) -> WaitFacts {
    WaitFacts::Clock(WaitClock { clock: clock(time) })
}

fn clock(time: AccountTime) -> FrozenClock {
    FrozenClock { frozen_at: time.frozen_at.map(Timestamp) }
}
