//! Durations: PT48H in ISO 8601, or 48h in the form people write.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// The valid form of a duration, for error details.
pub const EXPECTED: &str = "a duration such as PT48H, P2D, 90s or 250ms, from 0 to ten years in whole milliseconds, \
    without months and years (their length varies)";

/// The longest duration, ten years: longer ones could leave the calendar.
pub const LONGEST_SPAN: Duration = Duration::from_hours(10 * 366 * 24);

/// Parses a duration with days of 24 hours. Returns `None` for anything that is not [`EXPECTED`].
pub fn read(text: &str) -> Option<Duration> {
    let span: Span = text.trim().parse().ok()?;
    let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    let span = Duration::try_from(exact).ok()?;
    (span <= LONGEST_SPAN && span.subsec_nanos().is_multiple_of(1_000_000)).then_some(span)
}

/// Formats a duration in ISO 8601.
pub fn render(span: Duration) -> String {
    jiff::SignedDuration::try_from(span).map_or_else(|_| "PT0S".to_owned(), |span| span.to_string())
}
