//! The start of a part of a collection: after a resource, or from an instant on.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// A start, as named by the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Starts after the resource with this id.
    Id(i64),
    /// Starts at this instant.
    Time(OffsetDateTime),
}

impl Since {
    /// The valid form of a start, for error details.
    pub const EXPECTED: &str = "an id, or a time in RFC 3339 such as 2019-11-25T12:53:02.741Z";

    /// Returns the valid form of a start in a query, which usually is `expected`. A `+` there means a space, so a time that
    /// only lacks its `+` needs more explanation.
    pub fn expected_in_query(text: &str, expected: &str) -> String {
        match text.rsplit_once(' ') {
            Some((time, offset)) if OffsetDateTime::parse(&format!("{time}+{offset}"), &Rfc3339).is_ok() => {
                format!("{expected}. A + in a query means a space; write it as %2B: {time}%2B{offset}")
            }
            _ => expected.to_owned(),
        }
    }

    /// Parses an id, of an existing resource or not, or a time. Returns `None` for anything else.
    pub fn read(text: &str) -> Option<Self> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // no resource comes after an id larger than the largest
            return Some(Self::Id(text.parse().unwrap_or(i64::MAX)));
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        time.checked_to_offset(UtcOffset::UTC).map(Self::Time)
    }
}
