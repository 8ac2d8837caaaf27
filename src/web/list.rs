//! The envelope of plain lists: `data`, `meta` and `links`. Their pages have the parameters of JSON:API.

use schemars::JsonSchema;
use serde::Serialize;

use crate::jsonapi::links::Links;

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub struct List<T, M> {
    /// Entries of the page.
    pub data: Vec<T>,
    /// Facts about the whole list.
    pub meta: M,
    /// Links to this page and others.
    pub links: Links,
}

/// Size of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListMeta {
    /// Number of entries on all pages; absent beyond 10 000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    total: Option<i64>,
}

impl<T> List<T, ListMeta> {
    /// Creates the answer with a page of a list.
    pub fn new((data, links): (Vec<T>, Links)) -> Self {
        Self { data, meta: ListMeta { total: links.total }, links }
    }
}
