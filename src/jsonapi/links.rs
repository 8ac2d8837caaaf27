//! The links of a page. Following `next` costs the same on every page: it names the last resource seen, not a number
//! of resources to skip.

use schemars::JsonSchema;
use serde::Serialize;

use super::query::{Query, Start};

/// Largest total to count. Larger collections have no `last` link and no `meta.total`.
pub const COUNTED: i64 = 10_000;

/// The `links` member of a collection's document.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Links {
    /// This page.
    #[serde(rename = "self")]
    this: String,
    /// The first page.
    first: String,
    /// The page before this one, or null.
    prev: Option<String>,
    /// The page after this one, or null.
    next: Option<String>,
    /// The last page, if the entries are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    last: Option<String>,
    /// Number of resources in the collection; `None` beyond [`COUNTED`].
    #[serde(skip)]
    pub total: Option<i64>,
}

/// The facts about a page, once read.
#[derive(Debug, Clone, Copy)]
pub struct PageOf<'a> {
    /// Ids of its first and last resource; `None` if it is empty, or pages are only numbered.
    pub ends: Option<(&'a str, &'a str)>,
    /// True if the collection continues in the direction of the reading.
    pub more: bool,
    /// Number of resources in the collection; `None` beyond [`COUNTED`].
    pub total: Option<i64>,
}

impl Links {
    /// Builds the links of a page of the collection at `path` under `origin`.
    pub fn new(origin: &str, path: &str, query: &Query, page: PageOf<'_>) -> Self {
        let kept = if query.others.is_empty() { String::new() } else { format!("{}&", query.others) };
        let link = |start: Option<(&str, &str)>| {
            let start = start.map_or(String::new(), |(key, value)| format!("page%5B{key}%5D={value}&"));
            format!("{origin}{path}?{kept}{start}page%5Bsize%5D={}", query.page.size)
        };
        let numbered = |number: u32| link(Some(("number", &number.to_string())));
        let after = page.ends.map(|(_, last)| link(Some(("after", last))));
        let before = page.ends.map(|(first, _)| link(Some(("before", first))));
        let size = query.page.size;
        let (this, prev, next) = match query.page.start {
            Start::Number(number) => {
                let next = after.unwrap_or_else(|| numbered(number.saturating_add(1)));
                (numbered(number), (number > 1).then(|| numbered(number - 1)), page.more.then_some(next))
            }
            Start::Offset(offset) => {
                let at = |offset: u32| link(Some(("offset", &offset.to_string())));
                let next = after.unwrap_or_else(|| at(offset.saturating_add(size)));
                (at(offset), (offset > 0).then(|| at(offset.saturating_sub(size))), page.more.then_some(next))
            }
            // the resource before the start is on the previous page
            Start::After(id) => (link(Some(("after", &id.to_string()))), before, after.filter(|_| page.more)),
            Start::Before(id) => (link(Some(("before", &id.to_string()))), before.filter(|_| page.more), after),
        };
        let last = page.total.map(|total| {
            let pages = (total.max(1) + i64::from(size) - 1) / i64::from(size);
            numbered(u32::try_from(pages).unwrap_or(u32::MAX))
        });
        Self { this, first: link(None), prev, next, last, total: page.total }
    }
}
