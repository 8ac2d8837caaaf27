//! Reads a document and collects its faults, so that one answer names them all. Each value is looked up by the pointer
//! that its error would carry.

mod attributes;
mod linkage;
mod misspelt;
pub mod strays;

use std::fmt::Display;

use serde_json::Value;

use super::error::{
    ATTRIBUTE_UNKNOWN, CLIENT_ID_FORBIDDEN, Code, DOCUMENT_INVALID, Error, Errors, ID_MISMATCH, TYPE_MISMATCH,
};
use super::json;
use super::schema::{Attribute, Schema};

/// An id as sent by the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    pub text: String,
}

impl Identifier {
    /// Returns the id as a number, as stored; 0, the id of no resource, if the text is not an id.
    pub fn number(&self) -> i64 {
        id_number(&self.text)
    }
}

/// Parses an id, from 1 to 2^63 − 1. Returns 0 for any other text. Ids have one spelling: no sign, no leading zero.
pub fn id_number(text: &str) -> i64 {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if canonical { text.parse().unwrap_or(0) } else { 0 }
}

/// The purpose of a document.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'a> {
    /// A POST: the client may not choose the id.
    Create,
    /// A PATCH of the resource with this id.
    Update(&'a str),
    /// A PATCH of a resource named in the path by its role, such as `me`: an id in the document has no effect.
    UpdateByRole,
}

/// Pointer of the attributes.
const ATTRIBUTES: &str = "/data/attributes";
/// Pointer of the resource.
const RESOURCE: &str = "/data";

/// Maximum number of faults in one answer. Reading stops there.
pub const MOST_FAULTS: usize = 100;

/// A reader of one document, and the faults found so far.
#[derive(Debug)]
pub struct Reader {
    document: Value,
    /// Schema of the resource, as soon as its type is known.
    schema: Option<&'static Schema>,
    /// Pointer of the resource object; empty for a plain object.
    resource: String,
    /// Pointer of the current object, which the getters read from: `attributes`, or an object inside it.
    place: String,
    faults: Vec<Error>,
}

impl Reader {
    /// Reads the common part of the body of a POST or PATCH: a resource object with its type and id. Checks that
    /// `attributes` and `relationships` are objects.
    ///
    /// # Errors
    /// Faults that end the reading: invalid JSON (400), no resource object (400), another type (409), a forbidden id
    /// (403) or another id (409).
    pub fn open(body: &[u8], schema: &'static Schema, purpose: Purpose<'_>) -> Result<Self, Errors> {
        let document = json::read(body).map_err(Errors::new)?;
        let (resource, place) = (RESOURCE.to_owned(), ATTRIBUTES.to_owned());
        let mut reader = Self { document, schema: Some(schema), resource, place, faults: Vec::new() };
        reader.check_resource_object(schema, purpose)?;
        reader.check_shapes();
        Ok(reader)
    }

    /// Reads the body as a plain object with the members `known`, which the getters then read from. An empty body stands
    /// for an empty object.
    ///
    /// # Errors
    /// 400 for invalid JSON or no object, and 422 for unknown members, because they would have no effect.
    pub fn open_plain(body: &[u8], known: &[Attribute]) -> Result<Self, Errors> {
        let document = if body.is_empty() {
            Value::Object(serde_json::Map::new())
        } else {
            json::read(body).map_err(Errors::new)?
        };
        let (resource, place) = (String::new(), String::new());
        let mut reader = Self { document, schema: None, resource, place, faults: Vec::new() };
        let Some(members) = reader.document.as_object() else {
            let detail = format!("the body is {}; it must be an object", kind(&reader.document));
            return Err(Error::new(DOCUMENT_INVALID, detail).at("").into());
        };
        let is_known = |name: &str| known.iter().any(|attribute| attribute.name == name);
        let unknown: Vec<String> = members.keys().filter(|name| !is_known(name)).cloned().collect();
        let expected = match known {
            [] => "the body takes no members".to_owned(),
            known => format!("the body takes {}", names(known)),
        };
        for name in unknown {
            let detail = format!("`{}` is unknown; {expected}", shorten(&name));
            reader.fault(ATTRIBUTE_UNKNOWN, &format!("/{}", json::escape(&name)), detail);
        }
        Ok(reader)
    }

    /// Checks that the body is empty, or an object without members.
    ///
    /// # Errors
    /// As in [`Reader::open_plain`].
    pub fn expect_empty(body: &[u8]) -> Result<(), Errors> {
        Self::open_plain(body, &[])?.finish(Some(()))
    }

