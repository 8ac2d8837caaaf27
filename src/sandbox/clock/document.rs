//! The bodies by which a clock is moved, and how a clock is shown: plain JSON.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::CLOCK_BACKWARDS;
use crate::accounts::time::AccountTime;
use crate::clock::Clock;
use crate::jsonapi::document::Reader;
use crate::jsonapi::duration::LONGEST_SPAN;
use crate::jsonapi::error::{ATTRIBUTE_INVALID, ATTRIBUTE_MISSING, Errors};
use crate::jsonapi::render::timestamp;

/// How far to move a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    By(std::time::Duration),
    To(OffsetDateTime),
}

/// Reads how far to advance: `by`, a span of time, or `to`, an instant.
///
/// # Errors
/// Every fault of the body.
pub fn read_advance(body: &[u8]) -> Result<Move, Errors> {
    const CHOICE: &str = "give `by` (a span of time) or `to` (an instant)";
    let mut reader = Reader::open_plain(body, &["by", "to"])?;
    match (reader.is_null("by"), reader.is_null("to")) {
        (true, true) => {
            reader.fault(ATTRIBUTE_MISSING, "", format!("neither is there; {CHOICE}"));
            reader.finish(None)
        }
        (false, false) => {
            reader.fault(ATTRIBUTE_INVALID, "/to", format!("is there beside `by`; {CHOICE}, not both"));
            reader.finish(None)
        }
        (false, true) => {
            let by = reader.span("by").map(Move::By);
            reader.finish(by)
        }
        (true, false) => {
            let to = reader.time("to").map(Move::To);
            reader.finish(to)
        }
    }
}

/// Reads where to set a clock: `to`, and whether it then stands still: `frozen`.
///
/// # Errors
/// Every fault of the body.
pub fn read_set(body: &[u8]) -> Result<(Move, Option<bool>), Errors> {
    let mut reader = Reader::open_plain(body, &["to", "frozen"])?;
    let frozen = reader.boolean("frozen");
    if reader.is_null("to") {
        reader.missing("to", "an instant, such as 2030-01-01T00:00:00Z");
    }
    let to = reader.time("to").map(|to| (Move::To(to), frozen));
    reader.finish(to)
}

/// Where a move leads from an instant.
///
/// # Errors
/// 422 where that is back in time, or further than ten years.
pub fn target(from: OffsetDateTime, by: Move) -> Result<OffsetDateTime, Errors> {
    let refuse = |code, detail: String| {
        let pointer = if matches!(by, Move::By(_)) { "/by" } else { "/to" };
        Err(crate::jsonapi::error::Error::new(code, detail).at(pointer).into())
    };
    let to = match by {
        Move::By(span) => from.checked_add(time::Duration::try_from(span).unwrap_or(time::Duration::MAX)),
        Move::To(to) => Some(to),
    };
    match to {
        Some(to) if to < from => {
            refuse(CLOCK_BACKWARDS, format!("it is {} already; a clock only goes forward", timestamp(from)))
        }
        Some(to) if to == from || (to - from <= LONGEST_SPAN && to.year() < 9000) => Ok(to),
        _ => {
            let from = timestamp(from);
            refuse(ATTRIBUTE_INVALID, format!("leads too far; it is {from}, from where ten years at once are the most"))
        }
    }
}

/// A clock as it is shown; `runs`: though it may stand for as long as it is walked.
pub fn render(time: AccountTime, runs: bool, clock: &Clock, next: Option<OffsetDateTime>) -> Value {
    let now = time.now(clock);
    json!({
        "now": timestamp(now),
        "frozen": !runs,
        // of one that stands still, that is another one each time
        "ahead_seconds": runs.then(|| (now - clock.now()).as_seconds_f64()),
        "next_due_at": next.map(timestamp),
    })
}
