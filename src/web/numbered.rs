//! Pages of a short collection in memory.
//!
//! Its pages are numbered only; collections in a table use [`listing`](super::listing).

use axum::http::StatusCode;
use axum::response::Response;

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
    /// Reads the query parameters.
    ///
    /// # Errors
    /// 400 as for [`Query::read`], and for `page[after]` and `page[before]`.
    pub fn read(call: &Call, schema: &'static Schema) -> Result<Self, Errors> {
        let query = call.query(schema, Target::Collection)?;
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

    /// Answers the requested page of `resources`: the whole collection by ascending id. Links are under `origin`.
    pub fn respond(&self, mut resources: Vec<Resource>, origin: &str) -> Response {
        let Self { schema, query, skipped } = self;
        if query.sort.first().is_some_and(|key| key.descending) {
            resources.reverse();
        }
        let total = resources.len();
        let size = query.page.size as usize;
        let page: Vec<Resource> = resources.into_iter().skip(*skipped).take(size).collect();
        let more = skipped.saturating_add(size) < total;
        let links =
            Links::new(origin, schema.path, query, PageOf { ends: None, more, total: i64::try_from(total).ok() });
        answer(StatusCode::OK, render_collection(&page, &Included::default(), query, origin, &links))
    }
}
