//! Timelines and outlooks as plain JSON.

use bigdecimal::{BigDecimal, Zero};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{PastTransition, Subject, Timeline, TimelineAttempt, TimelineDelivery};
use crate::concierge::outlook::{NextStep, Outlook, WaitReason};
use crate::concierge::outputs::scenario::Decision;
use crate::concierge::{requests, users};
use crate::events::Cause;
use crate::jsonapi::{decimal, render};

/// Renders the timeline of a resource.
pub fn timeline(subject: Subject, id: i64, timeline: &Timeline) -> Value {
    let present = &timeline.present;
    let mut rendered = json!({
        "resource": resource(subject.schema().type_name, id),
        "state": present.state,
        "since": time(present.since),
        "transitions": timeline.transitions.iter().map(transition).collect::<Vec<_>>(),
        "left_off": timeline.left_off,
    });
    if let Some(decision) = present.decision {
        rendered["scenario"] = scenario(decision);
    }
    rendered["next"] = outlook(&present.outlook);
    rendered
}

fn resource(type_name: &str, id: i64) -> Value {
    json!({ "type": type_name, "id": id.to_string() })
}

fn time(instant: Option<OffsetDateTime>) -> Value {
    instant.map(render::timestamp).into()
}

fn money(value: &BigDecimal) -> Value {
    decimal::number(value).map_or(Value::Null, Value::Number)
}

fn transition(step: &PastTransition) -> Value {
    json!({
        "at": render::timestamp(step.told.at),
        "from": step.from,
        "to": step.to,
        "trigger": step.trigger,
        "cause": step.told.cause.as_ref().map(|Cause { kind, by }| json!({ "kind": kind.name(), "by": by.as_deref() })),
        "event": { "id": step.told.id.to_string(), "type": step.told.event_type },
        "deliveries": step.told.delivery.iter().map(delivery).collect::<Vec<_>>(),
    })
}

fn delivery(delivery: &TimelineDelivery) -> Value {
    let attempt = |TimelineAttempt { at, status, error }: &TimelineAttempt| json!({ "at": render::timestamp(*at), "status": status, "error": error });
    json!({
        "state": delivery.state,
        "next_attempt_at": time(delivery.due_at),
        "attempts": delivery.attempts.iter().map(attempt).collect::<Vec<_>>(),
    })
}

fn scenario(decision: Decision) -> Value {
    json!({ "name": decision.scenario.name(), "source": decision.source.name(), "value": decision.value() })
}

/// Renders an outlook. Its `kind` determines the other members.
pub fn outlook(outlook: &Outlook) -> Value {
    match outlook {
        Outlook::Due(NextStep { trigger, to, due_at }) => {
            json!({ "kind": "due", "trigger": trigger, "to": to, "due_at": render::timestamp(*due_at) })
        }
        Outlook::Waiting { trigger, to, waits_for, otherwise } => json!({
            "kind": "waiting",
            "trigger": trigger,
            "to": to,
            "waits_for": wait(waits_for),
            "otherwise": otherwise.map(|NextStep { trigger, to, due_at }| {
                json!({ "trigger": trigger, "to": to, "due_at": render::timestamp(due_at) })
            }),
        }),
        Outlook::Final => json!({ "kind": "final" }),
        Outlook::Stuck => json!({ "kind": "stuck" }),
        Outlook::ByHand => json!({ "kind": "by_hand" }),
    }
}

/// Renders the condition of a transition. The member `what` determines the other members.
fn wait(wait: &WaitReason) -> Value {
    match wait {
        WaitReason::Approval { user_id, due_at } => {
            let user = resource(users::document::SCHEMA.type_name, *user_id);
            json!({ "what": "approval", "resource": user, "due_at": time(*due_at) })
        }
        WaitReason::Request { id, state, outlook: next } => json!({
            "what": "request",
            "resource": resource(requests::document::SCHEMA.type_name, *id),
            "state": state.name(),
            "next": outlook(next),
        }),
        WaitReason::Money { user_id, currency, needed, available, before } => {
            let missing = (needed - available).max(BigDecimal::zero());
            json!({
                "what": "money",
                "resource": resource(users::document::SCHEMA.type_name, *user_id),
                "currency": currency,
                "needed": money(needed),
                "available": money(available),
                "missing": money(&missing),
                "before": time(*before),
            })
        }
        WaitReason::Call { action, before } => json!({ "what": "call", "action": action, "before": time(*before) }),
        WaitReason::Outputs { open, next_due_at } => {
            json!({ "what": "outputs", "open": open, "next_due_at": time(*next_due_at) })
        }
    }
}
