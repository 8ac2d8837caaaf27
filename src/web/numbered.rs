//! A page of a collection that is short and complete in memory. It is counted off, so its pages have numbers only; a
//! collection that is a table has [`listing`](crate::concierge::listing).

use axum::http::StatusCode;
use axum::response::Response;

use super::call::{Call, answer};
use crate::jsonapi::error::{Error, Errors, PARAMETER_INVALID};
use crate::jsonapi::links::{Links, PageOf};
use crate::jsonapi::query::{Query, Start, Target};
use crate::jsonapi::render::{Included, Resource, collection};
use crate::jsonapi::schema::{Filter, Schema};

/// The page that a request asks for.
#[derive(Debug)]
pub struct Numbered {
    schema: &'static Schema,
    query: Query,
    /// How many resources come before it.
    skipped: usize,
}

impl Numbered {
    /// Reads the query parameters.
    ///
    /// # Errors
    /// 400 as [`Query::read`] says, and for a page that is asked for by a resource next to it.
    pub fn read(call: &Call, schema: &'static Schema) -> Result<Self, Errors> {
        let query = call.query(schema, Target::Collection)?;
        let skipped = match query.page.start {
            Start::Number(number) => (number as usize - 1).saturating_mul(query.page.size as usize),
            Start::Offset(offset) => offset as usize,
            start @ (Start::After(_) | Start::Before(_)) => {
                let detail = format!("{} have numbered pages only; use page[number]", schema.type_name);
                let name = if matches!(start, Start::After(_)) { "page[after]" } else { "page[before]" };
                return Err(Error::new(PARAMETER_INVALID, detail).parameter(name).into());
            }
        };
        Ok(Self { schema, query, skipped })
    }

    /// The filters asked for, each with the values that may be found. They are the collection's own to apply.
    pub fn filters(&self) -> &[(&'static Filter, Vec<String>)] {
        &self.query.filters
    }

    /// The page of these resources, which are all that there are, by ascending id.
    pub fn respond(&self, mut resources: Vec<Resource>) -> Response {
        let Self { schema, query, skipped } = self;
        if query.sort.first().is_some_and(|key| key.descending) {
            resources.reverse();
        }
        let total = resources.len();
        let size = query.page.size as usize;
        let page: Vec<Resource> = resources.into_iter().skip(*skipped).take(size).collect();
        let more = skipped.saturating_add(size) < total;
        let links = Links::new(schema.path, query, PageOf { ends: None, more, total: i64::try_from(total).ok() });
        answer(StatusCode::OK, collection(&page, &Included::default(), query, &links))
    }
}
