//! JSON as YAML.

use serde::ser::{Serialize, Serializer};
use serde_json::Value;

/// Renders JSON as YAML.
///
/// # Errors
/// None for JSON: every value of it has a form in YAML.
pub fn render(document: &Value) -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string(&Plain(document))
}

/// JSON with ordinary numbers: numbers of any length have a private form that only JSON understands.
struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => serializer.serialize_i64(whole),
                (None, Some(number)) => serializer.serialize_f64(number),
                (None, None) => serializer.collect_str(number),
            },
            Value::Array(items) => serializer.collect_seq(items.iter().map(Plain)),
            Value::Object(members) => serializer.collect_map(members.iter().map(|(name, value)| (name, Plain(value)))),
            other => other.serialize(serializer),
        }
    }
}
