//! The answer to a GET of a collection that is a table.

use axum::http::StatusCode;
use axum::response::Response;

use super::app::App;
use super::call::{Call, answer};
use super::include;
use crate::accounts::caller::Access;
use crate::concierge::listing::Table;
use crate::jsonapi::error::Errors;
use crate::jsonapi::links::{Links, PageOf};
use crate::jsonapi::query::Target;
use crate::jsonapi::render::{Resource, render_collection};
use crate::jsonapi::schema::Schema;

/// Answers the GET of a collection.
/// `known` returns the related resources in a resource's row.
///
/// # Errors
/// 400 for parameters, 401 if the caller is not allowed, 503 if the database is unavailable.
pub async fn respond<T>(
    app: &App,
    call: &Call,
    schema: &'static Schema,
    table: &Table<T>,
    render: fn(&T) -> Resource,
    known: fn(&T) -> Vec<Resource>,
) -> Result<Response, Errors> {
    let query = call.query(schema, Target::Collection);
    let query = call.authorize_parsed(app, Access::Read, query).await?;
    let credentials = call.credentials()?;
    let page = app.database.run(async |connection| table.page(connection, credentials, &query).await).await?;
    let resources: Vec<Resource> = page.resources.iter().map(render).collect();
    let known = page.resources.iter().flat_map(known).collect();
    let included = include::follow(app, page.caller.account_id, &resources, known, &query).await?;
    let ends = resources.first().zip(resources.last()).map(|(first, last)| (first.id.as_str(), last.id.as_str()));
    let origin = call.origin.for_caller(&page.caller);
    let links = Links::new(origin, schema.path, &query, PageOf { ends, more: page.more, total: page.total });
    Ok(answer(StatusCode::OK, render_collection(&resources, &included, &query, origin, &links)))
}
