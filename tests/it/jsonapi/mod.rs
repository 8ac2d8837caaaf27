//! JSON:API 1.1, chapter by chapter: each MUST for a server, tried on every applicable resource.

mod check;
mod content_negotiation;
mod creating_resources;
mod deleting_resources;
mod document_structure;
mod errors;
mod fetching_resources;
mod filtering;
mod inclusion_of_related_resources;
mod pagination;
mod query_parameters;
mod sorting;
mod sparse_fieldsets;
mod updating_resources;

use std::collections::BTreeMap;
use std::time::Duration;

use concierge_sandbox::concierge::SCHEMAS;
use concierge_sandbox::jsonapi::schema::Schema;
use serde_json::{Value, json};

use crate::support::{Account, documented_output};

/// A resource's type and id.
type Key = (String, String);

/// An account with several resources of each type, and all of them as their own documents show them.
struct World<'a> {
    account: &'a Account,
    /// Every resource, as its collection shows it.
    all: BTreeMap<Key, Value>,
}

impl<'a> World<'a> {
    async fn of(account: &'a Account) -> Self {
        for name in ["ana", "bea", "eva"] {
            let email = format!("{name}@example.com");
            account.create("/api/users", &document("users", json!({ "email": email }))).await;
        }
        account.advance(Duration::from_secs(1)).await;
        for user in ["50505", "50506", "50506"] {
            let mut instruction = document("withdrawal_instructions", json!({"body": {"of": user}, "label": user}));
            instruction["data"]["relationships"] = json!({"user": {"data": {"type": "users", "id": user}}});
            account.create("/api/withdrawal_instructions", &instruction).await;
        }
        for (port, external_id, user) in [("us_usd", "a", "50505"), ("cl_clp", "b", "50506"), ("us_usd", "c", "50507")]
        {
            let attributes = json!({"port_code": port, "external_id": external_id});
            let mut request = document("concierge_requests", attributes);
            request["data"]["relationships"] = json!({"user": {"data": {"type": "users", "id": user}}});
            account.create("/api/concierge_requests", &request).await;
        }
        // the first outputs are accepted, the next rejected, the last still accepting
        create_outputs(account, 5).await;
        account.advance(Duration::from_secs(1)).await;
        account.sql("update users set compliance_state = 'rejected' where id in (20202, 50506)").await;
        create_outputs(account, 4).await;
        account.advance(Duration::from_secs(1)).await;
        account.sql("update users set compliance_state = 'enabled' where id in (20202, 50506)").await;
        create_outputs(account, 4).await;
        account.act("1011", "request_quote").await.expect(200);
        account.act("1013", "cancel").await.expect(200);
        account.tick().await;
        let mut world = Self { account, all: BTreeMap::new() };
        for schema in SCHEMAS {
            let everything = world.get(&format!("{}?page[size]=1000", schema.path)).await;
            world.all.extend(resources(&everything["data"]).map(|resource| (key(resource), resource.clone())));
        }
        world
    }

    /// Gets the document at a path, and checks that it is valid.
    async fn get(&self, path: &str) -> Value {
        let answer = self.account.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        check::document(&answer.body);
        if !path.contains("fields") {
            check::full_linkage(&answer.body);
        }
        answer.body
    }

    /// Returns every resource of a type, as its collection shows it, by ascending id.
    fn all_of(&self, schema: &Schema) -> Vec<&Value> {
        let mut found: Vec<&Value> =
            self.all.values().filter(|resource| resource["type"] == schema.type_name).collect();
        found.sort_by_key(|resource| id_order(text(&resource["id"])));
        found
    }

    /// Returns the paths of a type's collection and of one resource.
    fn paths_of(&self, schema: &Schema) -> [String; 2] {
        let all = self.all_of(schema);
        let last = text(&all.last().unwrap()["id"]);
        [schema.path.to_owned(), format!("{}/{last}", schema.path)]
    }
}

async fn create_outputs(account: &Account, count: usize) {
    let ports = ["us_usd", "cl_clp", "mx_mxn", "cl_clp"];
    for (index, port) in ports.iter().cycle().take(count).enumerate() {
        let mut output = documented_output();
        output["data"]["attributes"]["port_code"] = json!(port);
        if index % 2 == 1 {
            output["data"]["attributes"] = json!({"port_code": port, "budget": index});
            output["data"]["relationships"]["request"]["data"]["id"] = json!("1011");
            output["data"]["relationships"]["user"]["data"]["id"] = json!("50506");
            output["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!("2123");
        }
        account.create("/api/concierge_request_outputs", &output).await;
    }
}

/// Builds the document of a new resource.
fn document(type_name: &str, attributes: Value) -> Value {
    let mut document = json!({"data": {"type": type_name}});
    document["data"]["attributes"] = attributes;
    document
}

/// Lists the creatable types, each with a document for its POST.
fn creatable() -> [(&'static Schema, Value); 4] {
    let schema = |type_name: &str| *SCHEMAS.iter().find(|schema| schema.type_name == type_name).unwrap();
    [
        (schema("users"), document("users", json!({}))),
        (schema("withdrawal_instructions"), document("withdrawal_instructions", json!({"body": {"a": 1}}))),
        (schema("concierge_requests"), document("concierge_requests", json!({"port_code": "ar_ars"}))),
        (schema("concierge_request_outputs"), documented_output()),
    ]
}

/// Counts the resources of each creatable type.
async fn resource_counts(account: &Account) -> Vec<Value> {
    let mut counts = Vec::new();
    for (schema, _) in creatable() {
        counts.push(account.get(schema.path).await.expect(200)["meta"]["total"].clone());
    }
    counts
}

/// Iterates over primary data, one resource or many.
fn resources(data: &Value) -> impl Iterator<Item = &Value> {
    let many = data.as_array().map_or(std::slice::from_ref(data), Vec::as_slice);
    many.iter()
}

fn key(resource: &Value) -> Key {
    (text(&resource["type"]).to_owned(), text(&resource["id"]).to_owned())
}

/// Returns the sort key of an id: numeric ids sort as numbers.
fn id_order(id: &str) -> (u64, String) {
    (id.parse().unwrap_or(0), id.to_owned())
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string"))
}

/// Returns the ids of primary data.
fn ids(document: &Value) -> Vec<String> {
    resources(&document["data"]).map(|resource| text(&resource["id"]).to_owned()).collect()
}

/// Returns the keys of linked resources, through all relationships or only the named one.
fn linked(resource: &Value, name: Option<&str>) -> Vec<Key> {
    let Some(relationships) = resource["relationships"].as_object() else { return Vec::new() };
    let wanted = relationships.iter().filter(|(found, _)| name.is_none_or(|name| *found == name));
    wanted
        .flat_map(|(_, relationship)| resources(&relationship["data"]))
        .filter(|data| !data.is_null())
        .map(key)
        .collect()
}
