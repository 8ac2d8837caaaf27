//! Timelines and outlooks as plain JSON.

use bigdecimal::{BigDecimal, Zero};
use schemars::JsonSchema;
use serde::Serialize;

use super::names::{StateName, TriggerName};
use super::{PastTransition, Subject, Timeline, TimelineAttempt, TimelineDelivery};
use crate::concierge::event_types::{EventTypeName, ResourceReference};
use crate::concierge::outlook::{NextStep, Outlook, WaitReason};
use crate::concierge::outputs::scenario::{Decision, Scenario, ScenarioSource};
use crate::concierge::{requests, users};
use crate::events::Cause;
use crate::events::cause::CauseKind;
use crate::jsonapi::values::{DecimalNumber, NumericId, Timestamp};
use crate::sandbox::events::DeliveryState;

/// The history of a resource and its next transition.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TimelineDocument {
    /// The resource.
    resource: ResourceReference,
    /// Its state.
    state: StateName,
    /// Time of its entry into the state, or null if it is not recorded.
    since: Option<Timestamp>,
    /// Its past transitions, oldest first; the last thousand.
    transitions: Vec<TimelineEntry>,
    /// True if older transitions are left out.
    left_off: bool,
    /// Scenario of the payment; present for an output.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ScenarioDecision")]
    scenario: Option<ScenarioDecision>,
    /// Its next transition.
    next: OutlookDocument,
}

/// A past transition of a resource, with its event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TimelineEntry {
    /// Time of the transition.
    at: Timestamp,
    /// State before, or null for the creation of the resource.
    from: Option<StateName>,
    /// State after.
    to: StateName,
    /// Trigger of the transition, or null if the state did not change.
    trigger: Option<TriggerName>,
    /// Cause of the transition, or null if it is not recorded.
    cause: Option<TimelineCause>,
    /// Event of the transition.
    event: TimelineEvent,
    /// The delivery of the event; empty if it had no receiver.
    deliveries: Vec<TimelineDeliveryDocument>,
}

/// Cause of a transition.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TimelineCause {
    /// Kind of the cause.
    kind: CauseKind,
    /// X-Request-Id of a call, or the test value that chose a timed step; null for other causes.
    by: Option<String>,
}

/// Event of a transition.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TimelineEvent {
    /// Id of the event.
    id: NumericId,
    /// Type of the event.
    #[serde(rename = "type")]
    event_type: EventTypeName,
}

/// Delivery of an event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TimelineDeliveryDocument {
    /// State of the delivery.
    state: DeliveryState,
    /// Due time of the next attempt, or null.
    next_attempt_at: Option<Timestamp>,
    /// The attempts, oldest first; the last twenty.
    attempts: Vec<TimelineAttemptDocument>,
}

/// An attempt to deliver an event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TimelineAttemptDocument {
    /// Time of the attempt.
    at: Timestamp,
    /// HTTP status of the answer, or null if there was none.
    status: Option<i16>,
    /// Reason of the failure, or null after a success.
    error: Option<String>,
}

/// Scenario of a payment and the carrier that chose it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ScenarioDecision {
    /// The scenario.
    name: Scenario,
    /// Carrier of the test value.
    source: ScenarioSource,
    /// The test value, or null without one.
    value: Option<&'static str>,
}

/// The next transition of a resource; `kind` determines the other members.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OutlookDocument {
    /// An automatic transition at a known time.
    Due {
        /// Trigger of the transition.
        trigger: TriggerName,
        /// State after.
        to: StateName,
        /// Time of the transition.
        due_at: Timestamp,
    },
    /// A transition with a condition.
    Waiting {
        /// Trigger of the transition.
        trigger: TriggerName,
        /// State after.
        to: StateName,
        /// The condition.
        waits_for: Box<OutlookCondition>,
        /// The transition made instead if the condition is not met in time, or null.
        otherwise: Option<OutlookStep>,
    },
    /// No transition: the state is final.
    Final,
    /// No transition: a test value blocks the next one.
    Stuck,
    /// No transition until a call triggers one.
    ByHand,
}

/// An automatic transition and its due time.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OutlookStep {
    /// Trigger of the transition.
    trigger: TriggerName,
    /// State after.
    to: StateName,
    /// Time of the transition.
    due_at: Timestamp,
}

