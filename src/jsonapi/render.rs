//! Renders documents: resources as data in, bytes out, with sparse fieldsets applied.

use std::collections::HashMap;
use std::io;

use bigdecimal::BigDecimal;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::decimal;
use super::links::Links;
use super::query::Query;
use super::schema::Schema;

/// A resource as data, to show in a document.
#[derive(Debug, Clone)]
pub struct Resource {
    pub schema: &'static Schema,
    pub id: String,
    /// The attributes in display order. The document leaves out any that is missing here.
    pub attributes: Vec<(&'static str, Value)>,
    pub relationships: Vec<(&'static str, Linkage)>,
}

/// An attribute's value.
#[derive(Debug, Clone)]
pub enum Value {
    Boolean(bool),
    /// Text, or `null`.
    Text(Option<String>),
    /// A fixed text.
    Name(&'static str),
    /// Printed without superfluous digits.
    Decimal(BigDecimal),
    Integer(i64),
    /// In UTC, to the millisecond.
    Time(OffsetDateTime),
    /// A path of this server, shown as a URL under an origin.
    Link(String),
    Null,
    /// An array of objects, each with its members in order.
    Objects(Vec<Vec<(&'static str, Value)>>),
    /// JSON, passed through unread.
    Json(Box<RawValue>),
    /// Large JSON that is not loaded. The document leaves it out.
    Unread,
}

/// Maximum size of an answer to a GET, in bytes.
pub const LARGEST_ANSWER: usize = 32 << 20;

/// The ids linked by a relationship. The schema names their type; a reference names its own.
#[derive(Debug, Clone)]
pub enum Linkage {
    ToOne(String),
    ToMany(Vec<String>),
    Reference { type_name: String, id: String },
    References { type_name: &'static str, ids: Vec<String> },
}

impl Linkage {
    /// Returns the linked ids.
    pub fn ids(&self) -> &[String] {
        match self {
            Self::ToOne(id) | Self::Reference { id, .. } => std::slice::from_ref(id),
            Self::ToMany(ids) | Self::References { ids, .. } => ids,
        }
    }
}

impl Resource {
    /// Returns the linkage of a relationship.
    pub fn linkage(&self, name: &str) -> Option<&Linkage> {
        self.relationships.iter().find(|(known, _)| *known == name).map(|(_, linkage)| linkage)
    }
}

/// The related resources of a document: the loaded ones, and the subset to show.
#[derive(Debug, Default)]
pub struct Included {
    loaded: Vec<Resource>,
    /// Indexes into `loaded` by type and id, filled once there are more than [`Included::FEW`].
    places: HashMap<(&'static str, String), usize>,
    /// Indexes of the resources to show, in order.
    shown: Vec<usize>,
    is_shown: Vec<bool>,
    /// Resources to show as stored.
    stored: Vec<Box<RawValue>>,
}

impl Included {
    /// Maximum number of resources to search one by one; more are found by a map.
    const FEW: usize = 8;

    /// Adds a resource unless it is present.
    pub fn add(&mut self, resource: Resource) {
        if self.place(resource.schema.type_name, &resource.id).is_some() {
            return;
        }
        self.loaded.push(resource);
        self.is_shown.push(false);
        if self.loaded.len() > Self::FEW {
            for (place, resource) in self.loaded.iter().enumerate().skip(self.places.len()) {
                self.places.insert((resource.schema.type_name, resource.id.clone()), place);
            }
        }
    }

    fn place(&self, type_name: &'static str, id: &str) -> Option<usize> {
        if self.loaded.len() > Self::FEW {
            return self.places.get(&(type_name, id.to_owned())).copied();
        }
        self.loaded.iter().position(|resource| resource.schema.type_name == type_name && resource.id == id)
    }

    /// Returns the resource of a type and id.
    pub fn get(&self, type_name: &'static str, id: &str) -> Option<&Resource> {
        self.place(type_name, id).and_then(|place| self.loaded.get(place))
    }

    /// Appends a loaded resource to the ones to show, unless it is among them.
    pub fn show(&mut self, type_name: &'static str, id: &str) {
        if let Some(place) = self.place(type_name, id)
            && let Some(is_shown) = self.is_shown.get_mut(place)
            && !std::mem::replace(is_shown, true)
        {
            self.shown.push(place);
        }
    }

    /// Returns the resources to show, in the order of their loading.
    pub fn shown_mut(&mut self) -> impl Iterator<Item = &mut Resource> {
        self.loaded.iter_mut().zip(&self.is_shown).filter(|(_, is_shown)| **is_shown).map(|(resource, _)| resource)
    }

    /// Appends a resource in its stored, rendered form. Stored resources come last.
    pub fn show_stored(&mut self, resource: Box<RawValue>) {
        self.stored.push(resource);
    }

    fn shown(&self) -> impl Iterator<Item = &Resource> {
        self.shown.iter().filter_map(|place| self.loaded.get(*place))
    }
}

/// Renders the document of one resource, with links under `origin`.
pub fn render_document(resource: &Resource, included: &Included, query: &Query, origin: &str) -> Vec<u8> {
    write(&Document { data: Data::One(resource), included, query, origin, links: None, omitted: None })
}

/// Renders the document of one resource without the included ones. `omitted` says why, in its `meta`.
pub fn render_document_alone(resource: &Resource, query: &Query, origin: &str, omitted: &str) -> Vec<u8> {
    let (data, included) = (Data::One(resource), &Included::default());
    write(&Document { data, included, query, origin, links: None, omitted: Some(omitted) })
}

/// Renders the document of a resource that does not exist, where that is no error.
pub fn render_absent(query: &Query, origin: &str) -> Vec<u8> {
    write(&Document { data: Data::None, included: &Included::default(), query, origin, links: None, omitted: None })
}

/// Renders the document of a page of a collection, with links under `origin`.
///
/// # Errors
/// The size of the document if it exceeds [`LARGEST_ANSWER`]; nothing is rendered then.
pub fn render_collection(
    resources: &[Resource],
    included: &Included,
    query: &Query,
    origin: &str,
    links: &Links,
) -> Result<Vec<u8>, usize> {
    write_within(&Document { data: Data::Many(resources), included, query, origin, links: Some(links), omitted: None })
}

/// Returns the size of a resource in a document of `query`, in bytes.
pub fn size_of_included(resource: &Resource, query: &Query, origin: &str) -> usize {
    size_of(&View { resource, query, origin, primary: false })
}

/// Renders a resource as included in another one's document, with its default fields and links under `origin`.
pub fn render_included(resource: &Resource, origin: &str) -> String {
    let query = Query::plain();
    serde_json::to_string(&View { resource, query: &query, origin, primary: false }).unwrap_or_default()
}

/// Writes JSON into memory of exactly its size.
///
/// # Errors
/// The size of the JSON if it exceeds [`LARGEST_ANSWER`]; nothing is written then.
pub fn write_within(value: &impl Serialize) -> Result<Vec<u8>, usize> {
    let size = size_of(value);
    if size > LARGEST_ANSWER {
        return Err(size);
    }
    let mut bytes = Vec::with_capacity(size);
    // as in `write`
    serde_json::to_writer(&mut bytes, value).unwrap_or_default();
    Ok(bytes)
}

/// Returns the size of a value as JSON, in bytes.
fn size_of(value: &impl Serialize) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // as in `write`
    serde_json::to_writer(&mut counter, value).unwrap_or_default();
    counter.0
}

fn write(document: &Document<'_>) -> Vec<u8> {
    // memory that doubles as it fills would be twice as large in the end
    let mut bytes = Vec::with_capacity(1024 + document.large_parts());
    // writing to memory can't fail, and all our keys are strings
    serde_json::to_writer(&mut bytes, document).unwrap_or_default();
    bytes
}

struct Document<'a> {
    data: Data<'a>,
    included: &'a Included,
    query: &'a Query,
    origin: &'a str,
    links: Option<&'a Links>,
    /// The reason why the included resources are left out.
    omitted: Option<&'a str>,
}

impl Document<'_> {
    /// Returns the size of the parts that are passed through unread, in bytes.
    fn large_parts(&self) -> usize {
        let primary = match self.data {
            Data::One(resource) => std::slice::from_ref(resource),
            Data::None | Data::Many(_) => &[],
        };
        let large = |(_, value): &(&str, Value)| if let Value::Json(json) = value { json.get().len() } else { 0 };
        let attributes = primary.iter().chain(self.included.shown()).flat_map(|resource| &resource.attributes);
        let stored: usize = self.included.stored.iter().map(|resource| resource.get().len()).sum();
        attributes.map(large).sum::<usize>() + stored
    }
}

enum Data<'a> {
    None,
    One(&'a Resource),
    Many(&'a [Resource]),
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view = |resource, primary| View { resource, query: self.query, origin: self.origin, primary };
        let mut map = serializer.serialize_map(None)?;
        let (first, schema) = match &self.data {
            Data::None => {
                map.serialize_entry("data", &())?;
                (&[][..], None)
            }
            Data::One(resource) => {
                map.serialize_entry("data", &view(resource, true))?;
                (std::slice::from_ref(*resource), Some(resource.schema))
            }
            Data::Many(resources) => {
                let all: Vec<View<'_>> = resources.iter().map(|resource| view(resource, true)).collect();
                map.serialize_entry("data", &all)?;
                (*resources, resources.first().map(|resource| resource.schema))
            }
        };
        if let Some(reason) = self.omitted {
            map.serialize_entry("meta", &HashMap::from([("omitted", reason)]))?;
        } else if self.query.is_compound {
            let primary = |resource: &Resource| {
                schema.is_some_and(|schema| schema.type_name == resource.schema.type_name)
                    && first.iter().any(|primary| primary.id == resource.id)
            };
            let rest = self.included.shown().filter(|resource| !primary(resource)).map(|r| Shown::View(view(r, false)));
            let stored = self.included.stored.iter().map(|resource| Shown::Stored(resource));
            map.serialize_entry("included", &rest.chain(stored).collect::<Vec<_>>())?;
        }
        if let Some(links) = self.links {
            map.serialize_entry("links", links)?;
            if let Some(total) = links.total {
                map.serialize_entry("meta", &HashMap::from([("total", total)]))?;
            }
        }
        map.end()
    }
}

/// An included resource.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    View(View<'a>),
    Stored(&'a RawValue),
}

/// A resource as shown in one document.
struct View<'a> {
    resource: &'a Resource,
    query: &'a Query,
    origin: &'a str,
    primary: bool,
}

impl View<'_> {
    /// Returns whether a field is shown: on request, or by default if the client named no fields of the type.
    fn shows(&self, name: &str, when_included: bool) -> bool {
        match self.query.fields_of(self.resource.schema.type_name) {
            Some(fields) => fields.contains(&name),
            None => self.primary || when_included || self.is_followed(name),
        }
    }

    /// Returns whether an include path uses a relationship, which then needs its linkage.
    fn is_followed(&self, name: &str) -> bool {
        let mut steps = self.query.include.iter().flatten();
        steps.any(|step| step.owner == self.resource.schema.type_name && step.relationship.name == name)
    }
}

impl Serialize for View<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Resource { schema, id, attributes, relationships } = self.resource;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", id)?;
        map.serialize_entry("type", schema.type_name)?;
        let shown = attributes.iter().filter(|(name, value)| {
            if matches!(value, Value::Unread) {
                return false;
            }
            let declared = schema.attributes.iter().find(|attribute| attribute.name == *name);
            declared.is_some_and(|attribute| self.shows(name, attribute.when_included))
        });
        let shown = shown.map(|(name, value)| (*name, ShownValue { value, origin: self.origin }));
        map.serialize_entry("attributes", &Members(shown.collect()))?;
        let shown: Vec<_> = relationships
            .iter()
            .filter_map(|(name, linkage)| {
                let declared = schema.relationship(name);
                let shown = match declared {
                    Some(declared) => self.shows(name, declared.when_included),
                    None => schema.reference(name).is_some() && self.shows(name, true),
                };
                let target = declared.map_or("", |declared| declared.target.type_name);
                shown.then_some((*name, RelationshipObject { target, linkage }))
            })
            .collect();
        if !shown.is_empty() {
            map.serialize_entry("relationships", &Members(shown))?;
        }
        map.end()
    }
}

