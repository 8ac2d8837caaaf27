//! Reading a document: each value is looked up by the pointer that a complaint about it would carry, and a fault
//! is recorded instead of ending the reading, so that one answer names them all.

mod attributes;
mod linkage;

use std::fmt::Display;

use serde_json::Value;

use super::error::{
    ATTRIBUTE_UNKNOWN, CLIENT_ID_FORBIDDEN, Code, DOCUMENT_INVALID, Error, Errors, ID_MISMATCH, TYPE_MISMATCH,
};
use super::json;
use super::schema::Schema;

/// An id as a request names it: what it says, and the number if any resource could have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    pub text: String,
}

impl Identifier {
    /// The id as the store counts them; 0, which is nobody's, where the text can't be an id.
    pub fn number(&self) -> i64 {
        id_number(&self.text)
    }
}

/// An id's text as a number from 1 to 2^63 − 1, or 0 for any other text. Ids have one spelling: no sign, no
/// leading zero.
pub fn id_number(text: &str) -> i64 {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if canonical { text.parse().unwrap_or(0) } else { 0 }
}

/// What a document is read for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'a> {
    /// A POST: the client may not choose the id.
    Create,
    /// A PATCH of the resource with this id.
    Update(&'a str),
    /// A PATCH of a resource that the path names by its role: an id in the document has no effect.
    UpdateByRole,
}

/// Where the attributes are.
const ATTRIBUTES: &str = "/data/attributes";
/// Where the resource is.
const RESOURCE: &str = "/data";

/// The most faults that one answer names: of more, reading goes no further.
pub const MOST_FAULTS: usize = 100;

/// A document being read, and the faults found so far.
#[derive(Debug)]
pub struct Reader {
    document: Value,
    /// Pointer of the resource object.
    resource: String,
    /// Pointer of the object whose members the getters name: `attributes`, or an object inside of it.
    place: String,
    faults: Vec<Error>,
}

impl Reader {
    /// Reads the body of a POST or PATCH as far as every resource shares it: a resource object of the right type,
    /// its id, and the shapes of `attributes` and `relationships`.
    ///
    /// # Errors
    /// Where going on makes no sense: no JSON (400), no resource object (400), another type (409), an id that is
    /// forbidden (403) or another one (409).
    pub fn open(body: &[u8], schema: &Schema, purpose: Purpose<'_>) -> Result<Self, Errors> {
        let document = json::read(body).map_err(Errors::new)?;
        let (resource, place) = (RESOURCE.to_owned(), ATTRIBUTES.to_owned());
        let mut reader = Self { document, resource, place, faults: Vec::new() };
        reader.check_resource_object(schema, purpose)?;
        reader.check_shapes();
        Ok(reader)
    }

    /// Reads a body that is a plain object, whose members the getters then name. No body is an object without any.
    ///
    /// # Errors
    /// 400 for no JSON, or no object, and 422 for members that aren't among the known ones: nothing would come of them.
    pub fn open_plain(body: &[u8], known: &[&str]) -> Result<Self, Errors> {
        let document = if body.is_empty() {
            Value::Object(serde_json::Map::new())
        } else {
            json::read(body).map_err(Errors::new)?
        };
        let mut reader = Self { document, resource: String::new(), place: String::new(), faults: Vec::new() };
        let Some(members) = reader.document.as_object() else {
            let detail = format!("the body is {}; it must be an object", kind(&reader.document));
            return Err(Error::new(DOCUMENT_INVALID, detail).at("").into());
        };
        let unknown: Vec<String> = members.keys().filter(|name| !known.contains(&name.as_str())).cloned().collect();
        let there_is = if known.is_empty() { "none is".to_owned() } else { format!("there is {}", known.join(", ")) };
        for name in unknown {
            reader.fault(
                ATTRIBUTE_UNKNOWN,
                &format!("/{}", json::escape(&name)),
                format!("is not known here; {there_is}"),
            );
        }
        Ok(reader)
    }

    /// Reads a body that says nothing: none, or an object without members.
    ///
    /// # Errors
    /// As [`Reader::open_plain`].
    pub fn read_nothing(body: &[u8]) -> Result<(), Errors> {
        Self::open_plain(body, &[])?.finish(Some(()))
    }

