//! The values of a filter: how they stand in one parameter, and which are valid.

use crate::jsonapi::schema::{Filter, Values};
use crate::jsonapi::since::Since;

/// Splits a parameter into the values of a filter. In free text a backslash escapes a comma or itself.
///
/// # Errors
/// The fault of an invalid escape. The name of the parameter goes before it.
pub fn split(values: Values, text: &str) -> Result<Vec<String>, String> {
    match values {
        Values::Resource(_) | Values::Since | Values::Checked { .. } => Ok(vec![text.to_owned()]),
        Values::Ids | Values::OneOf(_) | Values::Boolean => Ok(text.split(',').map(str::to_owned).collect()),
        Values::Text => split_text(text),
    }
}

fn split_text(text: &str) -> Result<Vec<String>, String> {
    const RULE: &str = r"write `\,` for a comma in a value and `\\` for a backslash";
    let mut values = Vec::new();
    let mut value = String::new();
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        match letter {
            ',' => values.push(std::mem::take(&mut value)),
            '\\' => match rest.next() {
                Some(escaped @ (',' | '\\')) => value.push(escaped),
                Some(other) => return Err(format!("has the escape \"\\{}\"; {RULE}", other.escape_default())),
                None => return Err(format!("ends in the middle of an escape; {RULE}")),
            },
            letter => value.push(letter),
        }
    }
    values.push(value);
    Ok(values)
}

/// Returns the valid form of a filter's value; `None` if the value has it.
pub fn expected(values: Values, value: &str) -> Option<String> {
    match values {
        Values::Ids if !is_digits(value) => Some("an id is a string of decimal digits".to_owned()),
        Values::OneOf(known) if !known.contains(&value) => {
            Some(format!("the values are {}", join(known.iter().copied())))
        }
        Values::Boolean if !["true", "false"].contains(&value) => Some("the values are true, false".to_owned()),
        Values::Resource(_) | Values::Since if value.contains(',') => {
            Some("it must be one value, without commas".to_owned())
        }
        Values::Resource(types) => {
            let (type_name, id) = split_resource(value);
            let known = types.contains(&type_name) && id.is_none_or(is_digits);
            (!known).then(|| format!("it must be TYPE/ID or TYPE; the types are {}", join(types.iter().copied())))
        }
        Values::Checked { expected, accepts } if !accepts(value) => {
            Some(format!("it must be {}", Since::expected_in_query(value, expected)))
        }
        Values::Since if Since::read(value).is_none() => {
            Some(format!("it must be {}", Since::expected_in_query(value, Since::EXPECTED)))
        }
        _ if value.contains('\0') => Some("U+0000 is not allowed".to_owned()),
        Values::Ids | Values::OneOf(_) | Values::Text | Values::Boolean | Values::Since | Values::Checked { .. } => {
            None
        }
    }
}

/// Returns an example of a filter's parameter: with the sent values if they are short and valid, else with values of the
/// schema.
pub fn example(filter: &Filter, sent: &str) -> String {
    const LONGEST: usize = 60;
    let is_valid = |values: Vec<String>| values.iter().all(|value| expected(filter.values, value).is_none());
    let values = match filter.values {
        values if sent.len() <= LONGEST && split(values, sent).is_ok_and(is_valid) => sent.to_owned(),
        Values::Ids => "1,2".to_owned(),
        Values::OneOf(known) => known.iter().take(2).copied().collect::<Vec<_>>().join(","),
        Values::Text => "a,b".to_owned(),
        Values::Boolean => "true".to_owned(),
        Values::Resource(types) => format!("{}/1", types.first().copied().unwrap_or_default()),
        Values::Since => "1".to_owned(),
        Values::Checked { .. } => "...".to_owned(),
    };
    format!("filter[{}]={values}", filter.name)
}

/// Returns whether a filter takes one value alone.
pub fn is_single(values: Values) -> bool {
    match values {
        Values::Resource(_) | Values::Since | Values::Checked { .. } => true,
        Values::Ids | Values::OneOf(_) | Values::Text | Values::Boolean => false,
    }
}

/// Returns whether a text is a number of decimal digits.
pub fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Splits the value of a [`Values::Resource`] into the type and the id, if it has one.
pub fn split_resource(value: &str) -> (&str, Option<&str>) {
    match value.split_once('/') {
        Some((type_name, id)) => (type_name, Some(id)),
        None => (value, None),
    }
}

/// Joins names for an error detail.
pub fn join(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
