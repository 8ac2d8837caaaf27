//! The protocol: the part of JSON:API 1.1 that all resources share. Bytes come in and go out here.
//!
//! * In: [`negotiation`] checks the headers, [`json`] parses the body, [`document`] reads it by pointer and collects
//!   every fault, and [`query`] reads the query parameters. [`decimal`], [`duration`] and [`since`] read values.
//! * Out: [`render`] writes documents, [`links`] the links of a page, and [`error`] error documents.
//! * [`schema`] describes a resource as data, for both directions. [`nearest`] finds a known name for a misspelt one.
//!
//! This module knows no resource, no database and no web framework.

pub mod decimal;
pub mod document;
pub mod duration;
pub mod error;
pub mod json;
pub mod links;
pub mod nearest;
pub mod negotiation;
pub mod query;
pub mod render;
pub mod schema;
pub mod since;

/// The JSON:API media type, the `Content-Type` of every answer.
pub const MEDIA_TYPE: &str = "application/vnd.api+json";
