//! The query parameters of JSON:API: `include`, `fields`, `sort`, `filter` and `page`, checked against the schema.

use form_urlencoded::parse;

use super::document::id_number;
use super::error::{
    Code, Error, Errors, FIELD_UNKNOWN, FILTER_UNKNOWN, INCLUDE_UNKNOWN, PARAMETER_INVALID, PARAMETER_UNKNOWN,
    SORT_UNKNOWN,
};
use super::schema::{Filter, Relationship, Schema, Values};
use super::since::Since;

/// Default number of resources on a page.
pub const DEFAULT_PAGE_SIZE: u32 = 100;
/// Maximum number of resources on a page.
pub const LARGEST_PAGE_SIZE: u32 = 1000;

/// The target of a request, which decides the allowed parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Collection,
    Single,
    /// The answer has nothing for parameters to shape.
    Nothing,
}

/// The query parameters of one request, checked against the schema.
#[derive(Debug, Clone)]
pub struct Query {
    /// Relationship paths to include.
    pub include: Vec<Vec<IncludeStep>>,
    /// True if the answer has the member `included`, by default or by the client's `include`. It may be empty.
    pub is_compound: bool,
    /// The requested fields, by type.
    pub fields: Vec<(&'static str, Vec<&'static str>)>,
    /// Sort keys in order; none means by id.
    pub sort: Vec<SortKey>,
    /// Filters, each with its accepted values.
    pub filters: Vec<(&'static Filter, Vec<String>)>,
    pub page: Page,
    /// The parameters other than `page[…]` as received, for links.
    pub others: Vec<(String, String)>,
}

/// One relationship of an include path.
#[derive(Debug, Clone, Copy)]
pub struct IncludeStep {
    /// The type that has the relationship.
    pub owner: &'static str,
    pub relationship: &'static Relationship,
}

/// One key of `sort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    /// Attribute and column.
    pub name: &'static str,
    pub descending: bool,
}

/// The requested part of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub size: u32,
    pub start: Start,
}

/// The start of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Page number, from 1.
    Number(u32),
    /// Number of skipped resources.
    Offset(u32),
    /// After the resource with this id, in the order of the collection.
    After(i64),
    /// The page ends before the resource with this id.
    Before(i64),
}

impl Query {
    /// Returns the query of a document without parameters.
    pub fn plain() -> Self {
        Self {
            include: Vec::new(),
            is_compound: false,
            fields: Vec::new(),
            sort: Vec::new(),
            filters: Vec::new(),
            page: Page { size: DEFAULT_PAGE_SIZE, start: Start::Number(1) },
            others: Vec::new(),
        }
    }

    /// Reads a raw query string for a resource.
    ///
    /// # Errors
    /// 400 for each unknown or malformed parameter, with its name as sent.
    pub fn read(raw: Option<&str>, schema: &'static Schema, target: Target) -> Result<Self, Errors> {
        let include: Vec<_> = schema.default_include.iter().filter_map(|path| resolve(schema, path).ok()).collect();
        let empty = Self { is_compound: !include.is_empty(), include, ..Self::plain() };
        let Some(raw) = raw.filter(|raw| !raw.is_empty()) else { return Ok(empty) };
        let mut reading =
            QueryReader { query: empty, schema, size: None, start: None, seen: Vec::new(), faults: Vec::new() };
        for (name, value) in parse(raw.as_bytes()) {
            reading.parameter(&name, &value, target);
        }
        if reading.faults.is_empty() { Ok(reading.query) } else { Err(Errors::new(reading.faults)) }
    }

    /// Returns the requested fields of a type, if the client named any.
    pub fn fields_of(&self, type_name: &str) -> Option<&[&'static str]> {
        self.fields.iter().find(|(name, _)| *name == type_name).map(|(_, fields)| fields.as_slice())
    }
}

struct QueryReader {
    query: Query,
    schema: &'static Schema,
    /// The parameter that set the page size.
    size: Option<String>,
    /// The parameter that set the start of the page.
    start: Option<String>,
    seen: Vec<String>,
    faults: Vec<Error>,
}

