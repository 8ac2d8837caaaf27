//! Loads the related resources of a document's `include` paths.

use std::collections::HashSet;

use super::app::App;
use super::call::Call;
use crate::accounts::caller::Caller;
use crate::concierge::load;
use crate::jsonapi::document::id_number;
use crate::jsonapi::error::Errors;
use crate::jsonapi::query::Query;
use crate::jsonapi::render;
use crate::jsonapi::render::{Included, Linkage, Resource};

/// Follows every include path from the primary resources.
/// Resources in `known` are not loaded again, so default includes need no extra statement.
///
/// # Errors
/// 503 if the database is unavailable.
pub async fn follow(
    app: &App,
    account_id: i64,
    primary: &[Resource],
    known: Vec<Resource>,
    query: &Query,
) -> Result<Included, Errors> {
    let mut included = Included::default();
    for resource in known {
        included.add(resource);
    }
    for path in &query.include {
        // ids at the current step; `None` stands for the primary resources
        let mut reached: Option<Vec<String>> = None;
        for step in path {
            let (name, target) = (step.relationship.name, step.relationship.target);
            let mut ids: Vec<String> = Vec::new();
            let mut link = |resource: &Resource| {
                ids.extend_from_slice(resource.linkage(name).map_or(&[], Linkage::ids));
            };
            match &reached {
                None => primary.iter().for_each(&mut link),
                Some(ids) => ids.iter().filter_map(|id| included.get(step.owner, id)).for_each(&mut link),
            }
            if ids.len() > 1 {
                let mut seen = HashSet::with_capacity(ids.len());
                ids.retain(|id| seen.insert(id.clone()));
            }
            let unknown: Vec<i64> =
                ids.iter().filter(|id| included.get(target.type_name, id).is_none()).map(|id| id_number(id)).collect();
            if !unknown.is_empty() {
                let load = app.database.run(async |connection| load(connection, account_id, target, &unknown).await);
                for resource in Box::pin(load).await? {
                    included.add(resource);
                }
            }
            for id in &ids {
                included.show(target.type_name, id);
            }
            reached = Some(ids);
        }
    }
    Ok(included)
}

/// Renders the document of one resource with its included resources, as an answer to `caller`.
///
/// # Errors
/// As [`follow`].
pub async fn document(
    app: &App,
    (call, caller): (&Call, &Caller),
    resource: &Resource,
    known: Vec<Resource>,
    query: &Query,
) -> Result<Vec<u8>, Errors> {
    let included = follow(app, caller.account_id, std::slice::from_ref(resource), known, query).await?;
    Ok(render::render_document(resource, &included, query, call.origin.for_caller(caller)))
}
