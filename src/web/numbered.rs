//! Pages of a short collection in memory.
//!
//! Its pages are numbered only; collections in a table use [`listing`](super::listing).

use axum::http::StatusCode;
use axum::response::Response;

use super::answers::Blamed;
use super::call::{Call, answer};
use crate::jsonapi::error::{Error, Errors, PARAMETER_INVALID};
use crate::jsonapi::links::{Links, PageOf};
use crate::jsonapi::query::{Query, Start, Target};
use crate::jsonapi::render::{Included, Resource, render_collection};
use crate::jsonapi::schema::{Filter, Schema};

/// The requested page.
#[derive(Debug)]
pub struct Numbered {
    schema: &'static Schema,
    query: Query,
    /// Number of resources before the page.
    skipped: usize,
}

impl Numbered {
    /// Reads the query parameters of a collection of resources.
    ///
    /// # Errors
    /// 400 as for [`Query::read`], and for `page[after]` and `page[before]`.
    pub fn read(call: &Call, schema: &'static Schema) -> Result<Self, Errors> {
        Self::of(call.query(schema, Target::Collection)?, schema)
    }

    /// Reads the query parameters of a plain list.
    ///
    /// # Errors
    /// As [`Numbered::read`].
    pub fn read_list(call: &Call, schema: &'static Schema) -> Result<Self, Errors> {
        Self::of(call.query(schema, Target::List)?, schema)
    }

    fn of(query: Query, schema: &'static Schema) -> Result<Self, Errors> {
        let skipped = match query.page.start {
            Start::Number(number) => (number as usize - 1).saturating_mul(query.page.size as usize),
            Start::Offset(offset) => offset as usize,
            start @ (Start::After(_) | Start::Before(_)) => {
                let name = if matches!(start, Start::After(_)) { "page[after]" } else { "page[before]" };
                let detail = format!("`{name}` is not possible for {}; use page[number]", schema.type_name);
                return Err(Error::new(PARAMETER_INVALID, detail).parameter(name).into());
            }
        };
        Ok(Self { schema, query, skipped })
    }

    /// Returns the requested filters with their accepted values; the collection applies them.
    pub fn filters(&self) -> &[(&'static Filter, Vec<String>)] {
        &self.query.filters
    }

    /// Returns the number of entries before the page.
    pub const fn skipped(&self) -> usize {
        self.skipped
    }

    /// Returns the maximum number of entries on the page.
    pub const fn size(&self) -> usize {
        self.query.page.size as usize
    }

    /// Returns the links of the page under `origin`. `more` is true if entries follow it.
    pub fn links(&self, more: bool, total: Option<i64>, origin: &str) -> Links {
        Links::new(origin, self.schema.path, &self.query, PageOf { ends: None, more, total })
    }

    /// Returns the requested page of all `entries`, and its links under `origin`.
    pub fn page<T>(&self, entries: Vec<T>, origin: &str) -> (Vec<T>, Links) {
        let total = entries.len();
        let more = self.skipped.saturating_add(self.size()) < total;
        let page = entries.into_iter().skip(self.skipped).take(self.size()).collect();
        (page, self.links(more, i64::try_from(total).ok(), origin))
    }

    /// Answers the requested page of `resources`: the whole collection by ascending id. Links are under `origin`.
    ///
    /// # Errors
    /// 400 if the page is too large.
    pub fn respond(&self, mut resources: Vec<Resource>, origin: &str) -> Result<Response, Errors> {
        if self.query.sort.first().is_some_and(|key| key.descending) {
            resources.reverse();
        }
        let (page, links) = self.page(resources, origin);
        let document = render_collection(&page, &Included::default(), &self.query, origin, &links);
        let document = document
            .map_err(|size| Blamed::PageSize { asked: self.query.page.size, entries: page.len() }.too_large(size))?;
        Ok(answer(StatusCode::OK, document))
    }
}
