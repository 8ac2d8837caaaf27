//! Reads relationships.

use serde_json::Value;

use super::{Identifier, Reader, kind, look_up, shorten};
use crate::jsonapi::error::{
    Code, DOCUMENT_INVALID, RELATED_RESOURCE_NOT_FOUND, RELATIONSHIP_MISSING, RELATIONSHIP_TYPE_MISMATCH,
};
use crate::jsonapi::schema::Schema;

impl Reader {
    /// Returns whether the resource has a relationship that is not `null`.
    pub fn has_relationship(&self, name: &str) -> bool {
        self.get(&self.relationship(name)).is_some()
    }

    /// Returns the pointer of a relationship.
    fn relationship(&self, name: &str) -> String {
        format!("{}/relationships/{name}", self.resource)
    }

    /// Returns the id in a to-one relationship, if it is present and well-formed. Members of the identifier other than
    /// `type` and `id` have no effect.
    pub fn linkage(&mut self, schema: &Schema, name: &str, required: bool) -> Option<Identifier> {
        let relationship = schema.relationship(name)?;
        let target = relationship.target.type_name;
        let pointer = self.relationship(name);
        let data = format!("{pointer}/data");
        let missing = |reader: &mut Self, at: &str| {
            if required {
                let detail = format!("`{name}` is missing; this relationship must name one of the {target}");
                reader.fault(RELATIONSHIP_MISSING, at, detail);
            }
            None
        };
        match self.get(&pointer) {
            None => return missing(self, &pointer),
            Some(Value::Object(members)) if members.contains_key("data") => {}
            Some(Value::Object(_)) => {
                let detail = format!("`{name}` has no member `data`, which must be the resource's identifier");
                self.fault_of_missing(DOCUMENT_INVALID, &pointer, &[&data], detail);
                return None;
            }
            Some(other) => {
                let detail = format!("`{name}` is {}; it must be an object with a member `data`", kind(other));
                self.fault(DOCUMENT_INVALID, &pointer, detail);
                return None;
            }
        }
        match self.get(&data) {
            None => return missing(self, &data),
            Some(Value::Object(_)) => {}
            Some(other) => {
                let detail = format!("`{name}.data` is {}; it must be an object with `type` and `id`", kind(other));
                self.fault(DOCUMENT_INVALID, &data, detail);
                return None;
            }
        }
        let right_type = self.linkage_type(name, &data, target);
        let id = self.linkage_id(name, &data);
        if right_type { id } else { None }
    }

    fn linkage_type(&mut self, name: &str, data: &str, target: &str) -> bool {
        let pointer = format!("{data}/type");
        let (code, detail) = match look_up(&self.document, &pointer) {
            Some(Value::String(found)) if found == target => return true,
            Some(Value::String(found)) => {
                (RELATIONSHIP_TYPE_MISMATCH, format!("`{name}` has the type \"{found}\"; it must be \"{target}\""))
            }
            Some(other) => {
                let found = kind(other);
                (DOCUMENT_INVALID, format!("`{name}.data.type` is {found}; it must be the string \"{target}\""))
            }
            None => (DOCUMENT_INVALID, format!("`{name}.data.type` is missing; it must be \"{target}\"")),
        };
        self.fault(code, &pointer, detail);
        false
    }

    fn linkage_id(&mut self, name: &str, data: &str) -> Option<Identifier> {
        let pointer = format!("{data}/id");
        let text = match look_up(&self.document, &pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            found => {
                let found = found.map_or("missing", kind);
                let detail = format!("`{name}.data.id` is {found}; it must be a string or a number");
                self.fault(DOCUMENT_INVALID, &pointer, detail);
                return None;
            }
        };
        Some(Identifier { text })
    }

    /// Records that a relationship names a resource that does not exist.
    pub fn not_found(&mut self, name: &str, target: &str, id: &Identifier) {
        let detail = format!("`{name}` has the id \"{}\"; none of the {target} has this id", shorten(&id.text));
        self.fault_of_linkage(RELATED_RESOURCE_NOT_FOUND, name, detail);
    }

    /// Records a fault of the resource named by a relationship. `detail` begins with the name of the relationship.
    pub fn fault_of_linkage(&mut self, code: Code, name: &str, detail: String) {
        self.fault(code, &format!("{}/data/id", self.relationship(name)), detail);
    }
}
