//! A resource's schema as data: rendering, `include`, `fields`, `sort` and `filter` all read it.

use std::fmt;

/// What there is to know about a type of resource.
#[derive(Debug)]
pub struct Schema {
    /// The `type` member.
    pub type_name: &'static str,
    /// Path of the collection.
    pub path: &'static str,
    pub attributes: &'static [Attribute],
    pub relationships: &'static [Relationship],
    /// Relationships that are shown and can't be included: what they link to is of any type, which the linkage names.
    pub references: &'static [Reference],
    /// Relationships that are included where the client doesn't say what to include.
    pub default_include: &'static [&'static str],
    /// Keys `sort` takes, besides `id`. Each is a column of an index, so that page one costs the same in any table.
    pub sort: &'static [&'static str],
    pub filters: &'static [Filter],
}

/// A member of `attributes`.
#[derive(Debug)]
pub struct Attribute {
    pub name: &'static str,
    /// Whether it is there too when the resource is included in another one's document and nobody asked for it.
    pub when_included: bool,
}

/// A member of `relationships`.
pub struct Relationship {
    pub name: &'static str,
    pub target: &'static Schema,
    /// Whether it is there too when the resource is included in another one's document and nobody asked for it.
    pub when_included: bool,
}

/// A member of `relationships` that can't be included.
#[derive(Debug)]
pub struct Reference {
    pub name: &'static str,
    /// Where what it links to can be seen, for complaints.
    pub instead: &'static str,
}

/// Names the target only: schemas lead back to themselves.
impl fmt::Debug for Relationship {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, target, when_included } = self;
        let mut shown = formatter.debug_struct("Relationship");
        shown.field("name", name).field("target", &target.type_name).field("when_included", when_included).finish()
    }
}

/// A `filter[…]` key.
#[derive(Debug)]
pub struct Filter {
    pub name: &'static str,
    /// The column it compares, or what [`Values`] says of it.
    pub column: &'static str,
    pub values: Values,
}

/// What a filter's values are.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// Ids: decimal digits. One that names nothing finds nothing.
    Ids,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Any text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// One resource, `TYPE/ID`, or all of a `TYPE`, which is one of these. The filter's column is how the names of two
    /// columns begin, which end in `_type` and `_id`.
    Resource(&'static [&'static str]),
    /// What comes after the resource of an id, or what the column, a time, shows to be of that time or later; see
    /// [`Since`](super::since::Since).
    Since,
}

impl Filter {
    /// A filter by the column of its name.
    pub const fn new(name: &'static str, values: Values) -> Self {
        Self { name, column: name, values }
    }
}

impl Attribute {
    /// An attribute that is always there.
    pub const fn new(name: &'static str) -> Self {
        Self { name, when_included: true }
    }

    /// An attribute of the resource's own documents.
    pub const fn own_document(name: &'static str) -> Self {
        Self { name, when_included: false }
    }
}

impl Schema {
    /// The relationship of that name.
    pub fn relationship(&self, name: &str) -> Option<&'static Relationship> {
        self.relationships.iter().find(|relationship| relationship.name == name)
    }

    /// The reference of that name.
    pub fn reference(&self, name: &str) -> Option<&'static Reference> {
        self.references.iter().find(|reference| reference.name == name)
    }

    /// Every field (attribute or relationship) of that name, as the schema spells it.
    pub fn field(&self, name: &str) -> Option<&'static str> {
        self.fields().find(|field| *field == name)
    }

    /// The names of all fields.
    pub fn fields(&self) -> impl Iterator<Item = &'static str> {
        let attributes = self.attributes.iter().map(|attribute| attribute.name);
        let relationships = self.relationships.iter().map(|relationship| relationship.name);
        attributes.chain(relationships).chain(self.references.iter().map(|reference| reference.name))
    }

    /// This schema and all that can be reached from it through relationships.
    pub fn reachable(&'static self) -> Vec<&'static Schema> {
        let mut found = vec![self];
        let mut next = 0;
        while let Some(schema) = found.get(next) {
            for relationship in schema.relationships {
                if !found.iter().any(|known| known.type_name == relationship.target.type_name) {
                    found.push(relationship.target);
                }
            }
            next += 1;
        }
        found
    }
}
