//! Reading attributes, and the members of objects inside of them.

use std::fmt::Display;
use std::time::Duration;

use bigdecimal::{BigDecimal, Zero};
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::{Reader, kind, look_up, quote};
use crate::jsonapi::error::{ATTRIBUTE_INVALID, ATTRIBUTE_MISSING, ATTRIBUTE_UNKNOWN, Code};
use crate::jsonapi::schema::Schema;
use crate::jsonapi::{decimal, duration, json};

impl Reader {
    /// Whether the document has that attribute at all, be it `null`.
    pub fn has_attribute(&self, name: &str) -> bool {
        look_up(&self.document, &self.pointer(name)).is_some()
    }

    /// Whether an attribute is missing, or `null`.
    pub fn is_null(&self, name: &str) -> bool {
        self.get(&self.pointer(name)).is_none()
    }

    /// A text attribute of at most `longest` characters, if it is there.
    pub fn text(&mut self, name: &str, longest: usize) -> Option<String> {
        match self.get(&self.pointer(name))? {
            Value::String(text) if text.chars().count() <= longest => Some(text.clone()),
            Value::String(_) => {
                let detail = format!("is longer than {longest} characters");
                self.fault(ATTRIBUTE_INVALID, &self.pointer(name), detail);
                None
            }
            _ => {
                self.invalid(name, "a string");
                None
            }
        }
    }

