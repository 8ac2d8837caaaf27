//! The body that creates a snapshot, and the rendering of one: plain JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::{AccountSnapshot, SnapshotCounts};
use crate::jsonapi::document::Reader;
use crate::jsonapi::error::{Error, Errors, RESOURCE_NOT_FOUND};
use crate::jsonapi::schema::{Attribute, Input, ValueType};
use crate::jsonapi::values::Timestamp;

/// Maximum length of a name, in characters.
const LONGEST: usize = 100;

/// Members of the body that takes a snapshot.
pub const NEW_SNAPSHOT: &[Attribute] = &[Attribute::new(
    "name",
    ValueType::Text { longest: LONGEST },
    "Name; letters, digits, `-`, `_` and `.`.",
    r#""before-quote""#,
)
.on_create(Input::Required)];

/// Reads the name of a new snapshot. Names appear unescaped in paths.
///
/// # Errors
/// Every fault of the body.
pub fn read_name(body: &[u8]) -> Result<String, Errors> {
    const EXPECTED: &str = "letters, digits, `-`, `_` and `.`, starting with a letter or a digit";
    let mut reader = Reader::open_plain(body, NEW_SNAPSHOT)?;
    if reader.is_null("name") {
        reader.missing("name", format_args!("1 to {LONGEST} characters: {EXPECTED}"));
    }
    let name = reader.text("name", LONGEST);
    let is_usable = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if name.as_deref().is_some_and(|name| !is_usable(name)) {
        reader.invalid("name", EXPECTED);
    }
    reader.finish(name)
}

/// A named copy of an account's data.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SnapshotDocument {
    /// Name of the snapshot.
    name: String,
    /// The account's time in the snapshot.
    taken_at: Timestamp,
    /// True if the account's clock stood still.
    frozen: bool,
    /// Number of resources by type.
    counts: SnapshotCounts,
}

/// Renders a snapshot.
pub fn render(snapshot: AccountSnapshot) -> SnapshotDocument {
    let AccountSnapshot { name, taken_at, runs, counts } = snapshot;
    SnapshotDocument { name, taken_at: Timestamp(taken_at), frozen: !runs, counts }
}

/// Returns 404 for an unknown snapshot.
pub fn not_found(name: &str) -> Errors {
    let detail = format!("{name:?} is not a snapshot of this account; GET /_sandbox/snapshots lists them");
    Error::new(RESOURCE_NOT_FOUND, detail).into()
}
