//! Generators of arbitrary JSON, as values and as trees with duplicates and spellings a `Value` lacks.

use std::fmt::Write;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Number, Value};

/// The tree of a JSON text: it keeps repeated members and the spelling of numbers.
#[derive(Debug, Clone)]
pub enum Json {
    Null,
    Boolean(bool),
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// The choices of a writer among spellings of the same value.
#[derive(Debug, Clone)]
pub struct Style {
    choices: Vec<u8>,
    next: usize,
}

impl Style {
    pub fn choose(&mut self) -> u8 {
        self.next += 1;
        self.choices[self.next % self.choices.len()]
    }
}

pub fn styles() -> impl Strategy<Value = Style> {
    prop::collection::vec(any::<u8>(), 1..40).prop_map(|choices| Style { choices, next: 0 })
}

/// Generates numbers in JSON's grammar.
pub fn numbers() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?"
}

/// Generates text without U+0000: arbitrary, or with a meaning in this API.
pub fn texts() -> impl Strategy<Value = String> {
    let known = [
        "",
        "users",
        "20202",
        "2121",
        "cl_clp",
        "a@b",
        "international_bank",
        "-1",
        "1e400",
        "data",
        "é/~",
        "\u{1F600}",
    ];
    prop_oneof!["[^\0]{0,6}", prop::sample::select(known.to_vec()).prop_map(str::to_owned), numbers()]
}

pub fn trees() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Boolean),
        numbers().prop_map(Json::Number),
        texts().prop_map(Json::String),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::btree_map(texts(), inner, 0..4).prop_map(|all| Json::Object(all.into_iter().collect())),
        ]
    })
}

impl Json {
    /// Converts it to a value; of repeated members, the last one counts.
    pub fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => Value::Bool(*value),
            Self::Number(text) => Value::Number(text.parse::<Number>().unwrap()),
            Self::String(text) => Value::String(text.clone()),
            Self::Array(items) => items.iter().map(Self::value).collect(),
            Self::Object(members) => {
                Value::Object(members.iter().map(|(name, item)| (name.clone(), item.value())).collect::<Map<_, _>>())
            }
        }
    }

    /// Repeats a member of an object, behind itself and with another value; `which` picks both.
    pub fn repeat_a_member(&mut self, which: Index, value: &Json) {
        fn objects(json: &Json) -> usize {
            match json {
                Json::Array(items) => items.iter().map(objects).sum(),
                Json::Object(members) => {
                    usize::from(!members.is_empty()) + members.iter().map(|(_, item)| objects(item)).sum::<usize>()
                }
                _ => 0,
            }
        }
        fn repeat(json: &mut Json, skip: &mut usize, which: Index, value: &Json) -> bool {
            match json {
                Json::Array(items) => items.iter_mut().any(|item| repeat(item, skip, which, value)),
                Json::Object(members) if !members.is_empty() => {
                    if *skip == 0 {
                        let name = members[which.index(members.len())].0.clone();
                        members.push((name, value.clone()));
                        return true;
                    }
                    *skip -= 1;
                    members.iter_mut().any(|(_, item)| repeat(item, skip, which, value))
                }
                _ => false,
            }
        }
        let mut skip = which.index(objects(self));
        assert!(repeat(self, &mut skip, which, value));
    }

    /// Writes it as text in one of several spellings.
    pub fn write(&self, style: &mut Style, text: &mut String) {
        space(style, text);
        match self {
            Self::Null => text.push_str("null"),
            Self::Boolean(value) => text.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => text.push_str(number),
            Self::String(string) => quote(string, style, text),
            Self::Array(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    text.push_str(if index == 0 { "" } else { "," });
                    item.write(style, text);
                }
                text.push(']');
            }
            Self::Object(members) => {
                text.push('{');
                for (index, (name, item)) in members.iter().enumerate() {
                    text.push_str(if index == 0 { "" } else { "," });
                    space(style, text);
                    quote(name, style, text);
                    space(style, text);
                    text.push(':');
                    item.write(style, text);
                }
                text.push('}');
            }
        }
        space(style, text);
    }
}

fn space(style: &mut Style, text: &mut String) {
    text.push_str(["", "", "", "", " ", "\n", "\t", "\r\n  "][usize::from(style.choose() % 8)]);
}

fn quote(string: &str, style: &mut Style, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        let plain = !character.is_control() && character != '"' && character != '\\';
        if plain && !style.choose().is_multiple_of(4) {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(text, "\\u{unit:04x}").unwrap();
            }
        }
    }
    text.push('"');
}

/// Lists the pointers (RFC 6901) of all parts of a value, including the value itself.
pub fn pointers(value: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut add = |name: String, item: &Value| {
        let name = name.replace('~', "~0").replace('/', "~1");
        found.extend(pointers(item).into_iter().map(|pointer| format!("/{name}{pointer}")));
    };
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| add(index.to_string(), item)),
        Value::Object(members) => members.iter().for_each(|(name, item)| add(name.clone(), item)),
        _ => {}
    }
    found
}

/// Finds the part at a pointer.
pub fn resolve<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    let Some(rest) = pointer.strip_prefix('/') else { return pointer.is_empty().then_some(value) };
    let (name, rest) = rest.find('/').map_or((rest, ""), |end| rest.split_at(end));
    let name = name.replace("~1", "/").replace("~0", "~");
    let next = match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?)?,
        Value::Object(members) => members.get(&name)?,
        _ => return None,
    };
    resolve(next, rest)
}