    /// A time attribute, as RFC 3339 spells it, in whole milliseconds, if it is there.
    pub fn time(&mut self, name: &str) -> Option<OffsetDateTime> {
        let text = self.text(name, 100)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339).ok().and_then(|time| time.checked_to_offset(UtcOffset::UTC));
        if time.is_none() {
            self.invalid(
                name,
                "a time as RFC 3339 spells it, with its offset from UTC, such as 2019-11-25T12:53:02.741Z",
            );
        }
        time.map(OffsetDateTime::truncate_to_millisecond)
    }

    /// An attribute that is a span of time, as ISO 8601 or people write it, of at most ten years, if it is there.
    pub fn span(&mut self, name: &str) -> Option<Duration> {
        let text = self.text(name, 100)?;
        let span = duration::read(&text);
        if span.is_none() {
            self.invalid(name, duration::EXPECTED);
        }
        span
    }

    /// A boolean attribute, if it is there.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        let found = self.get(&self.pointer(name))?.as_bool();
        if found.is_none() {
            self.invalid(name, "true or false");
        }
        found
    }

    /// An attribute that is an object, as it was sent, if it is there.
    pub fn object(&mut self, name: &str) -> Option<&serde_json::Map<String, Value>> {
        if self.get(&self.pointer(name))?.is_object() {
            return self.get(&self.pointer(name))?.as_object();
        }
        self.invalid(name, "an object");
        None
    }

    /// An attribute that is an object, if it is there, which `read` reads: meanwhile, the names of the getters are those of its
    /// members, of which there are no others than the known ones.
    pub fn inside<T>(&mut self, name: &str, known: &[&str], read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let unknown: Vec<String> =
            self.object(name)?.keys().filter(|name| !known.contains(&name.as_str())).cloned().collect();
        let place = self.pointer(name);
        let outer = std::mem::replace(&mut self.place, place);
        for name in unknown {
            let detail = format!("is not known here; there is {}", known.join(", "));
            self.fault(ATTRIBUTE_UNKNOWN, &self.pointer(&json::escape(&name)), detail);
        }
        let read = read(self);
        self.place = outer;
        Some(read)
    }

    /// An attribute that is an array of objects, at least one, each of which `read` reads: meanwhile, the names of
    /// the getters are those of that object's members. `None` where it isn't such an array, or one of its objects
    /// can't be read.
    pub fn objects<T>(&mut self, name: &str, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        const EXPECTED: &str = "an array of objects, at least one";
        let array = self.pointer(name);
        let count = match self.get(&array) {
            Some(Value::Array(items)) if !items.is_empty() => items.len(),
            Some(_) => {
                self.invalid(name, EXPECTED);
                return None;
            }
            None => {
                self.missing(name, EXPECTED);
                return None;
            }
        };
        let outer = std::mem::take(&mut self.place);
        let mut all = Vec::new();
        for index in 0..count {
            if self.has_enough_faults() {
                break;
            }
            self.place = format!("{array}/{index}");
            match look_up(&self.document, &self.place) {
                Some(Value::Object(_)) => all.extend(read(self)),
                other => {
                    let found = other.map_or("missing", kind);
                    let detail = format!("is {found}; each of the {name} must be an object");
                    self.fault(ATTRIBUTE_INVALID, &self.place.clone(), detail);
                }
            }
        }
        self.place = outer;
        (all.len() == count).then_some(all)
    }

    /// A positive decimal of at most 12 digits before and 8 after the point, sent as a number or a numeric string,
    /// if it is there. `not_positive` is the code for zero and less.
    pub fn positive_decimal(&mut self, name: &str, not_positive: Code) -> Option<BigDecimal> {
        const EXPECTED: &str = "a number above 0 with at most 12 digits before and 8 after the point";
        if self.is_null(name) {
            return None;
        }
        match self.decimal(name) {
            Some(value) if value <= BigDecimal::zero() => {
                self.invalid_as(not_positive, name, EXPECTED);
                None
            }
            Some(value) => Some(value),
            None => {
                self.invalid(name, EXPECTED);
                None
            }
        }
    }

    /// The same of a decimal that may be 0.
    pub fn decimal_from_zero(&mut self, name: &str) -> Option<BigDecimal> {
        let read = self.decimal(name).filter(|value| *value >= BigDecimal::zero());
        if read.is_none() && !self.is_null(name) {
            self.invalid(name, "a number from 0 on with at most 12 digits before and 8 after the point");
        }
        read
    }

    /// A decimal attribute, if it is there and can be read as one.
    fn decimal(&self, name: &str) -> Option<BigDecimal> {
        match self.get(&self.pointer(name))? {
            Value::Number(number) => decimal::read(&number.to_string()),
            Value::String(text) => decimal::read(text),
            _ => None,
        }
    }

    /// Records that an attribute can't be used: what it is, and what would be right.
    pub fn invalid(&mut self, name: &str, expected: impl Display) {
        self.invalid_as(ATTRIBUTE_INVALID, name, expected);
    }

    /// The same with a code of the resource's own.
    pub fn invalid_as(&mut self, code: Code, name: &str, expected: impl Display) {
        let pointer = self.pointer(name);
        let found = self.get(&pointer).map_or("null".to_owned(), quote);
        self.fault(code, &pointer, format!("is {found}; {name} must be {expected}"));
    }

    /// Records that an attribute is missing.
    pub fn missing(&mut self, name: &str, expected: impl Display) {
        let detail = format!("the attribute `{name}` is missing; it must be {expected}");
        self.fault(ATTRIBUTE_MISSING, &self.pointer(name), detail);
    }

    /// Records attributes that a resource doesn't have: nothing would come of them.
    pub fn only_attributes_of(&mut self, schema: &Schema) {
        let is_known = |name: &str| schema.attributes.iter().any(|attribute| attribute.name == name);
        let members = self.get(&self.place).and_then(Value::as_object);
        let unknown: Vec<String> = members.into_iter().flat_map(|members| members.keys().cloned()).collect();
        for name in unknown.into_iter().filter(|name| !is_known(name)) {
            let names: Vec<&str> = schema.attributes.iter().map(|attribute| attribute.name).collect();
            let detail = format!("is none of the attributes of {}, which are {}", schema.type_name, names.join(", "));
            self.fault(ATTRIBUTE_UNKNOWN, &self.pointer(&json::escape(&name)), detail);
        }
    }
}
