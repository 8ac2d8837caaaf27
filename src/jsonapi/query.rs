//! The query parameters of JSON:API: `include`, `fields`, `sort`, `filter` and `page`, checked against the schema.

mod parameters;
mod values;

use std::collections::HashSet;

use super::document::{MOST_FAULTS, id_number};
use super::error::{
    Code, Error, Errors, FIELD_UNKNOWN, FILTER_UNKNOWN, INCLUDE_UNKNOWN, PARAMETER_INVALID, PARAMETER_UNKNOWN,
    SORT_UNKNOWN, URL_TOO_LONG,
};
use super::schema::{Filter, Relationship, Schema};
pub use parameters::read_each;
use parameters::{Parameter, given_twice, split};
pub use values::split_resource;
use values::{example, expected, is_digits, is_single, join};

/// Default number of resources on a page.
pub const DEFAULT_PAGE_SIZE: u32 = 100;
/// Maximum number of resources on a page.
pub const LARGEST_PAGE_SIZE: u32 = 1000;
/// Maximum length of a collection's query without its page, in bytes. A URL may have 65 534 bytes; the rest leaves room for
/// path and page in the links of the answer.
pub const LONGEST: usize = 63 << 10;

/// The target of a request, which decides the allowed parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Collection,
    /// A plain list, with filters and pages only.
    List,
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
    /// The parameters other than `page[…]`, for links: the query string as received.
    pub others: String,
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
            others: String::new(),
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
        let mut reading = QueryReader {
            query: empty,
            schema,
            size: None,
            start: None,
            seen: HashSet::new(),
            longest: (0, String::new()),
            faults: Vec::new(),
        };
        for parameter in split(raw) {
            match parameter {
                Ok(parameter) => reading.parameter(&parameter, target),
                Err(fault) => reading.add(fault),
            }
        }
        if matches!(target, Target::Collection | Target::List) {
            reading.check_length();
        }
        if reading.faults.is_empty() { Ok(reading.query) } else { Err(Errors::new(reading.faults)) }
    }

    /// Returns whether the answer may show a field of a type: all fields, or the ones that the client named.
    pub fn shows(&self, type_name: &str, field: &str) -> bool {
        self.fields_of(type_name).is_none_or(|fields| fields.contains(&field))
    }

    /// Returns whether the answer includes resources of a type.
    pub fn includes(&self, type_name: &str) -> bool {
        self.include.iter().flatten().any(|step| step.relationship.target.type_name == type_name)
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
    seen: HashSet<String>,
    /// Length and name of the longest parameter.
    longest: (usize, String),
    faults: Vec<Error>,
}

impl QueryReader {
    fn parameter(&mut self, parameter: &Parameter<'_>, target: Target) {
        let (name, value) = (parameter.name.as_ref(), parameter.value.as_ref());
        let (family, key) = match name.split_once('[') {
            Some((family, rest)) => (family, rest.strip_suffix(']')),
            None => (name, None),
        };
        let bracketed = name.contains('[');
        let is_new = self.seen.insert(name.to_owned());
        match (family, key, target) {
            // a repeated filter has more values
            ("filter", Some(key), Target::Collection | Target::List) => self.filter(name, key, value, is_new),
            _ if !is_new => self.add(given_twice(name, "give it once, with commas between its values")),
            ("include", None, Target::Collection | Target::Single) if !bracketed => self.include(name, value),
            ("fields", Some(key), Target::Collection | Target::Single) => self.fields(name, key, value),
            ("sort", None, Target::Collection) if !bracketed => self.sort(name, value),
            ("page", Some(key), Target::Collection | Target::List) => self.page(name, key, value, target),
            _ => {
                let known = match target {
                    Target::Collection => "include, fields[TYPE], sort, filter[KEY] and page[KEY]",
                    Target::List if self.schema.filters.is_empty() => "page[KEY]",
                    Target::List => "filter[KEY] and page[KEY]",
                    Target::Single => "include and fields[TYPE]",
                    Target::Nothing => "no query parameters",
                };
                self.fault(PARAMETER_UNKNOWN, name, format!("is unknown; this path takes {known}"));
            }
        }
        if family != "page" {
            parameter.append_to(&mut self.query.others);
            if parameter.length() > self.longest.0 {
                self.longest = (parameter.length(), name.to_owned());
            }
        }
    }

