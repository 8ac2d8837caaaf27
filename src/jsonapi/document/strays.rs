//! Finds members without effect: names unknown to the schema, so that no getter asks for them.

use std::fmt;

use serde_json::{Map, Value};

use super::{ATTRIBUTES, RESOURCE, Reader, look_up, shorten};
use crate::jsonapi::nearest::nearest;
use crate::jsonapi::schema::Schema;

/// Maximum number of members found in one document.
pub const MOST_STRAYS: usize = 8;

/// Pointer of the relationships.
const RELATIONSHIPS: &str = "/data/relationships";

/// Members of the outermost object, in any JSON:API document.
const DOCUMENT_MEMBERS: &[&str] = &["data", "meta", "jsonapi", "links", "included"];
const RESOURCE_MEMBERS: &[&str] = &["type", "id", "lid", "attributes", "relationships", "links", "meta"];
const RELATIONSHIP_MEMBERS: &[&str] = &["data", "links", "meta"];

/// A member without effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    name: String,
    /// The names that it is not among, such as "the attributes of users".
    among: String,
    /// The nearest known name, with its place if that is another one.
    nearest: Option<String>,
}

/// An object of a document with names of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Document,
    Resource,
    Attributes,
    Relationships,
}

/// The names in documents of a resource.
#[derive(Debug, Clone, Copy)]
struct Names<'a> {
    schema: &'a Schema,
    /// Attributes that clients send and never receive.
    unseen: &'a [&'a str],
}

impl Reader {
    /// Returns the members without effect, at most [`MOST_STRAYS`]: their names are unknown in this resource. `unseen`
    /// are attributes outside of the schema that clients may send.
    ///
    /// Clients send relationships, `type` and `id` inside of `attributes`, and whole resources as linkage. All of that
    /// is known, and the value of an attribute may be anything.
    pub fn strays(&self, schema: &Schema, unseen: &[&str]) -> Vec<Stray> {
        let names = Names { schema, unseen };
        let mut found = Vec::new();
        for (pointer, level) in [
            ("", Level::Document),
            (RESOURCE, Level::Resource),
            (ATTRIBUTES, Level::Attributes),
            (RELATIONSHIPS, Level::Relationships),
        ] {
            let members = unknown(self.members(pointer), |name| names.allow(name, level));
            let stray = |name| Stray::new(name, level.names(schema), names.nearest(name, level));
            found.extend(members.map(stray).take(MOST_STRAYS - found.len()));
        }
        let own = self.members(RELATIONSHIPS).into_iter().flatten();
        for (name, relationship) in own.filter(|(name, _)| schema.relationship(name).is_some()) {
            let among = format!("the members of the relationship `{name}`");
            let members = strays_among(relationship, &among, RELATIONSHIP_MEMBERS);
            found.extend(members.take(MOST_STRAYS - found.len()));
        }
        found
    }

    /// Returns the members without effect in an attribute's array of objects, at most [`MOST_STRAYS`]. `known` are the
    /// names in such an object.
    pub fn strays_in_objects(&self, name: &str, known: &[&str]) -> Vec<Stray> {
        let objects = self.get(&self.pointer(name)).and_then(Value::as_array).into_iter().flatten();
        let among = format!("the members of `{name}`");
        objects.flat_map(|object| strays_among(object, &among, known)).take(MOST_STRAYS).collect()
    }

    fn members(&self, pointer: &str) -> Option<&Map<String, Value>> {
        look_up(&self.document, pointer).and_then(Value::as_object)
    }
}

/// Returns the members of an object with other names than the known ones.
fn strays_among(object: &Value, among: &str, known: &[&str]) -> impl Iterator<Item = Stray> {
    let nearest = |name| nearest(name, known.iter().copied()).map(|known| format!("`{known}`"));
    let unknown = unknown(object.as_object(), |name| known.contains(&name));
    unknown.map(move |name| Stray::new(name, among.to_owned(), nearest(name)))
}

/// Returns the unknown names in an object. Any object may have names that begin with `@`: JSON:API ignores them.
fn unknown(members: Option<&Map<String, Value>>, is_known: impl Fn(&str) -> bool) -> impl Iterator<Item = &str> {
    let names = members.into_iter().flat_map(Map::keys).map(String::as_str);
    names.filter(move |name| !is_known(name) && !name.starts_with('@'))
}

impl Stray {
    fn new(name: &str, among: String, nearest: Option<String>) -> Self {
        Self { name: shorten(name), among, nearest }
    }
}

impl fmt::Display for Stray {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, among, nearest } = self;
        write!(formatter, "`{name}` is not among {among}")?;
        nearest.as_ref().map_or(Ok(()), |nearest| write!(formatter, "; the nearest is {nearest}"))
    }
}

impl Level {
    fn names(self, schema: &Schema) -> String {
        match self {
            Self::Document => "the members of the document".to_owned(),
            Self::Resource => "the members of `data`".to_owned(),
            Self::Attributes => format!("the attributes of {}", schema.type_name),
            Self::Relationships => format!("the relationships of {}", schema.type_name),
        }
    }

    /// Returns the place of a member of this level, for a name sent to another level.
    const fn place(self) -> &'static str {
        match self {
            Self::Document => "the document",
            Self::Resource => "`data`",
            Self::Attributes => "`attributes`",
            Self::Relationships => "`relationships`",
        }
    }

    /// Returns the levels that may hold the name in truth.
    const fn elsewhere(self) -> &'static [Self] {
        match self {
            Self::Document => &[Self::Resource],
            Self::Resource => &[Self::Attributes, Self::Relationships],
            Self::Attributes => &[Self::Relationships],
            Self::Relationships => &[Self::Attributes],
        }
    }
}

impl<'a> Names<'a> {
    /// Returns whether clients send the name at this level, with effect or without.
    fn allow(self, name: &str, level: Level) -> bool {
        match level {
            Level::Document => DOCUMENT_MEMBERS.contains(&name),
            Level::Resource => RESOURCE_MEMBERS.contains(&name),
            Level::Attributes => {
                self.schema.field(name).is_some() || self.unseen.contains(&name) || matches!(name, "type" | "id")
            }
            Level::Relationships => self.schema.field(name).is_some(),
        }
    }

    /// Returns the names with their place at this level.
    fn at(self, level: Level) -> Vec<&'a str> {
        let schema = self.schema;
        match level {
            Level::Document => DOCUMENT_MEMBERS.to_vec(),
            Level::Resource => RESOURCE_MEMBERS.to_vec(),
            Level::Attributes => {
                schema.attributes.iter().map(|known| known.name).chain(self.unseen.iter().copied()).collect()
            }
            Level::Relationships => {
                let references = schema.references.iter().map(|known| known.name);
                schema.relationships.iter().map(|known| known.name).chain(references).collect()
            }
        }
    }

    /// Describes the name that an unknown one probably stands for: the same name at another level, or a similar name at
    /// this one, or at another.
    fn nearest(self, name: &str, level: Level) -> Option<String> {
        let elsewhere = level.elsewhere();
        let at = |name: &str, level: Level| format!("`{name}` in {}", level.place());
        if let Some(level) = elsewhere.iter().find(|level| self.at(**level).contains(&name)) {
            return Some(at(name, *level));
        }
        if let Some(name) = nearest(name, self.at(level)) {
            return Some(format!("`{name}`"));
        }
        elsewhere.iter().find_map(|level| nearest(name, self.at(*level)).map(|name| at(name, *level)))
    }
}
