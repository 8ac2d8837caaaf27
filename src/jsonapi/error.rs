//! Error objects and error documents.

use serde_json::{Value, json};

/// A kind of error: a stable code, its HTTP status, and a fixed title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// HTTP status.
    pub status: u16,
    /// Stable `snake_case` name, for programs.
    pub name: &'static str,
    /// Fixed summary, for people.
    pub title: &'static str,
}

impl Code {
    /// Creates a code. Modules declare their codes as constants.
    pub const fn new(status: u16, name: &'static str, title: &'static str) -> Self {
        Self { status, name, title }
    }
}

/// Declares codes as constants, and `CODES`, the list of them for the published table.
#[macro_export]
macro_rules! codes {
    ($($name:ident = $status:literal $code:literal $title:literal;)*) => {
        $(#[doc = $title] pub const $name: $crate::jsonapi::error::Code =
            $crate::jsonapi::error::Code::new($status, $code, $title);)*
        /// Every code of this module.
        pub const CODES: &[$crate::jsonapi::error::Code] = &[$($name),*];
    };
}

codes! {
    JSON_INVALID = 400 "json_invalid" "The body is not valid JSON";
    DOCUMENT_INVALID = 400 "document_invalid" "The document has the wrong structure";
    PARAMETER_INVALID = 400 "parameter_invalid" "A query parameter has an invalid value";
    PARAMETER_UNKNOWN = 400 "parameter_unknown" "A query parameter is unknown";
    INCLUDE_UNKNOWN = 400 "include_unknown" "An include path is unknown";
    SORT_UNKNOWN = 400 "sort_unknown" "A sort key is unknown";
    FILTER_UNKNOWN = 400 "filter_unknown" "A filter is unknown";
    FIELD_UNKNOWN = 400 "field_unknown" "A field is unknown";
    HEADER_INVALID = 400 "header_invalid" "A header has an invalid value";
    HTTP_INVALID = 400 "http_invalid" "The request is not valid HTTP";
    ANSWER_TOO_LARGE = 400 "answer_too_large" "The answer would be too large";
    CLIENT_ID_FORBIDDEN = 403 "client_id_forbidden" "Ids are assigned by the server";
    ORIGIN_NOT_ALLOWED = 403 "origin_not_allowed" "Pages of another origin may not call the control plane";
    ROUTE_UNKNOWN = 404 "route_unknown" "The path does not exist";
    RESOURCE_NOT_FOUND = 404 "resource_not_found" "The resource does not exist";
    RELATED_RESOURCE_NOT_FOUND = 404 "related_resource_not_found" "A related resource does not exist";
    METHOD_NOT_ALLOWED = 405 "method_not_allowed" "The path does not support this method";
    ACCEPT_UNSUPPORTED = 406 "accept_unsupported" "No acceptable media type is available";
    HEAD_TIMEOUT = 408 "head_timeout" "The head of the request did not arrive in time";
    BODY_TIMEOUT = 408 "body_timeout" "The body did not arrive in time";
    TYPE_MISMATCH = 409 "type_mismatch" "The document's type does not match the endpoint";
    ID_MISMATCH = 409 "id_mismatch" "The document's id does not match the path";
    BODY_TOO_LARGE = 413 "body_too_large" "The body is too large";
    URL_TOO_LONG = 414 "url_too_long" "The URL is too long";
    CONTENT_ENCODING_UNSUPPORTED = 415 "content_encoding_unsupported" "The body's encoding is not supported";
    MEDIA_TYPE_UNSUPPORTED = 415 "media_type_unsupported" "The body's media type is not supported";
    HOST_NOT_ALLOWED = 421 "host_not_allowed" "The server does not answer for this host";
    ATTRIBUTE_MISSING = 422 "attribute_missing" "An attribute is missing";
    ATTRIBUTE_INVALID = 422 "attribute_invalid" "An attribute has an invalid value";
    ATTRIBUTE_UNKNOWN = 422 "attribute_unknown" "An attribute is unknown";
    RELATIONSHIP_MISSING = 422 "relationship_missing" "A relationship is missing";
    RELATIONSHIP_TYPE_MISMATCH = 422 "relationship_type_mismatch" "A relationship names a resource of the wrong type";
    RATE_LIMITED = 429 "rate_limited" "Too many requests";
    HEADERS_TOO_LARGE = 431 "headers_too_large" "The head of the request is too large";
    INTERNAL = 500 "internal" "The server failed";
    UNAVAILABLE = 503 "unavailable" "The server is temporarily unavailable";
}

/// The cause of an error in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// RFC 6901 pointer to an existing part of the document.
    Pointer(String),
    /// Query parameter, as it was sent.
    Parameter(String),
    /// Header.
    Header(&'static str),
}

/// One error object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub code: Code,
    /// One sentence for people: the field first, then the fault and the remedy.
    pub detail: String,
    pub source: Option<Source>,
    /// Additional facts, for programs.
    pub meta: Option<Value>,
}

impl Error {
    /// Creates an error without a source.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), source: None, meta: None }
    }

    /// Sets the source to a pointer into the document.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.source = Some(Source::Pointer(pointer.into()));
        self
    }

    /// Sets the source to a query parameter.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>) -> Self {
        self.source = Some(Source::Parameter(name.into()));
        self
    }

    /// Sets the source to a header.
    #[must_use]
    pub fn header(mut self, name: &'static str) -> Self {
        self.source = Some(Source::Header(name));
        self
    }

    /// Adds facts for programs.
    #[must_use]
    pub fn meta(mut self, meta: Value) -> Self {
        self.meta = Some(meta);
        self
    }

    fn render(&self) -> Value {
        let mut object = json!({
            "status": self.code.status.to_string(),
            "code": self.code.name,
            "title": self.code.title,
            "detail": self.detail,
        });
        if let Some(source) = &self.source {
            object["source"] = match source {
                Source::Pointer(pointer) => json!({ "pointer": pointer }),
                Source::Parameter(name) => json!({ "parameter": name }),
                Source::Header(name) => json!({ "header": name }),
            };
        }
        if let Some(meta) = &self.meta {
            object["meta"] = meta.clone();
        }
        object
    }
}

/// All errors of one request, never empty. The body of an error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors {
    errors: Vec<Error>,
    /// Seconds after which the same request may succeed: the `Retry-After` header.
    pub retry_after: Option<u64>,
}

impl Errors {
    /// Wraps the collected errors, at least one.
    pub fn new(errors: Vec<Error>) -> Self {
        debug_assert!(!errors.is_empty());
        Self { errors, retry_after: None }
    }

    /// Sets the seconds after which the request may be repeated.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Returns whether these are a single error of a code.
    pub fn is(&self, code: Code) -> bool {
        matches!(self.errors.as_slice(), [error] if error.code == code)
    }

    /// Returns the status of the answer: the common one of the errors, else the general one of their class.
    pub fn status(&self) -> u16 {
        let first = self.errors.first().map_or(500, |error| error.code.status);
        if self.errors.iter().all(|error| error.code.status == first) {
            first
        } else if self.errors.iter().all(|error| error.code.status < 500) {
            400
        } else {
            500
        }
    }

    /// Returns the error objects.
    pub fn as_slice(&self) -> &[Error] {
        &self.errors
    }

    /// Renders the error document.
    pub fn render(&self) -> Vec<u8> {
        let errors: Vec<Value> = self.errors.iter().map(Error::render).collect();
        json!({ "errors": errors }).to_string().into_bytes()
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Self {
        Self::new(vec![error])
    }
}
