//! A strict JSON parser: it also refuses duplicate members, deep nesting and NUL characters.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::{self, Write};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::error::{ATTRIBUTE_INVALID, Error, JSON_INVALID};

/// Maximum nesting of arrays and objects.
pub const DEPTH: usize = 64;

/// Parses one JSON text. Numbers keep every digit, and objects their order.
///
/// # Errors
/// One error with line and column if the text is not JSON, has a duplicate member or nests deeper than [`DEPTH`].
/// Otherwise one error with a pointer for each string with U+0000, which the database can't store.
pub fn read(bytes: &[u8]) -> Result<Value, Vec<Error>> {
    let invalid = |error: serde_json::Error| {
        // an empty text fails before its first character: line 1, column 1 for people
        let (line, column) = (error.line().max(1), error.column().max(1));
        let message = error.to_string();
        let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
        vec![Error::new(JSON_INVALID, format!("invalid JSON at line {line}, column {column}: {what}"))]
    };
    if let Some(fault) = fault_of_encoding(bytes) {
        return Err(vec![Error::new(JSON_INVALID, format!("invalid JSON at line 1, column 1: {fault}"))]);
    }
    let mut strict = serde_json::Deserializer::from_slice(bytes);
    MemberWalk { text: bytes, depth: DEPTH }.deserialize(&mut strict).map_err(invalid)?;
    strict.end().map_err(invalid)?;
    let value = serde_json::from_slice(bytes).map_err(invalid)?;
    if bytes.contains(&b'\\') && bytes.windows(6).any(|escape| escape == br"\u0000") {
        let mut faults = Vec::new();
        find_nul(&value, &mut String::new(), &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
    }
    Ok(value)
}

/// Returns the fault of a text in another encoding: it has a byte order mark, or a NUL in one of its first characters.
fn fault_of_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => Some("a byte order mark; leave it out"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, ..] | [_, 0, ..] => {
            Some("the text is in UTF-16 or another encoding; it must be in UTF-8")
        }
        _ => None,
    }
}

/// Escapes a member name for use in a pointer (RFC 6901).
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn find_nul(value: &Value, pointer: &mut String, faults: &mut Vec<Error>) {
    let fault = |pointer: &str, holder: &str| {
        let place = if pointer.is_empty() { "the body".to_owned() } else { format!("`{pointer}`") };
        let detail = format!("{place} has U+0000 in {holder}; this character can't be stored, leave it out");
        Error::new(ATTRIBUTE_INVALID, detail).at(pointer)
    };
    let length = pointer.len();
    match value {
        Value::String(text) if text.contains('\0') => faults.push(fault(pointer, "its text")),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                write!(pointer, "/{index}").unwrap_or_default();
                find_nul(item, pointer, faults);
                pointer.truncate(length);
            }
        }
        Value::Object(members) => {
            for (name, item) in members {
                if name.contains('\0') {
                    faults.push(fault(pointer, "the name of a member"));
                }
                pointer.push('/');
                pointer.push_str(&escape(name));
                find_nul(item, pointer, faults);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

/// Walks a text and keeps only the member names of the enclosing objects.
#[derive(Clone, Copy)]
struct MemberWalk<'a> {
    text: &'a [u8],
    depth: usize,
}

impl MemberWalk<'_> {
    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..*self }),
            None => Err(E::custom(format!("nested deeper than {DEPTH} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for MemberWalk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MemberWalk<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let deeper = || self.deeper::<A::Error>();
        while items.next_element_seed(deeper()?)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names = Names::default();
        while let Some(name) = members.next_key::<Name<'de>>()? {
            if name.0.starts_with(RESERVED) {
                if name.is_of(self.text) {
                    return Err(serde::de::Error::custom(format!("the member name \"{}\" is reserved", name.0)));
                }
                // a number, which the parser presents as an object
                return members.next_value::<IgnoredAny>().map(drop);
            }
            if let Err(name) = names.add(name) {
                return Err(serde::de::Error::custom(format!("the member \"{}\" appears twice", name.0)));
            }
            members.next_value_seed(self.deeper::<A::Error>()?)?;
        }
        self.deeper().map(drop)
    }
}

/// Prefix of the names by which the parser marks numbers and raw values. It would take a member of such a name for one.
const RESERVED: &str = "$serde_json::private::";

/// The names of an object's members: the first few in a list, the rest hashed.
#[derive(Default)]
struct Names<'de> {
    few: Vec<Name<'de>>,
    many: HashSet<Name<'de>>,
}

impl<'de> Names<'de> {
    const FEW: usize = 16;

    /// Adds a name, or returns a duplicate.
    fn add(&mut self, name: Name<'de>) -> Result<(), Name<'de>> {
        if self.few.contains(&name) || self.many.contains(&name) {
            return Err(name);
        }
        if self.few.len() < Self::FEW {
            self.few.push(name);
        } else {
            self.many.insert(name);
        }
        Ok(())
    }
}

/// A member's name, borrowed from the text unless it has escapes.
#[derive(PartialEq, Eq, Hash)]
struct Name<'de>(Cow<'de, str>);

impl Name<'_> {
    /// Returns whether it comes from that text.
    fn is_of(&self, text: &[u8]) -> bool {
        match &self.0 {
            Cow::Borrowed(name) => text.as_ptr_range().contains(&name.as_ptr()),
            Cow::Owned(_) => true,
        }
    }
}

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a member name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(name.into()))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(name.to_owned().into()))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
