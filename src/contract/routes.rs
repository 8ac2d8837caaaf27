//! `/_sandbox/openapi.json`, `/_sandbox/openapi.yaml` and `/_sandbox/docs`, their page.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRef, State};
use axum::http::{HeaderName, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, html};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use swagger_ui_dist::{ApiDefinition, OpenApiSource};
use tower::ServiceExt;

use super::settings::ServerSetting;
use super::yaml;
use crate::jsonapi::error::{Error, Errors, INTERNAL, RESOURCE_NOT_FOUND};
use crate::jsonapi::schema::{Attribute, ValueType};
use crate::web::app::App;
use crate::web::call::{Call, PathOf};
use crate::web::guard::{bounded, guarded, time_limited};
use crate::web::route::{Answer, Key, Operation};

/// Makes the document of a server at an origin with these settings.
pub type Document = fn(&str, &[ServerSetting]) -> Value;

/// The state of the handlers.
#[derive(Debug, Clone)]
struct Contract {
    app: App,
    settings: Arc<[ServerSetting]>,
    document: Document,
}

impl FromRef<Contract> for App {
    fn from_ref(contract: &Contract) -> Self {
        contract.app.clone()
    }
}

/// The media type of OpenAPI documents in JSON (RFC 9512 has the one in YAML).
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
/// Policy of the page: files of this server only. Swagger UI draws its icons from `data:` URLs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Headers of the page and its files.
const PAGE_HEADERS: &[&str] =
    &["Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cache-Control"];
/// Files of the page, with their media types.
const FILES: [(&str, &str); 3] = [
    ("swagger-ui.css", "text/css; charset=utf-8"),
    ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ("start.js", "text/javascript; charset=utf-8"),
];

/// `GET /_sandbox/openapi.json`
const SHOW_JSON: Operation =
    Operation::plain("getOpenApiJson", "This document, as JSON.", Key::None, Answer::Json(200, any_object));
/// `GET /_sandbox/openapi.yaml`
const SHOW_YAML: Operation =
    Operation::plain("getOpenApiYaml", "This document, as YAML.", Key::None, Answer::Structured(YAML));
/// `GET /_sandbox/docs`
const SHOW_PAGE: Operation =
    Operation::plain("getDocs", "This document as a page, to read and to try.", Key::None, Answer::Text("text/html"))
        .answer_headers(PAGE_HEADERS);
/// `GET /_sandbox/docs/:file`
const SHOW_FILE: Operation =
    Operation::plain("getDocsFile", "A file of that page.", Key::None, Answer::Files(&["text/css", "text/javascript"]))
        .unchecked()
        .answer_headers(PAGE_HEADERS)
        .path(&[Attribute::new("file", ValueType::Text { longest: 64 }, "Name of a file.", r#""start.js""#)]);

crate::routes! {
    /// Paths of the contract.
    ROUTES, table -> Contract;
    "/_sandbox/openapi.json": GET show_json => SHOW_JSON;
    "/_sandbox/openapi.yaml": GET show_yaml => SHOW_YAML;
    "/_sandbox/docs": GET show_page => SHOW_PAGE;
    "/_sandbox/docs/{file}": GET show_file => SHOW_FILE;
}

/// Describes the document itself, whose form OpenAPI specifies.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": true })
}

/// Returns the routes of the contract. `settings` are those of the server.
pub fn routes(app: &App, settings: Vec<ServerSetting>, document: Document) -> Router {
    let contract = Contract { app: app.clone(), settings: settings.into(), document };
    guarded(bounded(time_limited(table(), app), app), contract)
}

async fn show_json(State(contract): State<Contract>, call: Call) -> Result<Response, Errors> {
    call.no_query()?;
    let document = (contract.document)(call.origin.without_account(), &contract.settings);
    Ok(([(header::CONTENT_TYPE, JSON)], document.to_string()).into_response())
}

async fn show_yaml(State(contract): State<Contract>, call: Call) -> Result<Response, Errors> {
    call.no_query()?;
    let document =
        yaml::render(&(contract.document)(call.origin.without_account(), &contract.settings)).map_err(|error| {
            tracing::error!(%error, "the API document has no form in YAML");
            Error::new(INTERNAL, "the server failed; see the server log for this X-Request-Id")
        })?;
    Ok(([(header::CONTENT_TYPE, YAML)], document).into_response())
}

async fn show_page(call: Call) -> Result<Response, Errors> {
    call.no_query()?;
    let prefix = call.origin.path_prefix();
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Concierge sandbox: API" }
                link rel="stylesheet" href={ (prefix) "/_sandbox/docs/swagger-ui.css" };
                script src={ (prefix) "/_sandbox/docs/swagger-ui-bundle.js" } defer {}
                script src={ (prefix) "/_sandbox/docs/start.js" } defer {}
            }
            body {
                noscript {
                    "This page needs JavaScript. The document itself: "
                    a href={ (prefix) "/_sandbox/openapi.json" } { "openapi.json" }
                    ", "
                    a href={ (prefix) "/_sandbox/openapi.yaml" } { "openapi.yaml" }
                    "."
                }
                div #document {}
            }
        }
    };
    Ok(page("text/html; charset=utf-8", markup.into_string().into()))
}

async fn show_file(PathOf(name): PathOf<String>) -> Result<Response, Errors> {
    let Some((name, media_type)) = FILES.into_iter().find(|(known, _)| *known == name) else {
        let known = FILES.map(|(known, _)| known).join(", ");
        let detail = format!("{name:?} is not a file of /_sandbox/docs; its files are {known}");
        return Err(Error::new(RESOURCE_NOT_FOUND, detail).into());
    };
    if name == "start.js" {
        return Ok(page(media_type, include_str!("page/start.js").into()));
    }
    Ok(page(media_type, vendored(name).await))
}

/// Returns a file of Swagger UI from its crate, which offers its files as routes.
async fn vendored(name: &str) -> Body {
    let definition = ApiDefinition { uri_prefix: "/ui", api_definition: OpenApiSource::Uri(""), title: None };
    let files: Router = swagger_ui_dist::generate_routes(definition);
    let request = Request::get(format!("/ui/{name}")).body(Body::empty()).unwrap_or_default();
    match files.oneshot(request).await {
        Ok(response) => response.into_body(),
        Err(never) => match never {},
    }
}

fn page(media_type: &'static str, body: Body) -> Response {
    const HEADERS: [(HeaderName, &str); 4] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let mut response = (StatusCode::OK, [(header::CONTENT_TYPE, media_type)], body).into_response();
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
