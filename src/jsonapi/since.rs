//! From where on: behind a resource, or from an instant on.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// What a client names the beginning of a part by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// What comes after the resource with this id.
    Id(i64),
    /// What is of this instant or later.
    Time(OffsetDateTime),
}

impl Since {
    /// What a text has to be, for complaints.
    pub const EXPECTED: &str = "an id, or a time as RFC 3339 spells it, such as 2019-11-25T12:53:02.741Z";

    /// Reads an id, whether there is such a resource or not, or a time; `None` for anything else.
    pub fn read(text: &str) -> Option<Self> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // nothing comes after an id that is larger than any
            return Some(Self::Id(text.parse().unwrap_or(i64::MAX)));
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        time.checked_to_offset(UtcOffset::UTC).map(Self::Time)
    }
}
