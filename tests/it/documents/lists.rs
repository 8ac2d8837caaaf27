//! The table of sort keys and filters agrees with the schemas.

use concierge_sandbox::concierge::SCHEMAS;
use concierge_sandbox::jsonapi::query::{DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE, LONGEST};
use concierge_sandbox::jsonapi::schema::{Filter, Schema, Values};
use concierge_sandbox::sandbox::events::document::SCHEMA as EVENTS;

use super::page;

const LISTS: &str = "docs/lists.md";

fn describe(filter: &Filter) -> String {
    let values = match filter.values {
        Values::Ids => "ids",
        Values::OneOf(_) => "names",
        Values::Text => "text",
        Values::Boolean => "true or false",
        Values::Resource(_) => "one resource",
        Values::Since => "one id or time",
        Values::Checked { .. } => "one value",
    };
    format!("`{}`: {values}", filter.name)
}

fn row(schema: &Schema) -> String {
    let keys = std::iter::once("id").chain(schema.sort.iter().copied());
    let keys: Vec<String> = keys.map(|key| format!("`{key}`")).collect();
    let filters: Vec<String> = schema.filters.iter().map(describe).collect();
    let filters = if filters.is_empty() { "none".to_owned() } else { filters.join("; ") };
    format!("| `{}` | {} | {filters} |", schema.path, keys.join(", "))
}

#[test]
fn lists_names_every_sort_key_and_filter() {
    let expected: Vec<String> = SCHEMAS.iter().copied().chain([&EVENTS]).map(row).collect();
    let page = page(LISTS);
    let rows = page.section("Keys of each list").into_iter().filter(|line| line.starts_with("| `/"));
    assert_eq!(rows.collect::<Vec<_>>(), expected);
}

#[test]
fn lists_names_the_limits_of_pages_and_queries() {
    let text = page(LISTS).text;
    assert!(text.contains(&format!("1 to {LARGEST_PAGE_SIZE}, default {DEFAULT_PAGE_SIZE};")));
    assert!(text.contains(&format!("{} {} bytes beside its page", LONGEST / 1000, LONGEST % 1000)));
}
