//! The bodies that move a clock, and the rendering of a clock. All are plain JSON.

use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;

use super::CLOCK_BACKWARDS;
use crate::accounts::time::AccountTime;
use crate::clock::Clock;
use crate::jsonapi::document::Reader;
use crate::jsonapi::duration::LONGEST_SPAN;
use crate::jsonapi::error::{ATTRIBUTE_INVALID, ATTRIBUTE_MISSING, Errors};
use crate::jsonapi::render::timestamp;
use crate::jsonapi::schema::{Attribute, Input, ValueType};
use crate::jsonapi::values::Timestamp;

/// A distance or a target for a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    By(std::time::Duration),
    To(OffsetDateTime),
}

/// Members of the body that advances a clock: exactly one of them.
pub const ADVANCE: &[Attribute] = &[
    Attribute::new("by", ValueType::Duration, "Span of time.", r#""PT12H""#).on_create(Input::Optional),
    Attribute::new("to", ValueType::Time, "Instant.", r#""2030-01-01T00:00:00Z""#).on_create(Input::Optional),
];
/// Members of the body that sets a clock.
pub const SET: &[Attribute] = &[
    Attribute::new("to", ValueType::Time, "Instant, not before the clock's time.", r#""2030-01-01T00:00:00Z""#)
        .on_create(Input::Required),
    Attribute::new("frozen", ValueType::Boolean, "True to freeze the clock there, false to let it run.", "true")
        .on_create(Input::Optional),
];
/// Members of the body that settles an account.
pub const SETTLE: &[Attribute] = &[Attribute::new(
    "within",
    ValueType::Duration,
    "The clock stops once nothing is due within this time; a minute by default.",
    r#""PT1M""#,
)
.on_create(Input::Optional)];

/// Reads the distance to advance: `by`, a span of time, or `to`, an instant.
///
/// # Errors
/// All faults of the body.
pub fn read_advance(body: &[u8]) -> Result<Distance, Errors> {
    const CHOICE: &str = "give `by` (a span of time) or `to` (an instant)";
    let mut reader = Reader::open_plain(body, ADVANCE)?;
    match (reader.is_null("by"), reader.is_null("to")) {
        (true, true) => {
            reader.fault(ATTRIBUTE_MISSING, "", format!("`by` and `to` are missing; {CHOICE}"));
            reader.finish(None)
        }
        (false, false) => {
            reader.fault(ATTRIBUTE_INVALID, "/to", format!("`to` can't be combined with `by`; {CHOICE}, not both"));
            reader.finish(None)
        }
        (false, true) => {
            let by = reader.span("by").map(Distance::By);
            reader.finish(by)
        }
        (true, false) => {
            let to = reader.time("to").map(Distance::To);
            reader.finish(to)
        }
    }
}

/// Reads the body that sets a clock: `to`, the instant, and `frozen`, true to freeze the clock there.
///
/// # Errors
/// All faults of the body.
pub fn read_set(body: &[u8]) -> Result<(Distance, Option<bool>), Errors> {
    let mut reader = Reader::open_plain(body, SET)?;
    let frozen = reader.boolean("frozen");
    if reader.is_null("to") {
        reader.missing("to", "an instant, such as 2030-01-01T00:00:00Z");
    }
    let to = reader.time("to").map(|to| (Distance::To(to), frozen));
    reader.finish(to)
}

/// Returns the target of a move that starts at `from`.
///
/// # Errors
/// 422 if the target is in the past, or more than ten years away.
pub fn target(from: OffsetDateTime, by: Distance) -> Result<OffsetDateTime, Errors> {
    let refuse = |code, detail: String| {
        let name = if matches!(by, Distance::By(_)) { "by" } else { "to" };
        let detail = format!("`{name}` {detail}");
        Err(crate::jsonapi::error::Error::new(code, detail).at(format!("/{name}")).into())
    };
    let to = match by {
        Distance::By(span) => from.checked_add(time::Duration::try_from(span).unwrap_or(time::Duration::MAX)),
        Distance::To(to) => Some(to),
    };
    match to {
        Some(to) if to < from => {
            let from = timestamp(from);
            refuse(CLOCK_BACKWARDS, format!("is in the past; the clock is at {from} and only goes forward"))
        }
        Some(to) if to == from || (to - from <= LONGEST_SPAN && to.year() < 9000) => Ok(to),
        _ => {
            let from = timestamp(from);
            refuse(ATTRIBUTE_INVALID, format!("leads too far; the clock is at {from} and moves ten years at most"))
        }
    }
}

/// An account's clock.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ClockDocument {
    /// The account's present time.
    now: Timestamp,
    /// True if the clock stands still between calls.
    frozen: bool,
    /// Lead over the server's time, in seconds; null for a frozen clock.
    ahead_seconds: Option<f64>,
    /// Next instant with something due, or null.
    next_due_at: Option<Timestamp>,
}

/// Renders a clock. `runs` is true for a running clock, even while an advance holds it still.
pub fn render(time: AccountTime, runs: bool, clock: &Clock, next: Option<OffsetDateTime>) -> ClockDocument {
    let now = time.now(clock);
    ClockDocument {
        now: Timestamp(now),
        frozen: !runs,
        // for a frozen clock the value would differ at each call
        ahead_seconds: runs.then(|| (now - clock.now()).as_seconds_f64()),
        next_due_at: next.map(Timestamp),
    }
}