    /// Reads a body with several resource objects. [`turn_to`](Self::turn_to) selects one of them.
    ///
    /// # Errors
    /// 400 for invalid JSON, or `data` that is not an array.
    pub fn open_many(body: &[u8]) -> Result<Self, Errors> {
        let document = json::read(body).map_err(Errors::new)?;
        let (resource, place) = (RESOURCE.to_owned(), String::new());
        let reader = Self { document, schema: None, resource, place, faults: Vec::new() };
        match reader.document.get("data") {
            Some(Value::Array(_)) => Ok(reader),
            Some(other) => {
                let detail = format!("`data` is {}; it must be an array of resource objects", kind(other));
                Err(Error::new(DOCUMENT_INVALID, detail).at(RESOURCE).into())
            }
            None => {
                let detail = "the document must be an object with a member `data`, an array of resource objects";
                Err(reader.error_of_missing(DOCUMENT_INVALID, "", &[RESOURCE], detail.to_owned()).into())
            }
        }
    }

    /// Returns the number of resource objects of [`Reader::open_many`].
    pub fn count(&self) -> usize {
        look_up(&self.document, RESOURCE).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// Selects one of several resource objects. The getters read its attributes and relationships from now on.
    pub fn turn_to(&mut self, index: usize) {
        self.schema = None;
        self.resource = format!("{RESOURCE}/{index}");
        self.place = format!("{}/attributes", self.resource);
    }

    /// Returns the index of the resource's type in `types`. Records faults of the type and of the resource's shape.
    pub fn type_among(&mut self, types: &[&str]) -> Option<usize> {
        let expected = types.join(", ");
        let (pointer, resource) = (format!("{}/type", self.resource), self.resource.clone());
        let found = look_up(&self.document, &resource);
        let (code, pointer, detail) = match (found, look_up(&self.document, &pointer)) {
            (Some(Value::Object(_)), Some(Value::String(name))) => {
                let at = types.iter().position(|known| known == name);
                if at.is_some() {
                    self.check_shapes();
                    return at;
                }
                (TYPE_MISMATCH, pointer, format!("`type` is \"{}\"; it must be one of {expected}", shorten(name)))
            }
            (Some(Value::Object(_)), Some(other)) => {
                (DOCUMENT_INVALID, pointer, format!("`type` is {}; it must be one of {expected}", kind(other)))
            }
            (Some(Value::Object(_)), None) => {
                (DOCUMENT_INVALID, pointer, format!("`type` is missing; it must be one of {expected}"))
            }
            (other, _) => {
                let found = other.map_or("missing", kind);
                let detail = format!("`{resource}` is {found}; it must be a resource object");
                (DOCUMENT_INVALID, resource, detail)
            }
        };
        self.fault(code, &pointer, detail);
        None
    }

    /// Reads the id chosen for the resource. Records a fault if it is missing, or neither a string nor a number.
    pub fn own_id(&mut self, expected: impl Display) -> Option<Identifier> {
        let text = match self.get(&format!("{}/id", self.resource)) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => {
                self.invalid_id(expected);
                return None;
            }
            None => {
                self.fault_of_id(DOCUMENT_INVALID, format!("`id` is missing; it must be {expected}"));
                return None;
            }
        };
        Some(Identifier { text })
    }

    /// Records that the resource's id is invalid. `expected` completes "it must be".
    pub fn invalid_id(&mut self, expected: impl Display) {
        let found = self.get(&format!("{}/id", self.resource)).map_or("null".to_owned(), quote);
        self.fault_of_id(DOCUMENT_INVALID, format!("`id` is {found}; it must be {expected}"));
    }

    /// Records a fault of the resource's id.
    pub fn fault_of_id(&mut self, code: Code, detail: String) {
        self.fault(code, &format!("{}/id", self.resource), detail);
    }

