//! Reading relationships: what they name.

use serde_json::Value;

use super::{Identifier, Reader, kind, look_up, shorten};
use crate::jsonapi::error::{
    Code, DOCUMENT_INVALID, RELATED_RESOURCE_NOT_FOUND, RELATIONSHIP_MISSING, RELATIONSHIP_TYPE_MISMATCH,
};
use crate::jsonapi::schema::Schema;

impl Reader {
    /// Whether the resource has that relationship, and it isn't `null`.
    pub fn has_relationship(&self, name: &str) -> bool {
        self.get(&self.relationship(name)).is_some()
    }

    /// Where a relationship is.
    fn relationship(&self, name: &str) -> String {
        format!("{}/relationships/{name}", self.resource)
    }

    /// A to-one relationship's id, if it is there and well-formed. Its members besides `type` and `id` have no
    /// effect.
    pub fn linkage(&mut self, schema: &Schema, name: &str, required: bool) -> Option<Identifier> {
        let relationship = schema.relationship(name)?;
        let target = relationship.target.type_name;
        let pointer = self.relationship(name);
        let data = format!("{pointer}/data");
        let missing = |reader: &mut Self, at: &str| {
            if required {
                let detail = format!("the relationship `{name}` is missing; it must name one of the {target}");
                reader.fault(RELATIONSHIP_MISSING, at, detail);
            }
            None
        };
        match self.get(&pointer) {
            None => return missing(self, &pointer),
            Some(Value::Object(members)) if members.contains_key("data") => {}
            Some(Value::Object(_)) => {
                self.fault(DOCUMENT_INVALID, &pointer, "has no member `data`; it must hold the resource's identifier");
                return None;
            }
            Some(other) => {
                let detail = format!("is {}; it must be an object with a member `data`", kind(other));
                self.fault(DOCUMENT_INVALID, &pointer, detail);
                return None;
            }
        }
        match self.get(&data) {
            None => return missing(self, &data),
            Some(Value::Object(_)) => {}
            Some(other) => {
                let detail = format!("is {}; it must be an identifier, an object with `type` and `id`", kind(other));
                self.fault(DOCUMENT_INVALID, &data, detail);
                return None;
            }
        }
        let right_type = self.linkage_type(&data, target);
        let id = self.linkage_id(&data);
        if right_type { id } else { None }
    }

    fn linkage_type(&mut self, data: &str, target: &str) -> bool {
        let pointer = format!("{data}/type");
        let (code, detail) = match look_up(&self.document, &pointer) {
            Some(Value::String(found)) if found == target => return true,
            Some(Value::String(found)) => {
                (RELATIONSHIP_TYPE_MISMATCH, format!("is \"{found}\"; this relationship takes \"{target}\""))
            }
            Some(other) => (DOCUMENT_INVALID, format!("is {}; it must be the string \"{target}\"", kind(other))),
            None => (DOCUMENT_INVALID, format!("the member `type` is missing; it must be \"{target}\"")),
        };
        self.fault(code, &pointer, detail);
        false
    }

    fn linkage_id(&mut self, data: &str) -> Option<Identifier> {
        let pointer = format!("{data}/id");
        let text = match look_up(&self.document, &pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            found => {
                let found = found.map_or("missing", kind);
                self.fault(DOCUMENT_INVALID, &pointer, format!("the `id` is {found}; it must be a string or a number"));
                return None;
            }
        };
        Some(Identifier { text })
    }

    /// Records that a relationship names something that isn't there.
    pub fn not_found(&mut self, name: &str, target: &str, id: &Identifier) {
        let detail = format!("none of the {target} has the id \"{}\"", shorten(&id.text));
        self.fault_of_linkage(RELATED_RESOURCE_NOT_FOUND, name, detail);
    }

    /// Records a fault of what a relationship names.
    pub fn fault_of_linkage(&mut self, code: Code, name: &str, detail: String) {
        self.fault(code, &format!("{}/data/id", self.relationship(name)), detail);
    }
}
