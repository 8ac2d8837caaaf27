//! Spans of time: PT48H as ISO 8601 has it, or 48h as people write it.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// What a text has to be, for complaints.
pub const EXPECTED: &str = "a span of time such as PT48H, P2D, 90s or 250ms, not negative, of whole milliseconds, without \
    months and years (which differ in length), and at most ten years";

/// The longest span, ten years: beyond that, times leave the calendar.
pub const LONGEST_SPAN: Duration = Duration::from_hours(10 * 366 * 24);

/// Reads a span of time, in which a day has 24 hours; `None` for anything that isn't [`EXPECTED`].
pub fn read(text: &str) -> Option<Duration> {
    let span: Span = text.trim().parse().ok()?;
    let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    let span = Duration::try_from(exact).ok()?;
    (span <= LONGEST_SPAN && span.subsec_nanos().is_multiple_of(1_000_000)).then_some(span)
}

/// A span of time as ISO 8601 has it.
pub fn render(span: Duration) -> String {
    jiff::SignedDuration::try_from(span).map_or_else(|_| "PT0S".to_owned(), |span| span.to_string())
}
