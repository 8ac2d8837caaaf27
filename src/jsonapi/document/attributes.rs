//! Reads attributes, and the members of nested objects.

use std::fmt::Display;
use std::time::Duration;

use bigdecimal::{BigDecimal, Zero};
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::{Reader, kind, look_up, quote};
use crate::jsonapi::error::{ATTRIBUTE_INVALID, ATTRIBUTE_MISSING, ATTRIBUTE_UNKNOWN, Code};
use crate::jsonapi::schema::{Attribute, Schema};
use crate::jsonapi::{decimal, duration, json};

impl Reader {
    /// Returns whether the document has an attribute, even if it is `null`.
    pub fn has_attribute(&self, name: &str) -> bool {
        look_up(&self.document, &self.pointer(name)).is_some()
    }

    /// Returns whether an attribute is missing or `null`.
    pub fn is_null(&self, name: &str) -> bool {
        self.get(&self.pointer(name)).is_none()
    }

    /// Reads an optional text attribute of at most `longest` characters.
    pub fn text(&mut self, name: &str, longest: usize) -> Option<String> {
        match self.get(&self.pointer(name))? {
            Value::String(text) if text.chars().count() <= longest => Some(text.clone()),
            Value::String(_) => {
                let detail = format!("`{name}` is too long; it must have at most {longest} characters");
                self.fault(ATTRIBUTE_INVALID, &self.pointer(name), detail);
                None
            }
            _ => {
                self.invalid(name, "a string");
                None
            }
        }
    }

    /// Reads an optional text that may be sent as a number. `expected` completes "it must be".
    pub fn text_or_number(&mut self, name: &str, expected: impl Display) -> Option<String> {
        match self.get(&self.pointer(name))? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => {
                self.invalid(name, expected);
                None
            }
        }
    }

    /// Reads an optional time attribute in RFC 3339, cut to whole milliseconds.
    pub fn time(&mut self, name: &str) -> Option<OffsetDateTime> {
        let text = self.text(name, 100)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339).ok().and_then(|time| time.checked_to_offset(UtcOffset::UTC));
        if time.is_none() {
            self.invalid(name, "a time in RFC 3339 with its offset from UTC, such as 2019-11-25T12:53:02.741Z");
        }
        time.map(OffsetDateTime::truncate_to_millisecond)
    }

    /// Reads an optional duration attribute, in ISO 8601 or the form people write, of at most ten years.
    pub fn span(&mut self, name: &str) -> Option<Duration> {
        let text = self.text(name, 100)?;
        let span = duration::read(&text);
        if span.is_none() {
            self.invalid(name, duration::EXPECTED);
        }
        span
    }

    /// Reads an optional boolean attribute.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        let found = self.get(&self.pointer(name))?.as_bool();
        if found.is_none() {
            self.invalid(name, "true or false");
        }
        found
    }

    /// Returns an optional object attribute as sent.
    pub fn object(&mut self, name: &str) -> Option<&serde_json::Map<String, Value>> {
        if self.get(&self.pointer(name))?.is_object() {
            return self.get(&self.pointer(name))?.as_object();
        }
        self.invalid(name, "an object");
        None
    }

    /// Reads an optional object attribute with `read`, for which the getters read from that object. Records a fault for
    /// each of its members that is not in `known`.
    pub fn inside<T>(&mut self, name: &str, known: &[Attribute], read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let is_known = |name: &str| known.iter().any(|attribute| attribute.name == name);
        let unknown: Vec<String> = self.object(name)?.keys().filter(|name| !is_known(name)).cloned().collect();
        let place = self.pointer(name);
        let outer = std::mem::replace(&mut self.place, place);
        for member in unknown {
            let detail = format!("`{}` is unknown; `{name}` takes {}", super::shorten(&member), super::names(known));
            self.fault(ATTRIBUTE_UNKNOWN, &self.pointer(&json::escape(&member)), detail);
        }
        let read = read(self);
        self.place = outer;
        Some(read)
    }

    /// Reads an attribute that is an array of objects, at least one, with `read`. The getters read from the current
    /// object meanwhile. Returns `None` if it is no such array, or `read` fails for one of its objects.
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
                    let detail = format!("`{name}[{index}]` is {found}; it must be an object");
                    self.fault(ATTRIBUTE_INVALID, &self.place.clone(), detail);
                }
            }
        }
        self.place = outer;
        (all.len() == count).then_some(all)
    }

    /// Reads an optional positive decimal of at most 12 digits before and 8 after the point, sent as a number or a
    /// numeric string. `not_positive` is the code of the fault for zero and less.
    pub fn positive_decimal(&mut self, name: &str, not_positive: Code) -> Option<BigDecimal> {
        const EXPECTED: &str = "a number greater than 0, with at most 12 digits before and 8 after the point";
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

    /// Reads an optional decimal like [`Reader::positive_decimal`], but accepts 0.
    pub fn decimal_from_zero(&mut self, name: &str) -> Option<BigDecimal> {
        let read = self.decimal(name).filter(|value| *value >= BigDecimal::zero());
        if read.is_none() && !self.is_null(name) {
            self.invalid(name, "0 or a greater number, with at most 12 digits before and 8 after the point");
        }
        read
    }

    /// Returns an attribute as a decimal, if it is one.
    fn decimal(&self, name: &str) -> Option<BigDecimal> {
        match self.get(&self.pointer(name))? {
            Value::Number(number) => decimal::read(&number.to_string()),
            Value::String(text) => decimal::read(text),
            _ => None,
        }
    }

    /// Records that an attribute is invalid. `expected` completes "it must be".
    pub fn invalid(&mut self, name: &str, expected: impl Display) {
        self.invalid_as(ATTRIBUTE_INVALID, name, expected);
    }

    /// Does the same with a code of the resource.
    pub fn invalid_as(&mut self, code: Code, name: &str, expected: impl Display) {
        let pointer = self.pointer(name);
        let found = self.get(&pointer).map_or("null".to_owned(), quote);
        self.fault(code, &pointer, format!("`{name}` is {found}; it must be {expected}"));
    }

    /// Records that an attribute is missing. `expected` completes "it must be".
    pub fn missing(&mut self, name: &str, expected: impl Display) {
        let detail = format!("`{name}` is missing; it must be {expected}");
        self.fault(ATTRIBUTE_MISSING, &self.pointer(name), detail);
    }

    /// Records a fault for each attribute that is not in the schema, because it would have no effect.
    pub fn only_attributes_of(&mut self, schema: &'static Schema) {
        self.schema = Some(schema);
        let is_known = |name: &str| schema.attributes.iter().any(|attribute| attribute.name == name);
        let members = self.get(&self.place).and_then(Value::as_object);
        let unknown: Vec<String> = members.into_iter().flat_map(|members| members.keys().cloned()).collect();
        for name in unknown.into_iter().filter(|name| !is_known(name)) {
            let names: Vec<&str> = schema.attributes.iter().map(|attribute| attribute.name).collect();
            let (shown, type_name) = (super::shorten(&name), schema.type_name);
            let detail = format!("`{shown}` is unknown; the attributes of {type_name} are {}", names.join(", "));
            self.fault(ATTRIBUTE_UNKNOWN, &self.pointer(&json::escape(&name)), detail);
        }
    }
}
