//! Loads the related resources of a document's `include` paths, and the large parts of a document.

use std::collections::{HashMap, HashSet};

use super::answers::{Blamed, ReservedMemory};
use super::app::App;
use super::call::Call;
use crate::accounts::caller::Caller;
use crate::concierge::load_for_document;
use crate::concierge::withdrawal_instructions::document::{BODY, SCHEMA as INSTRUCTIONS};
use crate::concierge::withdrawal_instructions::store::{SizedBody, bodies};
use crate::jsonapi::document::id_number;
use crate::jsonapi::error::{ANSWER_TOO_LARGE, Errors};
use crate::jsonapi::query::Query;
use crate::jsonapi::render::{self, Included, LARGEST_ANSWER, Linkage, Resource, Value};

/// Number of related resources to load at once. Between two loads the size of the document is checked.
const AT_ONCE: usize = 1000;
/// Bytes of bodies to load at once.
const BYTES_AT_ONCE: usize = 4 << 20;

/// Reason in the answer to a change whose `include` leads to too much.
const OMITTED: &str = "the resources of `include` have more than 32 MiB together, so they are left out; the request was \
    done; list them in pages";

/// Follows every include path from the primary resources, then loads the bodies to show, of the primary resources too.
/// Resources in `known` are not loaded again, so the default includes of a single output need no extra statement.
///
/// Returns the memory reserved for the bodies, if they are large.
///
/// # Errors
/// 400 if `blamed` (`include` for `None`) leads to an answer that is too large. 503 if the database is unavailable, or
/// other answers hold the memory; with `None` they are not asked.
pub async fn follow(
    app: &App,
    (account_id, origin): (i64, &str),
    primary: &mut [Resource],
    known: Vec<Resource>,
    query: &Query,
    blamed: Option<Blamed>,
) -> Result<(Included, Option<ReservedMemory>), Errors> {
    let mut included = Included::default();
    let mut size = 0;
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
            for some in unknown.chunks(AT_ONCE) {
                let load =
                    app.database.run(async |connection| load_for_document(connection, account_id, target, some).await);
                for resource in Box::pin(load).await? {
                    size += render::size_of_included(&resource, query, origin);
                    included.add(resource);
                }
                check(size, blamed)?;
            }
            for id in &ids {
                included.show(target.type_name, id);
            }
            reached = Some(ids);
        }
    }
    let reserved = load_bodies(app, account_id, primary, &mut included, query, (size, blamed)).await?;
    Ok((included, reserved))
}

fn check(size: usize, blamed: Option<Blamed>) -> Result<(), Errors> {
    if size > LARGEST_ANSWER { Err(blamed.unwrap_or(Blamed::Include).too_large(size)) } else { Ok(()) }
}

/// Loads the bodies that the document shows. Their size is known before they are loaded.
async fn load_bodies(
    app: &App,
    account_id: i64,
    primary: &mut [Resource],
    included: &mut Included,
    query: &Query,
    (size, blamed): (usize, Option<Blamed>),
) -> Result<Option<ReservedMemory>, Errors> {
    if !query.shows(INSTRUCTIONS.type_name, BODY) {
        return Ok(None);
    }
    // one place for each id: an included resource that is primary too isn't shown twice
    let mut places: HashMap<i64, &mut Value> = HashMap::new();
    for resource in included.shown_mut().chain(primary) {
        let id = id_number(&resource.id);
        let unread = resource.attributes.iter_mut().find(|(_, value)| matches!(value, Value::Unread));
        places.extend(unread.map(|(_, value)| (id, value)));
    }
    if places.is_empty() {
        return Ok(None);
    }
    let mut ids: Vec<i64> = places.keys().copied().collect();
    ids.sort_unstable();
    let load = async |ids: &[i64]| {
        let work = app.database.run(async |connection| bodies(connection, account_id, ids, BYTES_AT_ONCE).await);
        Box::pin(work).await
    };
    let mut put = |found: Vec<SizedBody>| {
        for SizedBody { id, body, .. } in found {
            if let (Some(place), Some(body)) = (places.get_mut(&id), body) {
                **place = Value::Json(body);
            }
        }
    };
    let found = load(&ids).await?;
    let total: usize = found.iter().map(|sized| sized.size).sum();
    check(size + total, blamed)?;
    if total <= BYTES_AT_ONCE {
        put(found);
        return Ok(None);
    }
    let reserved = match blamed {
        Some(_) => Some(app.answers.reserve(total)?),
        None => None,
    };
    let mut rest = found.as_slice();
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|sized| {
            bytes += sized.size;
            bytes <= BYTES_AT_ONCE
        });
        // a body is smaller than a load
        let (some, later) = rest.split_at(fitting.count().max(1));
        let ids: Vec<i64> = some.iter().map(|sized| sized.id).collect();
        put(load(&ids).await?);
        rest = later;
    }
    Ok(reserved)
}

/// Renders the document of one resource with its included resources, as an answer to `caller`. A GET blames its
/// `include` for its size. After a change the answer has to arrive, so nothing is blamed: the answer says that it leaves
/// the included resources out.
///
/// # Errors
/// As [`follow`].
pub async fn document(
    app: &App,
    (call, caller): (&Call, &Caller),
    resource: &mut Resource,
    known: Vec<Resource>,
    query: &Query,
    blamed: Option<Blamed>,
) -> Result<Vec<u8>, Errors> {
    let origin = call.origin.for_caller(caller);
    let (at, primary) = ((caller.account_id, origin), std::slice::from_mut(&mut *resource));
    match follow(app, at, primary, known, query, blamed).await {
        Ok((included, _reserved)) => Ok(render::render_document(resource, &included, query, origin)),
        Err(errors) if blamed.is_none() && errors.is(ANSWER_TOO_LARGE) => {
            Ok(render::render_document_alone(resource, query, origin, OMITTED))
        }
        Err(errors) => Err(errors),
    }
}