    fn check_resource_object(&mut self, schema: &Schema, purpose: Purpose<'_>) -> Result<(), Errors> {
        let shape = |pointer: &str, detail: String| Errors::from(Error::new(DOCUMENT_INVALID, detail).at(pointer));
        let missing = |at: &str, pointer: &str, detail: String| {
            Errors::from(self.error_of_missing(DOCUMENT_INVALID, at, &[pointer], detail))
        };
        let type_name = schema.type_name;
        let Some(document) = self.document.as_object() else {
            let found = kind(&self.document);
            return Err(shape("", format!("the document is {found}; it must be an object with a member `data`")));
        };
        let Some(data) = document.get("data") else {
            return Err(missing("", "/data", format!("`data` is missing; it must be a {type_name} resource object")));
        };
        let Some(data) = data.as_object() else {
            let found = kind(data);
            return Err(shape("/data", format!("`data` is {found}; it must be a {type_name} resource object")));
        };
        match data.get("type") {
            None => {
                return Err(missing("/data", "/data/type", format!("`type` is missing; it must be \"{type_name}\"")));
            }
            Some(Value::String(found)) if found == type_name => {}
            Some(Value::String(found)) => {
                let detail = format!("`type` is \"{found}\"; this path takes \"{type_name}\"");
                return Err(Error::new(TYPE_MISMATCH, detail).at("/data/type").into());
            }
            Some(other) => {
                let detail = format!("`type` is {}; it must be the string \"{type_name}\"", kind(other));
                return Err(shape("/data/type", detail));
            }
        }
        let id = match data.get("id") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(other) => {
                let detail = format!("`id` is {}; it must be a string of decimal digits", kind(other));
                return Err(shape("/data/id", detail));
            }
        };
        match (purpose, id) {
            // clients without optional members send an empty id
            (Purpose::Create, Some(id)) if !id.is_empty() => {
                let detail = "`id` is assigned by the server; leave it out and read it from the answer";
                Err(Error::new(CLIENT_ID_FORBIDDEN, detail).at("/data/id").into())
            }
            (Purpose::Update(_), None) => {
                Err(missing("/data", "/data/id", "`id` is missing; it must be the id in the path".into()))
            }
            (Purpose::Update(expected), Some(id)) if id != expected => {
                let detail = format!("`id` is {id:?}; it must be {expected:?}, the id in the path");
                Err(Error::new(ID_MISMATCH, detail).at("/data/id").into())
            }
            _ => Ok(()),
        }
    }

    /// Checks that `attributes` and `relationships` are objects, or missing; `null` counts as missing.
    fn check_shapes(&mut self) {
        for name in ["attributes", "relationships"] {
            let pointer = format!("{}/{name}", self.resource);
            if let Some(other) = self.get(&pointer).filter(|value| !value.is_object()) {
                let detail = format!("`{name}` is {}; it must be an object", kind(other));
                self.fault(DOCUMENT_INVALID, &pointer, detail);
            }
        }
    }

    /// Returns the value at a pointer. `null` counts as missing, because clients send every member of their model.
    fn get(&self, pointer: &str) -> Option<&Value> {
        look_up(&self.document, pointer).filter(|value| !value.is_null())
    }

    /// Returns the pointer of the current object: the attributes, or the current one of [`Reader::objects`].
    pub fn place(&self) -> String {
        self.place.clone()
    }

    /// Returns the pointer of a member of the current object.
    pub fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.place)
    }

    /// Returns `pointer`, or its nearest parent in the document.
    fn nearest(&self, pointer: &str) -> String {
        let mut pointer = pointer;
        while look_up(&self.document, pointer).is_none() {
            pointer = &pointer[..pointer.rfind('/').unwrap_or(0)];
        }
        pointer.to_owned()
    }

    /// Records a fault of the value at `pointer`, or of its nearest parent in the document. It has no effect beyond
    /// [`MOST_FAULTS`]. `detail` begins with the name of the value.
    pub fn fault(&mut self, code: Code, pointer: &str, detail: impl Into<String>) {
        let missing: &[&str] = if self.get(pointer).is_none() { &[pointer] } else { &[] };
        self.fault_of_missing(code, pointer, missing, detail);
    }

    /// Records a fault of missing values, like [`Reader::fault`]. If the document has a misspelt name for one of them,
    /// the fault names it.
    pub fn fault_of_missing(&mut self, code: Code, pointer: &str, missing: &[&str], detail: impl Into<String>) {
        if !self.has_enough_faults() {
            let at = self.nearest(pointer);
            self.faults.push(self.error_of_missing(code, &at, missing, detail.into()));
        }
    }

    /// Returns whether the limit of faults is reached.
    fn has_enough_faults(&self) -> bool {
        self.faults.len() >= MOST_FAULTS
    }

    /// Returns whether no fault is recorded.
    pub fn is_faultless(&self) -> bool {
        self.faults.is_empty()
    }

    /// Ends the reading and returns `value`.
    ///
    /// # Errors
    /// All recorded faults.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Errors> {
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(self.into_errors()),
        }
    }

    /// Returns the recorded faults, at least one.
    pub fn into_errors(self) -> Errors {
        Errors::new(self.faults)
    }
}

/// Returns the names of attributes, for error details.
fn names(attributes: &[Attribute]) -> String {
    attributes.iter().map(|attribute| attribute.name).collect::<Vec<_>>().join(", ")
}

/// Returns the value at a pointer (RFC 6901). It does not unescape: no member looked up here has an escaped name.
fn look_up<'a>(document: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('/').skip(1).try_fold(document, |value, name| match value {
        // in a small object, comparing names is cheaper than hashing one
        Value::Object(members) if members.len() <= 16 => {
            members.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
        }
        Value::Object(members) => members.get(name),
        Value::Array(items) => items.get(array_index(name)?),
        _ => None,
    })
}

/// Parses an index of a pointer: no sign, no leading zero.
fn array_index(name: &str) -> Option<usize> {
    let canonical = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    if canonical { name.parse().ok() } else { None }
}

/// Formats a value for an error detail, shortened to 60 characters.
pub fn quote(value: &Value) -> String {
    shorten(&value.to_string())
}

fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns the kind of a value with its article, for error details.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
