//! Finds the misspelt name of a missing member.

use serde_json::Value;

use super::{Reader, shorten};
use crate::jsonapi::error::{Code, Error};
use crate::jsonapi::json;
use crate::jsonapi::nearest::similar;

/// Members of a document.
const OF_DOCUMENT: [&str; 6] = ["data", "errors", "included", "jsonapi", "links", "meta"];
/// Members of a resource object.
const OF_RESOURCE: [&str; 7] = ["attributes", "id", "lid", "links", "meta", "relationships", "type"];
/// Members of a relationship.
const OF_RELATIONSHIP: [&str; 3] = ["data", "links", "meta"];
/// Members of a resource identifier.
const OF_IDENTIFIER: [&str; 4] = ["id", "lid", "meta", "type"];
/// Maximum number of members that are compared.
const MOST: usize = 100;

impl Reader {
    /// Returns the error of values that are missing at these pointers. It is at `at`, or at the only member with a
    /// similar name. `detail` also names that member, or the nearest of several.
    pub(super) fn error_of_missing(&self, code: Code, at: &str, missing: &[&str], mut detail: String) -> Error {
        let mut at = at.to_owned();
        for (parent, name) in missing.iter().filter_map(|pointer| self.gap(pointer)) {
            let found = similar(name, self.unknown_members(parent));
            if let Some(nearest) = found.first() {
                detail = format!("{detail}; the document has `{}`, not `{name}`", shorten(nearest));
                if found.len() == 1 {
                    at = format!("{parent}/{}", json::escape(nearest));
                }
                break;
            }
        }
        Error::new(code, detail).at(at)
    }

    /// Splits the pointer of a missing value into the pointer of the nearest object around it, and the name that this
    /// object lacks.
    fn gap<'a>(&self, pointer: &'a str) -> Option<(&'a str, &'a str)> {
        let mut rest = pointer;
        while let Some((parent, name)) = rest.rsplit_once('/') {
            if let Some(found) = self.get(parent) {
                return found.is_object().then_some((parent, name));
            }
            rest = parent;
        }
        None
    }

    /// Returns the names of an object's members without a meaning.
    fn unknown_members(&self, parent: &str) -> impl Iterator<Item = &str> {
        let members = self.get(parent).and_then(Value::as_object);
        let names = members.into_iter().flat_map(|members| members.keys().map(String::as_str));
        names.filter(move |name| !self.is_known(parent, name)).take(MOST)
    }

    /// Returns whether a member of an object has a meaning. Names are taken for known where the schema does not say.
    fn is_known(&self, parent: &str, name: &str) -> bool {
        let Some(place) = parent.strip_prefix(&self.resource).filter(|_| !self.resource.is_empty()) else {
            return !parent.is_empty() || self.resource.is_empty() || OF_DOCUMENT.contains(&name);
        };
        let mut steps = place.split('/').skip(1);
        match (steps.next(), steps.next(), steps.next(), steps.next()) {
            (None, ..) => OF_RESOURCE.contains(&name),
            (Some("attributes"), None, ..) => self.schema.is_none_or(|schema| {
                OF_IDENTIFIER.contains(&name) || schema.attributes.iter().any(|attribute| attribute.name == name)
            }),
            (Some("attributes"), Some(_), Some(_), None) => false,
            (Some("relationships"), None, ..) => {
                self.schema.is_none_or(|schema| schema.relationship(name).is_some() || schema.reference(name).is_some())
            }
            (Some("relationships"), Some(_), None, _) => OF_RELATIONSHIP.contains(&name),
            (Some("relationships"), Some(_), Some("data"), None) => OF_IDENTIFIER.contains(&name),
            _ => true,
        }
    }
}