    /// Reads a body that has several resource objects, each of which is then [turned to](Self::turn_to).
    ///
    /// # Errors
    /// 400 for no JSON, or no array of `data`.
    pub fn open_many(body: &[u8]) -> Result<Self, Errors> {
        let document = json::read(body).map_err(Errors::new)?;
        let shape = |pointer: &str, detail: String| Err(Error::new(DOCUMENT_INVALID, detail).at(pointer).into());
        match document.get("data") {
            Some(Value::Array(_)) => {
                Ok(Self { document, resource: RESOURCE.to_owned(), place: String::new(), faults: Vec::new() })
            }
            Some(other) => shape(RESOURCE, format!("is {}; it must be an array of resource objects", kind(other))),
            None => {
                let detail = "the document must be an object with a member `data`, an array of resource objects";
                shape("", detail.to_owned())
            }
        }
    }

    /// How many resource objects there are, where there are several.
    pub fn count(&self) -> usize {
        look_up(&self.document, RESOURCE).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// Turns to one of several resource objects: the getters name its attributes and relationships from now on.
    pub fn turn_to(&mut self, index: usize) {
        self.resource = format!("{RESOURCE}/{index}");
        self.place = format!("{}/attributes", self.resource);
    }

    /// The place of the resource's type among these, once it is an object of one of them, and of the right shape.
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
                (TYPE_MISMATCH, pointer, format!("is \"{}\"; it must be one of {expected}", shorten(name)))
            }
            (Some(Value::Object(_)), Some(other)) => {
                (DOCUMENT_INVALID, pointer, format!("is {}; it must be one of {expected}", kind(other)))
            }
            (Some(Value::Object(_)), None) => {
                (DOCUMENT_INVALID, pointer, format!("the member `type` is missing; it must be one of {expected}"))
            }
            (other, _) => {
                let found = other.map_or("missing", kind);
                (DOCUMENT_INVALID, resource, format!("is {found}; it must be a resource object"))
            }
        };
        self.fault(code, &pointer, detail);
        None
    }

    /// The id that the resource is to have.
    pub fn own_id(&mut self, expected: impl Display) -> Option<Identifier> {
        let text = match self.get(&format!("{}/id", self.resource)) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => {
                self.invalid_id(expected);
                return None;
            }
            None => {
                self.fault_of_id(DOCUMENT_INVALID, format!("the member `id` is missing; it must be {expected}"));
                return None;
            }
        };
        Some(Identifier { text })
    }

    /// Records that the resource can't have its id: what it is, and what would be right.
    pub fn invalid_id(&mut self, expected: impl Display) {
        let found = self.get(&format!("{}/id", self.resource)).map_or("null".to_owned(), quote);
        self.fault_of_id(DOCUMENT_INVALID, format!("is {found}; the id must be {expected}"));
    }

    /// Records a fault of the resource's id.
    pub fn fault_of_id(&mut self, code: Code, detail: String) {
        self.fault(code, &format!("{}/id", self.resource), detail);
    }

    fn check_resource_object(&mut self, schema: &Schema, purpose: Purpose<'_>) -> Result<(), Errors> {
        let shape = |pointer: &str, detail: String| Errors::from(Error::new(DOCUMENT_INVALID, detail).at(pointer));
        let type_name = schema.type_name;
        let Some(document) = self.document.as_object() else {
            return Err(shape("", "the document must be an object with a member `data`".into()));
        };
        let Some(data) = document.get("data") else {
            return Err(shape("", format!("the member `data` is missing; it must be a {type_name} resource object")));
        };
        let Some(data) = data.as_object() else {
            let found = kind(data);
            return Err(shape("/data", format!("is {found}; it must be a {type_name} resource object")));
        };
        match data.get("type") {
            None => return Err(shape("/data", format!("the member `type` is missing; it must be \"{type_name}\""))),
            Some(Value::String(found)) if found == type_name => {}
            Some(Value::String(found)) => {
                let detail = format!("is \"{found}\"; this endpoint takes \"{type_name}\"");
                return Err(Error::new(TYPE_MISMATCH, detail).at("/data/type").into());
            }
            Some(other) => {
                let detail = format!("is {}; it must be the string \"{type_name}\"", kind(other));
                return Err(shape("/data/type", detail));
            }
        }
        let id = match data.get("id") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(other) => {
                return Err(shape("/data/id", format!("is {}; an id is a string of decimal digits", kind(other))));
            }
        };
        match (purpose, id) {
            (Purpose::Create, Some(_)) => {
                let detail = "ids are assigned by the server; leave `id` out and read it from the answer";
                Err(Error::new(CLIENT_ID_FORBIDDEN, detail).at("/data/id").into())
            }
            (Purpose::Update(_), None) => {
                Err(shape("/data", "the member `id` is missing; it must be the id in the path".into()))
            }
            (Purpose::Update(expected), Some(id)) if id != expected => {
                let detail = format!("is {id:?}; the path names {expected:?}");
                Err(Error::new(ID_MISMATCH, detail).at("/data/id").into())
            }
            _ => Ok(()),
        }
    }

    /// `attributes`, `relationships` and each relationship must be objects; `null` stands for none.
    fn check_shapes(&mut self) {
        for pointer in [self.place.clone(), format!("{}/relationships", self.resource)] {
            if let Some(other) = self.get(&pointer).filter(|value| !value.is_object()) {
                let detail = format!("is {}; it must be an object", kind(other));
                self.fault(DOCUMENT_INVALID, &pointer, detail);
            }
        }
    }

    /// The value at a pointer; `null` counts as absent, because clients send every member of their model.
    fn get(&self, pointer: &str) -> Option<&Value> {
        look_up(&self.document, pointer).filter(|value| !value.is_null())
    }

    /// The pointer of the object whose members the getters name: the attributes, or the object that
    /// [`Reader::objects`] is at.
    pub fn place(&self) -> String {
        self.place.clone()
    }

    /// The pointer of an attribute, or of a member of the object that [`Reader::objects`] is at.
    pub fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.place)
    }

    /// The nearest thing to `pointer` that is in the document: itself, or a parent.
    fn nearest(&self, pointer: &str) -> String {
        let mut pointer = pointer;
        while look_up(&self.document, pointer).is_none() {
            pointer = &pointer[..pointer.rfind('/').unwrap_or(0)];
        }
        pointer.to_owned()
    }

    /// Records a fault of what is at `pointer`, or of its nearest parent that is there. Beyond [`MOST_FAULTS`] it has no
    /// effect.
    pub fn fault(&mut self, code: Code, pointer: &str, detail: impl Into<String>) {
        if !self.has_enough_faults() {
            let at = self.nearest(pointer);
            self.faults.push(Error::new(code, detail).at(at));
        }
    }

    /// Whether so much was wrong that nothing more is recorded.
    fn has_enough_faults(&self) -> bool {
        self.faults.len() >= MOST_FAULTS
    }

    /// Whether nothing was wrong so far.
    pub fn is_faultless(&self) -> bool {
        self.faults.is_empty()
    }

    /// Ends the reading: `value` where nothing was wrong, else every fault.
    ///
    /// # Errors
    /// All that was recorded.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Errors> {
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(self.into_errors()),
        }
    }

    /// The faults recorded so far, of which there must be one.
    pub fn into_errors(self) -> Errors {
        Errors::new(self.faults)
    }
}

/// The value at a pointer (RFC 6901). No member that is looked up has a name that pointers escape.
fn look_up<'a>(document: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('/').skip(1).try_fold(document, |value, name| match value {
        // hashing a name costs more than comparing it with those of a small object
        Value::Object(members) if members.len() <= 16 => {
            members.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
        }
        Value::Object(members) => members.get(name),
        Value::Array(items) => items.get(array_index(name)?),
        _ => None,
    })
}

/// An index as pointers spell it: no sign, no leading zero.
fn array_index(name: &str) -> Option<usize> {
    let canonical = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    if canonical { name.parse().ok() } else { None }
}

/// A value as a complaint shows it: whole if short.
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

/// What a value is, for people.
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
