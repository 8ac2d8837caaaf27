//! `GET /_sandbox/state_machines/{requests|outputs}`: the tables that drive the resources, as JSON or as a Mermaid
//! diagram.

use axum::Json;
use axum::extract::RawQuery;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::concierge::{outputs, requests};
use crate::jsonapi::error::{Error, Errors, PARAMETER_INVALID, PARAMETER_UNKNOWN, RESOURCE_NOT_FOUND};
use crate::jsonapi::query::read_each;
use crate::web::call::PathOf;

/// `GET /_sandbox/state_machines/:name?format=json|mermaid`
pub async fn show(PathOf(name): PathOf<String>, RawQuery(query): RawQuery) -> Result<Response, Errors> {
    let (document, mermaid) = match name.as_str() {
        "requests" => (requests::state::MACHINE.document(), requests::state::MACHINE.mermaid()),
        "outputs" => (outputs::state::MACHINE.document(), outputs::state::MACHINE.mermaid()),
        _ => {
            let detail = format!("\"{}\" is not a state machine; use requests or outputs", name.escape_default());
            return Err(Error::new(RESOURCE_NOT_FOUND, detail).into());
        }
    };
    let mut format = None;
    let faults = read_each(query.as_deref(), |parameter, value| {
        if parameter != "format" {
            let detail = format!("`{}` is not known here; use `format`", parameter.escape_default());
            return Err(Error::new(PARAMETER_UNKNOWN, detail).parameter(parameter));
        }
        format = Some(value.to_owned());
        Ok(())
    });
    if !faults.is_empty() {
        return Err(Errors::new(faults));
    }
    match format.as_deref() {
        None | Some("json") => Ok(Json(document).into_response()),
        Some("mermaid") => Ok(([(header::CONTENT_TYPE, "text/vnd.mermaid; charset=utf-8")], mermaid).into_response()),
        Some(other) => {
            let detail = format!("`format` is \"{}\"; it must be json or mermaid", other.escape_default());
            Err(Error::new(PARAMETER_INVALID, detail).parameter("format").into())
        }
    }
}