/// Condition of a transition; `what` determines the other members.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum OutlookCondition {
    /// Approval of the payee.
    Approval {
        /// The payee.
        resource: ResourceReference,
        /// Time of the approval, or null if it is not automatic.
        due_at: Option<Timestamp>,
    },
    /// State `working` of the request.
    Request {
        /// The request.
        resource: ResourceReference,
        /// State of the request.
        state: StateName,
        /// Next transition of the request.
        next: OutlookDocument,
    },
    /// Money in the payer's wallet.
    Money {
        /// The payer.
        resource: ResourceReference,
        /// Currency of the wallet.
        currency: String,
        /// Money needed.
        needed: DecimalNumber,
        /// Money in the wallet.
        available: DecimalNumber,
        /// Money missing.
        missing: DecimalNumber,
        /// Deadline, or null.
        before: Option<Timestamp>,
    },
    /// A call of the API by the payer.
    Call {
        /// Action to call.
        action: TriggerName,
        /// Deadline, or null.
        before: Option<Timestamp>,
    },
    /// Final states of all outputs.
    Outputs {
        /// Number of outputs without a final state.
        open: i64,
        /// Time of the next transition of an output, or null if it is not known.
        next_due_at: Option<Timestamp>,
    },
}

/// Renders the timeline of a resource.
pub fn timeline(subject: Subject, id: i64, timeline: &Timeline) -> TimelineDocument {
    let present = &timeline.present;
    TimelineDocument {
        resource: ResourceReference::new(subject.schema().type_name, id),
        state: StateName(present.state),
        since: present.since.map(Timestamp),
        transitions: timeline.transitions.iter().map(transition).collect(),
        left_off: timeline.left_off,
        scenario: present.decision.map(scenario),
        next: outlook(&present.outlook),
    }
}

fn transition(step: &PastTransition) -> TimelineEntry {
    let cause = |Cause { kind, by }: &Cause| TimelineCause { kind: *kind, by: by.as_deref().map(str::to_owned) };
    TimelineEntry {
        at: Timestamp(step.told.at),
        from: step.from.map(StateName),
        to: StateName(step.to),
        trigger: step.trigger.map(TriggerName),
        cause: step.told.cause.as_ref().map(cause),
        event: TimelineEvent { id: NumericId(step.told.id), event_type: EventTypeName(step.told.event_type.clone()) },
        deliveries: step.told.delivery.iter().map(delivery).collect(),
    }
}

fn delivery(delivery: &TimelineDelivery) -> TimelineDeliveryDocument {
    let attempt = |TimelineAttempt { at, status, error }: &TimelineAttempt| TimelineAttemptDocument {
        at: Timestamp(*at),
        status: *status,
        error: error.clone(),
    };
    TimelineDeliveryDocument {
        state: delivery.state,
        next_attempt_at: delivery.due_at.map(Timestamp),
        attempts: delivery.attempts.iter().map(attempt).collect(),
    }
}

fn scenario(decision: Decision) -> ScenarioDecision {
    ScenarioDecision { name: decision.scenario, source: decision.source, value: decision.value() }
}

/// Renders an outlook.
pub fn outlook(outlook: &Outlook) -> OutlookDocument {
    match outlook {
        Outlook::Due(NextStep { trigger, to, due_at }) => {
            OutlookDocument::Due { trigger: TriggerName(trigger), to: StateName(to), due_at: Timestamp(*due_at) }
        }
        Outlook::Waiting { trigger, to, waits_for, otherwise } => OutlookDocument::Waiting {
            trigger: TriggerName(trigger),
            to: StateName(to),
            waits_for: Box::new(condition(waits_for)),
            otherwise: otherwise.map(|NextStep { trigger, to, due_at }| OutlookStep {
                trigger: TriggerName(trigger),
                to: StateName(to),
                due_at: Timestamp(due_at),
            }),
        },
        Outlook::Final => OutlookDocument::Final,
        Outlook::Stuck => OutlookDocument::Stuck,
        Outlook::ByHand => OutlookDocument::ByHand,
    }
}

/// Renders the condition of a transition.
fn condition(wait: &WaitReason) -> OutlookCondition {
    let user = |id: i64| ResourceReference::new(users::document::SCHEMA.type_name, id);
    let time = |instant: &Option<time::OffsetDateTime>| instant.map(Timestamp);
    match wait {
        WaitReason::Approval { user_id, due_at } => {
            OutlookCondition::Approval { resource: user(*user_id), due_at: time(due_at) }
        }
        WaitReason::Request { id, state, outlook: next } => OutlookCondition::Request {
            resource: ResourceReference::new(requests::document::SCHEMA.type_name, *id),
            state: StateName(state.name()),
            next: outlook(next),
        },
        WaitReason::Money { user_id, currency, needed, available, before } => OutlookCondition::Money {
            resource: user(*user_id),
            currency: currency.clone(),
            needed: DecimalNumber(needed.clone()),
            available: DecimalNumber(available.clone()),
            missing: DecimalNumber((needed - available).max(BigDecimal::zero())),
            before: time(before),
        },
        WaitReason::Call { action, before } => {
            OutlookCondition::Call { action: TriggerName(action), before: time(before) }
        }
        WaitReason::Outputs { open, next_due_at } => {
            OutlookCondition::Outputs { open: *open, next_due_at: time(next_due_at) }
        }
    }
}