/// An object with its members in order.
struct Members<V>(Vec<(&'static str, V)>);

impl<V: Serialize> Serialize for Members<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

struct RelationshipObject<'a> {
    /// The type named by the schema.
    target: &'static str,
    linkage: &'a Linkage,
}

impl Serialize for RelationshipObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        let type_name = self.target;
        match self.linkage {
            Linkage::Reference { type_name, id } => {
                map.serialize_entry("data", &ResourceIdentifier { id, type_name })?;
            }
            Linkage::References { type_name, ids } => {
                map.serialize_entry("data", &Identifiers { type_name, ids })?;
            }
            Linkage::ToOne(id) => map.serialize_entry("data", &ResourceIdentifier { id, type_name })?,
            Linkage::ToMany(ids) => map.serialize_entry("data", &Identifiers { type_name, ids })?,
        }
        map.end()
    }
}

#[derive(serde::Serialize)]
struct ResourceIdentifier<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    type_name: &'a str,
}

struct Identifiers<'a> {
    type_name: &'a str,
    ids: &'a [String],
}

impl Serialize for Identifiers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut items = serializer.serialize_seq(Some(self.ids.len()))?;
        for id in self.ids {
            items.serialize_element(&ResourceIdentifier { id, type_name: self.type_name })?;
        }
        items.end()
    }
}

