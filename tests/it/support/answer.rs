//! An answer, and the invariants of every answer.

use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::contract::{self, Exchange};
use super::within;

/// An answer, with the invariants of every answer checked.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Answer {
    /// Reads an answer, and checks the invariants of every answer.
    #[track_caller]
    pub fn read(status: u16, headers: HeaderMap, text: String) -> Self {
        let request_id = headers.get("x-request-id").expect("every answer has a request id").to_str().unwrap();
        assert!(uuid::Uuid::try_parse(request_id).is_ok(), "{request_id:?}");
        let mut body = Value::Null;
        if status == 204 {
            assert_eq!(text, "");
        } else {
            let media_type = headers.get("content-type").map_or("", |value| value.to_str().unwrap());
            if media_type.ends_with("json") {
                body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} without JSON: {text:?}"));
            }
        }
        if status == 401 {
            assert_eq!(headers["www-authenticate"], "ApiKey realm=\"concierge-sandbox\"");
        }
        if let Some(location) = headers.get("location") {
            assert!(location.to_str().unwrap().starts_with("http"), "{location:?} is a URL");
        }
        if status >= 400 {
            assert_eq!(headers["content-type"], "application/vnd.api+json");
            for error in body["errors"].as_array().expect("an error document has errors") {
                for member in ["status", "code", "title", "detail"] {
                    assert!(error[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {error}");
                }
            }
        }
        Self { status, headers, body, text }
    }

    /// Returns the error objects as (status, code, source member).
    pub fn errors(&self) -> Vec<(String, String, String)> {
        let errors = self.body["errors"].as_array().unwrap_or_else(|| panic!("no errors in {self:?}"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let source = |error: &Value| {
            let source = error["source"].as_object().and_then(|source| source.values().next());
            source.map(text).unwrap_or_default()
        };
        errors.iter().map(|error| (text(&error["status"]), text(&error["code"]), source(error))).collect()
    }

    /// Asserts that there is exactly one error, and its status, code and source.
    #[track_caller]
    pub fn assert_error(&self, status: u16, code: &str, source: &str) {
        assert_eq!(self.errors(), [(status.to_string(), code.to_owned(), source.to_owned())], "{self:?}");
        assert_eq!(self.status, status, "{self:?}");
    }

    /// Asserts a status and returns the document.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }
}

/// Sends a request, checks the invariants of every answer, and holds the answer against the API document.
pub async fn send(request: RequestBuilder) -> Answer {
    let (client, request) = request.build_split();
    let request = request.unwrap();
    let (method, url) = (request.method().to_string(), request.url().clone());
    let response = within(client.execute(request)).await.unwrap();
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let text = within(response.text()).await.unwrap();
    let (path, query) = (url.path(), url.query().unwrap_or_default());
    contract::check(&Exchange { method: &method, path, query, status, headers: &headers, text: &text });
    Answer::read(status, headers, text)
}
