//! Routes as data: what each operation takes and answers. The router and the API document are made of the same tables.

use schemars::{Schema as JsonSchema, SchemaGenerator};

use crate::jsonapi::error::Code;
use crate::jsonapi::query::Target;
use crate::jsonapi::schema::{Attribute, Schema};

/// A path with its operations.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Path in the router's syntax; `{id}` stands for one segment.
    pub path: &'static str,
    /// One operation for each method; GET implies HEAD.
    pub operations: &'static [Operation],
}

/// A method of a path: what it takes and answers.
///
/// Errors that follow from these facts need no mention in `codes`: those of the key, the headers, the parameters and
/// the body.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// HTTP method; the table of routes sets it.
    pub method: &'static str,
    /// Unique name, for generated clients.
    pub id: &'static str,
    /// One sentence.
    pub summary: &'static str,
    pub key: Key,
    /// Parameters in the path, other than the id of a resource.
    pub path: &'static [Attribute],
    pub query: QueryOf,
    /// Request headers of its own.
    pub headers: &'static [Attribute],
    /// Headers of its answers, besides those of every answer.
    pub answer_headers: &'static [&'static str],
    pub body: Body,
    /// Example of the body, as JSON.
    pub example: Option<&'static str>,
    pub answer: Answer,
    /// Errors of its own.
    pub codes: &'static [Code],
    /// False for an operation without checks of headers and body.
    pub is_checked: bool,
}

/// The key of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    None,
    /// None, or a key with any access.
    Optional,
    Read,
    Write,
    /// The admin token, if the server has one.
    Admin,
    /// A key of the account itself, or the admin token.
    OwnerOrAdmin,
}

