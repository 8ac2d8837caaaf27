//! Resource schemas as data, for rendering, `include`, `fields`, `sort` and `filter`, and for the API document.

use std::fmt;

/// The schema of a type of resource.
#[derive(Debug)]
pub struct Schema {
    /// The `type` member.
    pub type_name: &'static str,
    /// Path of the collection.
    pub path: &'static str,
    /// An id in examples.
    pub example_id: &'static str,
    /// True if a page can start or end at an id; other collections have numbered pages only.
    pub pages_by_id: bool,
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

/// A member of `attributes`, or of a plain body.
#[derive(Debug)]
pub struct Attribute {
    pub name: &'static str,
    /// True if the resource also shows it by default when included in another resource's document.
    pub when_included: bool,
    pub value_type: ValueType,
    /// Its meaning, with its unit.
    pub about: &'static str,
    /// An example of its value, as JSON.
    pub example: &'static str,
    pub presence: Presence,
    /// Its part in the body that creates the resource.
    pub on_create: Input,
    /// Its part in the body that updates the resource.
    pub on_update: Input,
}

/// The type of a value.
#[derive(Debug, Clone, Copy)]
pub enum ValueType {
    /// Text of at most so many characters.
    Text {
        longest: usize,
    },
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// An id: decimal digits.
    Id,
    Boolean,
    /// A whole number within these bounds.
    Integer {
        least: i64,
        most: i64,
    },
    /// An exact decimal number. Bodies may send it as text.
    Decimal,
    /// An instant in RFC 3339.
    Time,
    /// An id or an instant; see [`Since`](super::since::Since).
    Since,
    /// A duration in ISO 8601. Bodies may also use the form people write.
    Duration,
    /// An absolute URL.
    Url,
    /// An object with any members, kept as sent.
    Free,
    /// An object with these members.
    Object(&'static [Attribute]),
    /// An array of such objects.
    Objects(&'static [Attribute]),
}

/// Presence of an attribute in answers without sparse fieldsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It always has a value.
    Always,
    /// It is `null` while it has no value.
    Nullable,
    /// It is left out while it has no value.
    Optional,
}

/// The part of an attribute or relationship in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// It has no effect.
    Ignored,
    Optional,
    Required,
}

/// A member of `relationships`.
pub struct Relationship {
    pub name: &'static str,
    pub target: &'static Schema,
    /// True if the resource also shows it by default when included in another resource's document.
    pub when_included: bool,
    pub cardinality: Cardinality,
    /// Its part in the body that creates the resource.
    pub on_create: Input,
}

/// The number of resources linked by a relationship.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cardinality {
    One,
    Many,
}

/// A member of `relationships` that can't be included.
#[derive(Debug)]
pub struct Reference {
    pub name: &'static str,
    /// The types that it may link.
    pub types: &'static [&'static str],
    pub cardinality: Cardinality,
    /// True if a document shows the linked resource of its own accord.
    pub is_included: bool,
    /// Another way to see the linked resource, for error details.
    pub instead: &'static str,
}

/// Prints only the name of the target: schemas refer to each other in circles.
impl fmt::Debug for Relationship {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, target, when_included, .. } = self;
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
    /// Creates an attribute shown in every document by default, always with a value.
    pub const fn new(name: &'static str, value_type: ValueType, about: &'static str, example: &'static str) -> Self {
        Self {
            name,
            when_included: true,
            value_type,
            about,
            example,
            presence: Presence::Always,
            on_create: Input::Ignored,
            on_update: Input::Ignored,
        }
    }

    /// Shows it by default only in the resource's own documents.
    #[must_use]
    pub const fn own_document(self) -> Self {
        Self { when_included: false, ..self }
    }

    /// Shows `null` while it has no value.
    #[must_use]
    pub const fn nullable(self) -> Self {
        Self { presence: Presence::Nullable, ..self }
    }

    /// Leaves it out while it has no value.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self { presence: Presence::Optional, ..self }
    }

    /// Takes it in the body that creates the resource.
    #[must_use]
    pub const fn on_create(self, part: Input) -> Self {
        Self { on_create: part, ..self }
    }

    /// Takes it in the body that updates the resource.
    #[must_use]
    pub const fn on_update(self) -> Self {
        Self { on_update: Input::Optional, ..self }
    }
}

impl Relationship {
    /// Creates a relationship to one resource, shown in every document by default.
    pub const fn to_one(name: &'static str, target: &'static Schema) -> Self {
        Self { name, target, when_included: true, cardinality: Cardinality::One, on_create: Input::Ignored }
    }

    /// Creates a relationship to any number of resources, shown in every document by default.
    pub const fn to_many(name: &'static str, target: &'static Schema) -> Self {
        Self { cardinality: Cardinality::Many, ..Self::to_one(name, target) }
    }

    /// Shows it by default only in the resource's own documents.
    #[must_use]
    pub const fn own_document(self) -> Self {
        Self { when_included: false, ..self }
    }

    /// Takes it in the body that creates the resource.
    #[must_use]
    pub const fn on_create(self, part: Input) -> Self {
        Self { on_create: part, ..self }
    }
}

impl Schema {
    /// Creates the schema of a plain list, whose entries are no resources: it has pages, and perhaps filters.
    pub const fn list(type_name: &'static str, path: &'static str) -> Self {
        Self {
            type_name,
            path,
            example_id: "",
            pages_by_id: false,
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
