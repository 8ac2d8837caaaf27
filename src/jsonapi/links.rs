//! The links of a page. Following `next` costs the same on every page: it names the last resource seen, not a number
//! of resources to skip.

use form_urlencoded::Serializer as Encoder;
use serde::Serialize;

use super::query::{Query, Start};

/// Largest total to count. Larger collections have no `last` link and no `meta.total`.
pub const COUNTED: i64 = 10_000;

/// The `links` member of a collection's document.
#[derive(Debug, Serialize)]
pub struct Links {
    #[serde(rename = "self")]
    this: String,
    first: String,
    prev: Option<String>,
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
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
        let link = |start: Option<(&str, &str)>| {
            let mut encoder = Encoder::new(String::new());
            for (name, value) in &query.others {
                encoder.append_pair(name, value);
            }
            if let Some((name, value)) = start {
                encoder.append_pair(name, value);
            }
            encoder.append_pair("page[size]", &query.page.size.to_string());
            format!("{origin}{path}?{}", encoder.finish())
        };
        let numbered = |number: u32| link(Some(("page[number]", &number.to_string())));
        let after = page.ends.map(|(_, last)| link(Some(("page[after]", last))));
        let before = page.ends.map(|(first, _)| link(Some(("page[before]", first))));
        let size = query.page.size;
        let (this, prev, next) = match query.page.start {
            Start::Number(number) => {
                let next = after.unwrap_or_else(|| numbered(number.saturating_add(1)));
                (numbered(number), (number > 1).then(|| numbered(number - 1)), page.more.then_some(next))
            }
            Start::Offset(offset) => {
                let at = |offset: u32| link(Some(("page[offset]", &offset.to_string())));
                let next = after.unwrap_or_else(|| at(offset.saturating_add(size)));
                (at(offset), (offset > 0).then(|| at(offset.saturating_sub(size))), page.more.then_some(next))
            }
            // the resource before the start is on the previous page
            Start::After(id) => (link(Some(("page[after]", &id.to_string()))), before, after.filter(|_| page.more)),
            Start::Before(id) => (link(Some(("page[before]", &id.to_string()))), before.filter(|_| page.more), after),
        };
        let last = page.total.map(|total| {
            let pages = (total.max(1) + i64::from(size) - 1) / i64::from(size);
            numbered(u32::try_from(pages).unwrap_or(u32::MAX))
        });
        Self { this, first: link(None), prev, next, last, total: page.total }
    }
}