/// Query parameters.
#[derive(Debug, Clone, Copy)]
pub enum QueryOf {
    None,
    /// The parameters of JSON:API for a resource.
    Resource(Target, &'static Schema),
    Plain(&'static [Attribute]),
}

/// The body of a request.
#[derive(Debug, Clone, Copy)]
pub enum Body {
    /// None. A body has no effect.
    None,
    /// None, or an object without members.
    Empty,
    /// A document that creates a resource.
    Create(&'static Schema),
    /// A document that updates a resource.
    Update(&'static Schema),
    /// None, or anything; of a document, these attributes have an effect.
    Action(&'static Schema, &'static [Attribute]),
    /// An object with these members.
    Plain(&'static [Attribute]),
    /// A document with several resources of these types, each with its id.
    Resources(&'static [&'static Schema]),
    /// An object with the member `data`: a list of items of this schema.
    Items(fn() -> serde_json::Value),
}

/// An answer of a success.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// A resource.
    Document(u16, &'static Schema),
    /// A new resource, with `Location`.
    Created(&'static Schema),
    /// A resource, or null.
    DocumentOrNull(&'static Schema),
    /// A page of resources.
    Collection(&'static Schema),
    /// 204 without a body.
    Empty,
    /// None: the operation is always refused, with the reason.
    Never,
    /// Plain JSON; the function describes it.
    Json(u16, fn(&mut SchemaGenerator) -> JsonSchema),
    /// Plain JSON of a new thing, with `Location`.
    CreatedJson(fn(&mut SchemaGenerator) -> JsonSchema),
    /// Plain JSON, or text of a media type on request.
    JsonOrText(fn(&mut SchemaGenerator) -> JsonSchema, &'static str),
    /// An object in another format than JSON.
    Structured(&'static str),
    /// Text of this media type.
    Text(&'static str),
    /// A file of one of these media types.
    Files(&'static [&'static str]),
    /// Plain JSON, or a page on request.
    JsonOrPage(fn(&mut SchemaGenerator) -> JsonSchema),
}

impl Route {
    /// Returns the methods of the path, HEAD included.
    pub fn methods(&self) -> Vec<&'static str> {
        let mut methods: Vec<&str> = self.operations.iter().map(|operation| operation.method).collect();
        methods.extend(methods.contains(&"GET").then_some("HEAD"));
        methods
    }
}

impl Operation {
    const fn new(id: &'static str, summary: &'static str, key: Key) -> Self {
        Self {
            method: "",
            id,
            summary,
            key,
            path: &[],
            query: QueryOf::None,
            headers: &[],
            answer_headers: &[],
            body: Body::None,
            example: None,
            answer: Answer::Empty,
            codes: &[],
            is_checked: true,
        }
    }

    /// An operation outside of JSON:API.
    pub const fn plain(id: &'static str, summary: &'static str, key: Key, answer: Answer) -> Self {
        Self { answer, ..Self::new(id, summary, key) }
    }

    /// A page of a collection of resources.
    pub const fn list(id: &'static str, summary: &'static str, schema: &'static Schema, answer: Answer) -> Self {
        Self { query: QueryOf::Resource(Target::Collection, schema), answer, ..Self::new(id, summary, Key::Read) }
    }

    /// One resource.
    pub const fn show(id: &'static str, summary: &'static str, schema: &'static Schema, answer: Answer) -> Self {
        Self { query: QueryOf::Resource(Target::Single, schema), answer, ..Self::new(id, summary, Key::Read) }
    }

    /// A change with the document of a resource as its answer.
    pub const fn write(
        id: &'static str,
        summary: &'static str,
        schema: &'static Schema,
        body: Body,
        answer: Answer,
    ) -> Self {
        Self { key: Key::Write, body, ..Self::show(id, summary, schema, answer) }
    }

    /// Sets the key.
    #[must_use]
    pub const fn key(self, key: Key) -> Self {
        Self { key, ..self }
    }

    /// Sets the parameters in the path.
    #[must_use]
    pub const fn path(self, path: &'static [Attribute]) -> Self {
        Self { path, ..self }
    }

    /// Sets the query parameters.
    #[must_use]
    pub const fn query(self, query: QueryOf) -> Self {
        Self { query, ..self }
    }

    /// Adds request headers.
    #[must_use]
    pub const fn headers(self, headers: &'static [Attribute]) -> Self {
        Self { headers, ..self }
    }

    /// Adds headers of answers, errors included.
    #[must_use]
    pub const fn answer_headers(self, answer_headers: &'static [&'static str]) -> Self {
        Self { answer_headers, ..self }
    }

    /// Sets the body with its example.
    #[must_use]
    pub const fn body(self, body: Body, example: &'static str) -> Self {
        Self { body, ..self.example(example) }
    }

    /// Sets the body to none, or an object without members.
    #[must_use]
    pub const fn empty_body(self) -> Self {
        Self { body: Body::Empty, ..self }
    }

    /// Sets the example of the body.
    #[must_use]
    pub const fn example(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }

    /// Sets the errors of its own.
    #[must_use]
    pub const fn codes(self, codes: &'static [Code]) -> Self {
        Self { codes, ..self }
    }

    /// Removes the checks of headers and body.
    #[must_use]
    pub const fn unchecked(self) -> Self {
        Self { is_checked: false, ..self }
    }

    /// Sets the method.
    #[must_use]
    pub const fn on(self, method: &'static str) -> Self {
        Self { method, ..self }
    }
}

/// Declares routes once: as a list, and for the router.
#[macro_export]
macro_rules! routes {
    (
        $(#[$doc:meta])*
        $list:ident, $table:ident -> $state:ty;
        $($path:literal: $($method:ident $handler:path => $operation:expr),+;)*
    ) => {
        $(#[$doc])*
        pub const $list: &[$crate::web::route::Route] = &[$($crate::web::route::Route {
            path: $path,
            operations: &[$($operation.on(stringify!($method))),+],
        }),*];

        fn $table() -> axum::Router<$state> {
            axum::Router::new()$(.route(
                $path,
                axum::routing::MethodRouter::new()$(.on(axum::routing::MethodFilter::$method, $handler))+,
            ))*
        }
    };
}