    /// Records a fault of a parameter. `fault` follows its name in the detail.
    fn fault(&mut self, code: Code, name: &str, mut fault: String) {
        fault.insert_str(0, &format!("`{name}` "));
        self.add(Error::new(code, fault).parameter(name));
    }

    /// Records a fault. It has no effect beyond [`MOST_FAULTS`].
    fn add(&mut self, fault: Error) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(fault);
        }
    }

    /// Checks that the links of the answer can be followed.
    fn check_length(&mut self) {
        let length = self.query.others.len();
        if length > LONGEST {
            let name = std::mem::take(&mut self.longest.1);
            let detail = format!(
                "is the longest parameter of a query with {length} bytes; a query may have {LONGEST} bytes beside \
                 page[KEY], so ask in several requests"
            );
            self.fault(URL_TOO_LONG, &name, detail);
        }
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
                Some(key) if self.query.sort.iter().any(|known| known.name == key) => {
                    self.fault(PARAMETER_INVALID, name, format!("names the key \"{key}\" twice; name it once"));
                }
                Some(name) => self.query.sort.push(SortKey { name, descending }),
                None => {
                    let known = join(std::iter::once("id").chain(self.schema.sort.iter().copied()));
                    self.fault(SORT_UNKNOWN, name, format!("names the key \"{key}\"; the sort keys are {known}"));
                }
            }
        }
    }

    /// Reads a filter. Its key may end in `][`, as lists are often encoded, or in `][` and the index of one value.
    fn filter(&mut self, name: &str, key: &str, value: &str, is_new: bool) {
        let (key, form) = key.split_once("][").unwrap_or((key, ""));
        let Some(filter) = self.schema.filters.iter().find(|filter| filter.name == key) else {
            let known = match self.schema.filters {
                [] => "it has none".to_owned(),
                filters => format!("its filters are {}", join(filters.iter().map(|filter| filter.name))),
            };
            if is_new {
                self.fault(FILTER_UNKNOWN, name, format!("is not a filter of this collection; {known}"));
            }
            return;
        };
        if !form.is_empty() && !is_digits(form) {
            if is_new {
                let form = form.escape_default();
                let example = example(filter, value);
                let detail = format!("has the operator \"{form}\"; a filter has only values, such as {example}");
                self.fault(FILTER_UNKNOWN, name, detail);
            }
            return;
        }
        if !form.is_empty() && !is_new {
            self.add(given_twice(name, "give each index once, or leave it out"));
            return;
        }
        let values = match values::split(filter.values, value) {
            Ok(values) => values,
            Err(fault) => {
                self.fault(PARAMETER_INVALID, name, fault);
                return;
            }
        };
        for value in &values {
            if let Some(expected) = expected(filter.values, value) {
                self.fault(PARAMETER_INVALID, name, format!("can't be \"{}\"; {expected}", value.escape_default()));
            }
        }
        match self.query.filters.iter_mut().find(|(known, _)| known.name == filter.name) {
            Some(_) if is_single(filter.values) => self.add(given_twice(name, "it takes one value, so give it once")),
            Some((_, all)) => all.extend(values),
            None => self.query.filters.push((filter, values)),
        }
    }

    fn page(&mut self, name: &str, key: &str, value: &str, target: Target) {
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
                    let expected = if target == Target::List {
                        "must be a number from the links of a page of this list"
                    } else {
                        "must be the id of a resource of this collection"
                    };
                    self.fault(PARAMETER_INVALID, name, expected.into());
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
        let number = value.parse().ok().filter(|number| is_digits(value) && (least..=most).contains(number));
        if number.is_none() {
            let detail = format!("is \"{}\"; it must be a whole number from {least} to {most}", value.escape_default());
            self.fault(PARAMETER_INVALID, name, detail);
        }
        number
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