impl QueryReader {
    fn parameter(&mut self, name: &str, value: &str, target: Target) {
        if self.seen.iter().any(|seen| seen == name) {
            self.fault(PARAMETER_INVALID, name, "is given twice; give it once, with commas between its values".into());
            return;
        }
        self.seen.push(name.to_owned());
        let (family, key) = match name.split_once('[') {
            Some((family, rest)) => (family, rest.strip_suffix(']')),
            None => (name, None),
        };
        let bracketed = name.contains('[');
        match (family, key, target) {
            ("include", None, Target::Collection | Target::Single) if !bracketed => self.include(name, value),
            ("fields", Some(key), Target::Collection | Target::Single) => self.fields(name, key, value),
            ("sort", None, Target::Collection) if !bracketed => self.sort(name, value),
            ("filter", Some(key), Target::Collection) => self.filter(name, key, value),
            ("page", Some(key), Target::Collection) => self.page(name, key, value),
            _ => {
                let known = match target {
                    Target::Collection => "include, fields[TYPE], sort, filter[KEY] and page[KEY]",
                    Target::Single => "include and fields[TYPE]",
                    Target::Nothing => "no query parameters",
                };
                self.fault(PARAMETER_UNKNOWN, name, format!("is unknown; this path takes {known}"));
            }
        }
        if family != "page" {
            self.query.others.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Records a fault of a parameter. `fault` follows its name in the detail.
    fn fault(&mut self, code: Code, name: &str, mut fault: String) {
        fault.insert_str(0, &format!("`{name}` "));
        self.faults.push(Error::new(code, fault).parameter(name));
    }

    fn include(&mut self, name: &str, value: &str) {
        self.query.include.clear();
        self.query.is_compound = true;
        for path in value.split(',').filter(|_| !value.is_empty()) {
            match resolve(self.schema, path) {
                Ok(path) => self.query.include.push(path),
                Err(fault) => self.fault(INCLUDE_UNKNOWN, name, fault),
            }
        }
    }

    fn fields(&mut self, name: &str, type_name: &str, value: &str) {
        let reachable = self.schema.reachable();
        let Some(schema) = reachable.iter().find(|schema| schema.type_name == type_name) else {
            let types = join(reachable.iter().map(|schema| schema.type_name));
            self.fault(FIELD_UNKNOWN, name, format!("names no type of this answer; its types are {types}"));
            return;
        };
        let mut fields = Vec::new();
        for field in value.split(',').filter(|_| !value.is_empty()) {
            match schema.field(field) {
                Some(field) => fields.push(field),
                None => {
                    let known = join(schema.fields());
                    self.fault(
                        FIELD_UNKNOWN,
                        name,
                        format!("names the field \"{field}\"; {type_name} have no such field, only {known}"),
                    );
                }
            }
        }
        self.query.fields.push((schema.type_name, fields));
    }

    fn sort(&mut self, name: &str, value: &str) {
        for key in value.split(',') {
            let (descending, wanted) = match key.strip_prefix('-') {
                Some(wanted) => (true, wanted),
                None => (false, key),
            };
            let mut known = std::iter::once("id").chain(self.schema.sort.iter().copied());
            match known.find(|known| *known == wanted) {
                Some(name) => self.query.sort.push(SortKey { name, descending }),
                None => {
                    let known = join(std::iter::once("id").chain(self.schema.sort.iter().copied()));
                    self.fault(SORT_UNKNOWN, name, format!("names the key \"{key}\"; the sort keys are {known}"));
                }
            }
        }
    }

    fn filter(&mut self, name: &str, key: &str, value: &str) {
        let Some(filter) = self.schema.filters.iter().find(|filter| filter.name == key) else {
            let known = match self.schema.filters {
                [] => "it has none".to_owned(),
                filters => format!("its filters are {}", join(filters.iter().map(|filter| filter.name))),
            };
            self.fault(FILTER_UNKNOWN, name, format!("is not a filter of this collection; {known}"));
            return;
        };
        let values: Vec<String> = match filter.values {
            Values::Resource(_) | Values::Since => vec![value.to_owned()],
            Values::Ids | Values::OneOf(_) | Values::Text | Values::Boolean => {
                value.split(',').map(str::to_owned).collect()
            }
        };
        for value in &values {
            if let Some(expected) = expected(filter.values, value) {
                self.fault(PARAMETER_INVALID, name, format!("can't be \"{}\"; {expected}", value.escape_default()));
            }
        }
        self.query.filters.push((filter, values));
    }

    fn page(&mut self, name: &str, key: &str, value: &str) {
        match key {
            "size" | "per_page" | "limit" => {
                let size = self.number(name, value, 1, LARGEST_PAGE_SIZE);
                if let Some(other) = self.size.replace(name.to_owned()) {
                    let detail = format!("can't be combined with `{other}`: both set the page size");
                    self.fault(PARAMETER_INVALID, name, detail);
                } else if let Some(size) = size {
                    self.query.page.size = size;
                }
            }
            "number" | "page" => {
                let number = self.number(name, value, 1, u32::MAX);
                self.start(name, number.map(Start::Number));
            }
            "offset" => {
                let offset = self.number(name, value, 0, u32::MAX);
                self.start(name, offset.map(Start::Offset));
            }
            "after" | "before" => match id_number(value) {
                0 => {
                    let detail = "must be the id of a resource of this collection".into();
                    self.fault(PARAMETER_INVALID, name, detail);
                }
                id if key == "after" => self.start(name, Some(Start::After(id))),
                id => self.start(name, Some(Start::Before(id))),
            },
            _ => {
                let detail =
                    "is unknown; a page has size (per_page, limit) and one of number (page), offset, after, before";
                self.fault(PARAMETER_UNKNOWN, name, detail.into());
            }
        }
    }

    fn start(&mut self, name: &str, start: Option<Start>) {
        if let Some(other) = self.start.replace(name.to_owned()) {
            self.fault(
                PARAMETER_INVALID,
                name,
                format!("can't be combined with `{other}`: both set the start of the page"),
            );
        } else if let Some(start) = start {
            self.query.page.start = start;
        }
    }

    fn number(&mut self, name: &str, value: &str, least: u32, most: u32) -> Option<u32> {
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let number = value.parse().ok().filter(|number| digits && (least..=most).contains(number));
        if number.is_none() {
            let detail = format!("is \"{}\"; it must be a whole number from {least} to {most}", value.escape_default());
            self.fault(PARAMETER_INVALID, name, detail);
        }
        number
    }
}

/// Returns the valid form of a filter's value; `None` if the value has it.
fn expected(values: Values, value: &str) -> Option<String> {
    match values {
        Values::Ids if !is_digits(value) => Some("an id is a string of decimal digits".to_owned()),
        Values::OneOf(known) if !known.contains(&value) => {
            Some(format!("the values are {}", join(known.iter().copied())))
        }
        Values::Boolean if !["true", "false"].contains(&value) => Some("the values are true, false".to_owned()),
        Values::Resource(_) | Values::Since if value.contains(',') => {
            Some("it must be one value, without commas".to_owned())
        }
        Values::Resource(types) => {
            let (type_name, id) = split_resource(value);
            let known = types.contains(&type_name) && id.is_none_or(is_digits);
            (!known).then(|| format!("it must be TYPE/ID or TYPE; the types are {}", join(types.iter().copied())))
        }
        Values::Since if Since::read(value).is_none() => Some(format!("it must be {}", Since::EXPECTED)),
        _ if value.contains('\0') => Some("U+0000 is not allowed".to_owned()),
        Values::Ids | Values::OneOf(_) | Values::Text | Values::Boolean | Values::Since => None,
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Splits the value of a [`Values::Resource`] into the type and the id, if it has one.
pub fn split_resource(value: &str) -> (&str, Option<&str>) {
    match value.split_once('/') {
        Some((type_name, id)) => (type_name, Some(id)),
        None => (value, None),
    }
}

/// Follows a relationship path through the schemas. The error says the fault of `include`.
fn resolve(schema: &'static Schema, path: &str) -> Result<Vec<IncludeStep>, String> {
    /// Longer paths only lead back to the same resources.
    const LONGEST: usize = 5;
    if path.split('.').count() > LONGEST {
        return Err(format!("has a path of more than {LONGEST} relationships; the longest path has {LONGEST}"));
    }
    let mut schema = schema;
    let mut resolved = Vec::new();
    for name in path.split('.') {
        let Some(relationship) = schema.relationship(name) else {
            let type_name = schema.type_name;
            if let Some(reference) = schema.reference(name) {
                let instead = reference.instead;
                return Err(format!(
                    "has the path \"{path}\"; {type_name} only refer to \"{name}\", it can't be included; {instead}"
                ));
            }
            let known = match schema.relationships {
                [] => "they have none".to_owned(),
                relationships => {
                    format!("only {}", join(relationships.iter().map(|relationship| relationship.name)))
                }
            };
            return Err(format!("has the path \"{path}\"; {type_name} have no relationship \"{name}\", {known}"));
        };
        resolved.push(IncludeStep { owner: schema.type_name, relationship });
        schema = relationship.target;
    }
    Ok(resolved)
}

fn join(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
