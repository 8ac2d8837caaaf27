//! Values of plain-JSON answers, each with the schema of its JSON.

use std::borrow::Cow;
use std::time::Duration;

use bigdecimal::BigDecimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{Error, Serialize, Serializer};
use time::OffsetDateTime;

use super::{decimal, duration, render};

/// An instant in UTC, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp(pub OffsetDateTime);

/// A duration in ISO 8601.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IsoDuration(pub Duration);

/// An id: decimal digits in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumericId(pub i64);

/// An exact decimal, without superfluous digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecimalNumber(pub BigDecimal);

impl IsoDuration {
    /// Pattern of durations; the format `duration` of JSON Schema has no fractions.
    pub const PATTERN: &str = "^P([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+([.][0-9]+)?S)?)?$";
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&render::timestamp(self.0))
    }
}

impl Serialize for IsoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&duration::render(self.0))
    }
}

impl Serialize for NumericId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Serialize for DecimalNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        decimal::number(&self.0).map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// Gives a value the schema of its JSON, repeated wherever it appears.
macro_rules! value_schema {
    ($type:ident $schema:tt) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

value_schema!(Timestamp { "type": "string", "format": "date-time" });
value_schema!(IsoDuration { "type": "string", "pattern": IsoDuration::PATTERN });
value_schema!(NumericId { "type": "string", "pattern": "^[0-9]+$" });
value_schema!(DecimalNumber { "type": "number" });

/// Gives a type its JSON: its `name()`, a string out of a closed set. `$names` lists the set.
#[macro_export]
macro_rules! json_by_name {
    ($type:ident, $names:expr, $description:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "description": $description, "type": "string", "enum": $names })
            }
        }
    };
}