/// A value as shown in one document.
struct ShownValue<'a> {
    value: &'a Value,
    origin: &'a str,
}

impl Serialize for ShownValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Boolean(value) => serializer.serialize_bool(*value),
            Value::Text(text) => text.serialize(serializer),
            Value::Name(text) => serializer.serialize_str(text),
            Value::Json(json) => json.serialize(serializer),
            Value::Objects(objects) => serializer.collect_seq(objects.iter().map(|members| {
                let shown = members.iter().map(|(name, value)| (*name, ShownValue { value, origin: self.origin }));
                Members(shown.collect())
            })),
            Value::Decimal(value) => decimal::number(value).map_err(serde::ser::Error::custom)?.serialize(serializer),
            Value::Integer(value) => serializer.serialize_i64(*value),
            Value::Time(instant) => serializer.collect_str(&timestamp(*instant)),
            Value::Link(path) => serializer.collect_str(&format_args!("{}{path}", self.origin)),
            Value::Null | Value::Unread => serializer.serialize_unit(),
        }
    }
}

/// Formats an instant as in every document, such as 2019-11-25T12:53:02.741Z.
pub fn timestamp(instant: OffsetDateTime) -> String {
    let (year, month, day) = instant.to_offset(time::UtcOffset::UTC).to_calendar_date();
    let (hour, minute, second, millisecond) = instant.to_offset(time::UtcOffset::UTC).to_hms_milli();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}
