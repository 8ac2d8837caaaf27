//! The protocol: JSON:API 1.1 as far as every resource shares it.
//!
//! Bytes come in and leave here. [`negotiation`] checks the headers, [`json`] turns bytes into a value,
//! [`decimal`] numbers into exact ones, [`document`] reads a document by pointer and collects every fault, [`query`] reads the query parameters,
//! [`schema`] describes a resource as data, [`since`] reads where a part of a collection begins, [`render`] writes documents, [`links`] the links of a page and
//! [`error`] every complaint. No resource is named in this room, and no database or web framework.

pub mod decimal;
pub mod document;
pub mod duration;
pub mod error;
pub mod json;
pub mod links;
pub mod negotiation;
pub mod query;
pub mod render;
pub mod schema;
pub mod since;

/// The JSON:API media type, the `Content-Type` of every answer.
pub const MEDIA_TYPE: &str = "application/vnd.api+json";
