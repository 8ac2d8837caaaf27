//! Resource schemas as data, for rendering, `include`, `fields`, `sort` and `filter`.

use std::fmt;

/// The schema of a type of resource.
#[derive(Debug)]
pub struct Schema {
    /// The `type` member.
    pub type_name: &'static str,
    /// Path of the collection.
    pub path: &'static str,
    pub attributes: &'static [Attribute],
    pub relationships: &'static [Relationship],
    /// Relationships that can't be included: the linkage names their type, which may be any.
    pub references: &'static [Reference],
    /// Relationships included by default.
    pub default_include: &'static [&'static str],
    /// Keys of `sort`, besides `id`. Each is an indexed column, so that page one costs the same in a table of any size.
    pub sort: &'static [&'static str],
    pub filters: &'static [Filter],
}

/// A member of `attributes`.
#[derive(Debug)]
pub struct Attribute {
    pub name: &'static str,
    /// True if the resource also shows it by default when included in another resource's document.
    pub when_included: bool,
}

/// A member of `relationships`.
pub struct Relationship {
    pub name: &'static str,
    pub target: &'static Schema,
    /// True if the resource also shows it by default when included in another resource's document.
    pub when_included: bool,
}

/// A member of `relationships` that can't be included.
#[derive(Debug)]
pub struct Reference {
    pub name: &'static str,
    /// Another way to see the linked resource, for error details.
    pub instead: &'static str,
}

/// Prints only the name of the target: schemas refer to each other in circles.
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
    /// The column to compare, unless [`Values`] says otherwise.
    pub column: &'static str,
    pub values: Values,
}

/// The valid values of a filter.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// Ids: decimal digits. An unknown id finds nothing.
    Ids,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Any text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// One resource, `TYPE/ID`, or all of a `TYPE` from this list. The filter's column is the prefix of two columns,
    /// which end in `_type` and `_id`.
    Resource(&'static [&'static str]),
    /// One value, read by the collection itself if it accepts it.
    Checked { expected: &'static str, accepts: fn(&str) -> bool },
    /// Resources after an id, or with a time in the column from an instant on; see [`Since`](super::since::Since).
    Since,
}

impl Filter {
    /// Creates a filter by the column of the same name.
    pub const fn new(name: &'static str, values: Values) -> Self {
        Self { name, column: name, values }
    }
}

impl Attribute {
    /// Creates an attribute shown in every document by default.
    pub const fn new(name: &'static str) -> Self {
        Self { name, when_included: true }
    }

    /// Creates an attribute shown by default only in the resource's own documents.
    pub const fn own_document(name: &'static str) -> Self {
        Self { name, when_included: false }
    }
}

impl Schema {
    /// Creates the schema of a plain list, whose entries are no resources: it has pages, and perhaps filters.
    pub const fn list(type_name: &'static str, path: &'static str) -> Self {
        Self {
            type_name,
            path,
            attributes: &[],
            relationships: &[],
            references: &[],
            default_include: &[],
            sort: &[],
            filters: &[],
        }
    }

    /// Returns the relationship of that name.
    pub fn relationship(&self, name: &str) -> Option<&'static Relationship> {
        self.relationships.iter().find(|relationship| relationship.name == name)
    }

    /// Returns the reference of that name.
    pub fn reference(&self, name: &str) -> Option<&'static Reference> {
        self.references.iter().find(|reference| reference.name == name)
    }

    /// Returns the name of a field (attribute or relationship) from the schema, if it has that field.
    pub fn field(&self, name: &str) -> Option<&'static str> {
        self.fields().find(|field| *field == name)
    }

    /// Returns the names of all fields.
    pub fn fields(&self) -> impl Iterator<Item = &'static str> {
        let attributes = self.attributes.iter().map(|attribute| attribute.name);
        let relationships = self.relationships.iter().map(|relationship| relationship.name);
        attributes.chain(relationships).chain(self.references.iter().map(|reference| reference.name))
    }

    /// Returns this schema and all schemas reachable through relationships.
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
