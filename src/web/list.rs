//! The envelope of plain lists: `data`, `meta` and `links`. Their pages have the parameters of JSON:API.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::answers::Blamed;
use crate::jsonapi::error::Errors;
use crate::jsonapi::links::Links;
use crate::jsonapi::render::write_within;

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

impl<T: Serialize, M: Serialize> List<T, M> {
    /// Answers the list in memory of exactly its size.
    ///
    /// # Errors
    /// 400 if it is too large.
    pub fn respond(&self, blamed: Blamed) -> Result<Response, Errors> {
        let json = write_within(self).map_err(|size| blamed.too_large(size))?;
        Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response())
    }
}

impl<T> List<T, ListMeta> {
    /// Creates the answer with a page of a list.
    pub fn new((data, links): (Vec<T>, Links)) -> Self {
        Self { data, meta: ListMeta { total: links.total }, links }
    }
}
