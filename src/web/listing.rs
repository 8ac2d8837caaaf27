//! The answer to a GET of a collection that is a table.

use axum::http::StatusCode;
use axum::response::Response;

use super::answers::{Blamed, with_memory};
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
///
/// # Errors
/// 400 for parameters and a page that is too large, 401 if the caller is not allowed, 503 if the database is unavailable
/// or other answers hold the memory.
pub async fn respond<T>(
    app: &App,
    call: &Call,
    schema: &'static Schema,
    table: &Table<T>,
    render: fn(&T) -> Resource,
) -> Result<Response, Errors> {
    let query = call.query(schema, Target::Collection);
    let query = call.authorize_parsed(app, Access::Read, query).await?;
    let credentials = call.credentials()?;
    let page = app.database.run(async |connection| table.page(connection, credentials, &query).await).await?;
    let mut resources: Vec<Resource> = page.resources.iter().map(render).collect();
    drop(page.resources);
    let origin = call.origin.for_caller(&page.caller);
    let (at, blamed) =
        ((page.caller.account_id, origin), Blamed::PageSize { asked: query.page.size, entries: resources.len() });
    let (included, reserved) = include::follow(app, at, &mut resources, Vec::new(), &query, Some(blamed)).await?;
    let ends = resources.first().zip(resources.last()).map(|(first, last)| (first.id.as_str(), last.id.as_str()));
    let links = Links::new(origin, schema.path, &query, PageOf { ends, more: page.more, total: page.total });
    let document = render_collection(&resources, &included, &query, origin, &links);
    let document = document.map_err(|size| blamed.too_large(size))?;
    Ok(with_memory(answer(StatusCode::OK, document), reserved))
}
